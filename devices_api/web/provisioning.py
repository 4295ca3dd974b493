"""Routes of what is registered by itself: claim keys, authorities, and becoming a device."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from contracts.problems import Problem
from devices_api.credentials.credentials import RefusedError, digest
from devices_api.web.access import Admin, everywhere
from devices_api.web.authentication import Authentication
from devices_api.web.credentials import read_certificate, refusing, unstored
from devices_api.web.provisionschemas import (
    AuthorityIn,
    AuthorityOut,
    AuthorityPage,
    AuthorityPatch,
    ClaimIn,
    ClaimMade,
    ClaimOut,
    ClaimPage,
    ClaimPatch,
    ProvisionIn,
    ProvisionOut,
)

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity
    from devices_api.repository import Repository


def _unknown_claim(id_: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown-claim", "Unknown claim", f"There is no claim {id_!r}.")


def _unknown_authority(id_: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown-authority", "Unknown authority", f"There is no authority {id_!r}.")


def routes(
    registry: "Callable[[], Repository]",
    identity: "Callable[[], Identity]",
    authentication: Authentication,
    now: Callable[[], int],
) -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter()
    _claims(router, registry, identity, now)
    _authorities(router, registry, identity, now)

    @router.post("/provision", status_code=HTTPStatus.CREATED, tags=["provisioning"])
    async def become(body: ProvisionIn, request: Request, response: Response) -> ProvisionOut:
        """Become a device, with a claim key in place of an API key. The answer has the secret, once.

        Whoever lost the answer may ask again, for as long as the credential has not been used. Wrong claim keys are
        limited by address, as wrong API keys are.
        """
        authentication.check_failures(request)
        try:
            made = await identity().provisioning.become(body.key, body.id, body.facts)
        except RefusedError as error:
            if error.slug == "claim-unknown":
                authentication.failed(request)
            status = HTTPStatus.CONFLICT if error.slug in ("device-exists", "claim-used-up") else HTTPStatus.FORBIDDEN
            raise Problem(status, error.slug, "This cannot be done", str(error)) from error
        unstored(response)
        return ProvisionOut(**vars(made))

    return router


def _claims(
    router: APIRouter,
    registry: "Callable[[], Repository]",
    identity: "Callable[[], Identity]",
    now: Callable[[], int],
) -> None:
    @router.post("/claims", status_code=HTTPStatus.CREATED, tags=["provisioning"])
    async def make(who: Admin, body: ClaimIn, response: Response) -> ClaimMade:
        """Make a claim key. It is in the answer, and is shown this once."""
        from devices_api.credentials.claims import Claim  # noqa: PLC0415 - SQLAlchemy is imported after the start

        everywhere(who)
        issuing = identity().issuing
        made = issuing.secret() if body.key is None else None
        claim = Claim(
            issuing.id(),
            body.name,
            digest(body.key or made or ""),
            body.kind,
            body.most,
            now(),
            body.pattern,
            body.gives.content(),
            expires=body.expires,
        )
        with refusing():
            await registry().claims.add(claim, who, now())
        unstored(response)
        return ClaimMade.of(claim, key=made)

    @router.get("/claims", tags=["provisioning"])
    async def list_claims(who: Admin) -> ClaimPage:
        """List the claim keys, newest first, without the keys."""
        everywhere(who)
        return ClaimPage(items=[ClaimOut.of(claim) for claim in await registry().claims.all()])

    @router.patch("/claims/{claim_id}", tags=["provisioning"])
    async def change(who: Admin, claim_id: str, body: ClaimPatch) -> ClaimOut:
        """Replace parts of a claim key."""
        everywhere(who)
        claim = await registry().claims.change(claim_id, body.model_dump(exclude_unset=True), who, now())
        if claim is None:
            raise _unknown_claim(claim_id)
        return ClaimOut.of(claim)

    @router.delete("/claims/{claim_id}", status_code=HTTPStatus.NO_CONTENT, tags=["provisioning"])
    async def remove(who: Admin, claim_id: str) -> None:
        """Remove a claim key; the devices that came by it stay."""
        everywhere(who)
        if not await registry().claims.remove(claim_id, who, now()):
            raise _unknown_claim(claim_id)


def _authorities(
    router: APIRouter,
    registry: "Callable[[], Repository]",
    identity: "Callable[[], Identity]",
    now: Callable[[], int],
) -> None:
    @router.post("/authorities", status_code=HTTPStatus.CREATED, tags=["credentials"])
    async def add(who: Admin, body: AuthorityIn) -> AuthorityOut:
        """Register a certificate authority, by its certificate."""
        from devices_api.credentials.authorities import Authority  # noqa: PLC0415 - SQLAlchemy is imported after the start

        everywhere(who)
        certificate = read_certificate(body.certificate)
        if not certificate.authority:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "bad-certificate",
                "The certificate cannot be used",
                "It is no authority's: its basic constraints do not say CA.",
            )
        authority = Authority(
            identity().issuing.id(),
            body.name,
            certificate.pem,
            certificate.fingerprint,
            certificate.not_before,
            certificate.expires,
            now(),
            body.auto_register,
            gives=body.gives.content(),
        )
        with refusing():
            await registry().authorities.add(authority, who, now())
        return AuthorityOut.of(authority)

    @router.get("/authorities", tags=["credentials"])
    async def list_authorities(who: Admin) -> AuthorityPage:
        """List the authorities, by id."""
        everywhere(who)
        return AuthorityPage(items=[AuthorityOut.of(found) for found in await registry().authorities.all()])

    @router.patch("/authorities/{authority_id}", tags=["credentials"])
    async def change(who: Admin, authority_id: str, body: AuthorityPatch) -> AuthorityOut:
        """Replace parts of an authority."""
        everywhere(who)
        authority = await registry().authorities.change(authority_id, body.content(), who, now())
        if authority is None:
            raise _unknown_authority(authority_id)
        return AuthorityOut.of(authority)

    @router.delete("/authorities/{authority_id}", status_code=HTTPStatus.NO_CONTENT, tags=["credentials"])
    async def remove(who: Admin, authority_id: str) -> None:
        """Remove an authority, with the credentials that rest on it."""
        everywhere(who)
        if not await registry().authorities.remove(authority_id, who, now()):
            raise _unknown_authority(authority_id)
