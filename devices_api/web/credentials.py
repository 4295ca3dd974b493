"""Routes of devices' credentials."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from contracts.problems import Problem
from contracts.times import SECOND
from devices_api.credentials import certificates
from devices_api.credentials.broker_rules import RESERVED, device_username
from devices_api.credentials.credentials import SECRET_KINDS, Credential, Kind, RefusedError
from devices_api.web.access import Admin
from devices_api.web.credentialschemas import (
    CredentialIn,
    CredentialMade,
    CredentialOut,
    CredentialPage,
    RotationIn,
)
from devices_api.web.refusals import unknown_device

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity
    from devices_api.credentials.issuing import Issuing
    from devices_api.repository import Repository


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Answer what cannot be done with 409."""
    try:
        yield
    except RefusedError as error:
        raise Problem(HTTPStatus.CONFLICT, error.slug, "This cannot be done", str(error)) from error


def read_certificate(pem: str) -> certificates.Certificate:
    """Read a certificate that was sent; what is wrong with it becomes the answer."""
    try:
        return certificates.read(pem)
    except ValueError as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "bad-certificate", "The certificate cannot be used", str(error)
        ) from error


def _unknown(id_: str) -> Problem:
    detail = f"The device has no credential {id_!r}."
    return Problem(HTTPStatus.NOT_FOUND, "unknown-credential", "Unknown credential", detail)


async def _keep(
    issuing: "Issuing",
    device_id: str,
    body: CredentialIn,
    now: int,
    keep: Callable[[Credential], Awaitable[object]],
    otherwise: Problem,
) -> tuple[Credential, str | None]:
    """Make a credential and keep it; returns it, and its secret if that was made here.

    `keep` gives something false if what it is kept for is not there any more; `otherwise` is then the answer.
    """
    secret = body.password or (issuing.secret() if body.kind in SECRET_KINDS else None)
    ends = body.expires
    kept = ""
    if secret is not None:
        kept = await issuing.hashed(body.kind, secret)
    elif body.certificate is not None:
        certificate = read_certificate(body.certificate)
        kept = certificate.fingerprint
        ends = certificate.expires if ends is None else min(ends, certificate.expires)
    begins = now if body.not_before is None else body.not_before
    new = Credential(
        issuing.id(), device_id, body.kind, body.name, kept, begins, now, expires=ends, authority=body.authority
    )
    username = device_username(device_id, new.id)
    with refusing():
        async with issuing.told(username, secret, on=new.valid(now)):
            if not await keep(new):
                raise otherwise
    issuing.changed()
    return new, None if body.password else secret


def _rotated(old: Credential, body: RotationIn) -> CredentialIn:
    """Say what is to take the place of `old`: the same kind, with the same name if no other is given."""
    detail = ""
    if old.kind is Kind.AUTHORITY:
        detail = "What an authority signs needs no rotation."
    elif (body.certificate is None) != (old.kind is not Kind.CERTIFICATE):
        detail = "A certificate is rotated with the new one, and nothing else is."
    elif body.password is not None and old.kind is not Kind.PASSWORD:
        detail = "It is no password."
    if detail:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "cannot-rotate", "It cannot be rotated like this", detail)
    return CredentialIn.model_construct(
        **body.model_dump(include={"password", "certificate", "not_before", "expires"}),
        kind=old.kind,
        name=old.name if body.name is None else body.name,
        authority=None,
    )


def routes(
    registry: "Callable[[], Repository]", identity: "Callable[[], Identity]", now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter(prefix="/devices/{device_id}/credentials", tags=["credentials"])

    @router.post("", status_code=HTTPStatus.CREATED)
    async def make(who: Admin, device_id: str, body: CredentialIn, response: Response) -> CredentialMade:
        """Give a device one more credential. Its secret is in the answer, and is shown this once."""
        credentials, at = registry().credentials, now()
        await _seen(registry(), device_id, who)
        new, secret = await _keep(
            identity().issuing,
            device_id,
            body,
            at,
            lambda new: credentials.add(new, who, at),
            unknown_device(device_id),
        )
        unstored(response)
        return CredentialMade.of(new, secret=secret)

    @router.get("")
    async def list_credentials(who: Admin, device_id: str) -> CredentialPage:
        """List a device's credentials, newest first, without their secrets."""
        found = await registry().credentials.of(device_id, who.view)
        if found is None:
            raise unknown_device(device_id)
        return CredentialPage(items=[CredentialOut.of(credential) for credential in found])

    @router.post("/{credential_id}/rotate", status_code=HTTPStatus.CREATED)
    async def rotate(
        who: Admin, device_id: str, credential_id: str, body: RotationIn, response: Response
    ) -> CredentialMade:
        """Make a credential in the place of another, which stays valid for `grace` seconds, or until it is revoked."""
        credentials, grace, at = registry().credentials, body.grace * SECOND, now()
        old = next((c for c in await _seen(registry(), device_id, who) if c.id == credential_id), None)
        if old is None:
            raise _unknown(credential_id)
        new, secret = await _keep(
            identity().issuing,
            device_id,
            _rotated(old, body),
            at,
            lambda new: credentials.rotate(credential_id, new, grace, who, at),
            _unknown(credential_id),
        )
        unstored(response)
        return CredentialMade.of(new, secret=secret)

    @router.delete("/{credential_id}")
    async def revoke(who: Admin, device_id: str, credential_id: str) -> CredentialOut:
        """End a credential at once. It stays in the list."""
        await _seen(registry(), device_id, who)
        revoked = await registry().credentials.revoke(device_id, credential_id, who, now())
        if revoked is None:
            raise _unknown(credential_id)
        identity().issuing.changed()
        return CredentialOut.of(revoked)

    return router


async def _seen(registry: "Repository", device_id: str, who: Admin) -> list[Credential]:
    """Give the credentials of a device that may have some."""
    if device_id in RESERVED:
        detail = f"As a user name {device_id!r} means something else: such a device cannot have credentials."
        raise Problem(HTTPStatus.CONFLICT, "reserved-id", "This id is reserved", detail)
    found = await registry.credentials.of(device_id, who.view)
    if found is None:
        raise unknown_device(device_id)
    return found


def unstored(response: Response) -> None:
    """Have nobody on the way keep an answer with a secret in it."""
    response.headers["Cache-Control"] = "no-store"
