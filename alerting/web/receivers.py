"""Receivers over HTTP: made, read without their secrets, replaced, deleted, tested."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError, WithJsonSchema

from alerting.notify import documents as stored
from alerting.notify.channels import Channels
from alerting.notify.deliveries import Deliveries
from alerting.notify.document import Document, Kind
from alerting.notify.documents import Documents
from alerting.notify.receivers import SecretsError, merged, schema, split
from alerting.web.receiverschemas import ReceiverId, ReceiverOut, ReceiverPage, Resent, Tried, invented
from contracts.etags import IfMatch, stale, tagged
from contracts.problems import Problem
from contracts.requests import PageLimit
from contracts.versions import Match, StaleError, check

ReceiverBody = Annotated[dict[str, Any], Body(), WithJsonSchema(schema())]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before; opaque")]


def no_receiver(name: str) -> Problem:
    """Build the answer to a request for a receiver that is not there."""
    return Problem(HTTPStatus.NOT_FOUND, "no-such-receiver", "No such receiver", f"There is no receiver {name!r}.")


def routes(
    documents: Documents,
    channels: Channels,
    deliveries: Deliveries,
    now: Callable[[], int],
    new_id: Callable[[], str],
    wake: Callable[[str], None] = lambda _: None,
) -> APIRouter:
    """Build the routes. `wake` is called with a receiver that is to be tried at once."""
    router = APIRouter(prefix="/receivers", tags=["receivers"])
    _add_reads(router, documents)
    _add_changes(router, documents, deliveries, now, wake)

    @router.post("/{receiver_id}/test")
    async def test(receiver_id: ReceiverId) -> Tried:
        """Send a notification with an invented alert at once, once, and tell what came of it; it is kept nowhere."""
        clock = asyncio.get_running_loop().time
        began = clock()
        outcome = await channels.deliver(receiver_id, invented(receiver_id, new_id(), now()))
        if outcome is None:
            raise no_receiver(receiver_id)
        latency = round((clock() - began) * 1000, 3)
        return Tried(result=outcome.result, status=outcome.status, latency_ms=latency, problem=outcome.problem)

    @router.post("/{receiver_id}/resend")
    async def resend(receiver_id: ReceiverId) -> Resent:
        """Let all notifications of the receiver that were given up, or are rejected, be tried again at once."""
        resent = await deliveries.resend_failed(receiver_id, now())
        wake(receiver_id)
        return Resent(resent=resent)

    return router


def _add_reads(router: APIRouter, documents: Documents) -> None:
    @router.get("")
    async def list_receivers(limit: PageLimit = 100, cursor: Cursor = None) -> ReceiverPage:
        """List receivers by id, without their secrets."""
        return ReceiverPage.of(await documents.page(Kind.RECEIVER, limit + 1, cursor or ""), limit)

    @router.get("/{receiver_id}")
    async def show(receiver_id: ReceiverId, response: Response) -> ReceiverOut:
        """Show a receiver, without its secrets."""
        found = await documents.get(Kind.RECEIVER, receiver_id)
        if found is None:
            raise no_receiver(receiver_id)
        tagged(response, found.version)
        return ReceiverOut.of(found)


def _add_changes(
    router: APIRouter,
    documents: Documents,
    deliveries: Deliveries,
    now: Callable[[], int],
    wake: Callable[[str], None],
) -> None:
    @router.put("/{receiver_id}", responses={201: {"model": ReceiverOut}})
    async def put(receiver_id: ReceiverId, body: ReceiverBody, match: IfMatch, response: Response) -> ReceiverOut:
        """Make a receiver, or replace it.

        A secret that is left out, or given as it is read, stays; null takes it away.
        """
        old = await documents.get(Kind.RECEIVER, receiver_id)
        _check(old, match)
        written = await _write(documents, receiver_id, body, old, match, now())
        await deliveries.hurry(receiver_id)
        wake(receiver_id)
        response.status_code = HTTPStatus.OK if old else HTTPStatus.CREATED
        tagged(response, written.version)
        return ReceiverOut.of(written)

    @router.delete("/{receiver_id}", status_code=HTTPStatus.NO_CONTENT)
    async def delete(receiver_id: ReceiverId, match: IfMatch) -> None:
        """Delete a receiver that no route and no chain names; what waits for it is given up."""
        old = await documents.get(Kind.RECEIVER, receiver_id)
        if old is None:
            raise no_receiver(receiver_id)
        _check(old, match)
        try:
            await documents.delete(Kind.RECEIVER, receiver_id, version=old.version)
        except stored.MissingError as error:
            raise no_receiver(receiver_id) from error
        except stored.RefusedError as error:
            raise _conflict(error) from error
        wake(receiver_id)


def _check(old: Document | None, match: Match) -> None:
    try:
        check(old.version if old else 0, match)
    except StaleError as error:
        raise stale(error) from error


async def _write(
    documents: Documents, name: str, body: dict[str, Any], old: Document | None, match: Match, at: int
) -> Document:
    """Make or replace a receiver. Raises Problem, or RequestValidationError."""
    try:
        content, secrets = split(merged(body, old.content if old else {}, old.secrets if old else {}))
        if old is None:
            return await documents.create(Kind.RECEIVER, name, content, secrets, at)
        return await documents.replace(Kind.RECEIVER, name, content, secrets, at, version=old.version)
    except ValidationError as error:
        found = [{"type": one["type"], "loc": ("body", *one["loc"]), "msg": one["msg"]} for one in error.errors()]
        raise RequestValidationError(found) from None  # what was given may be secret
    except SecretsError as error:
        slug, title = "secrets-wanted", "Secrets have to be given again"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, slug, title, f"{error}.") from None
    except stored.StaleError as error:
        if match is None:
            raise _conflict(error) from error
        raise stale(StaleError(old.version if old else 0)) from error
    except stored.RefusedError as error:
        raise _conflict(error) from error


def _conflict(error: stored.RefusedError) -> Problem:
    slug = "receiver-in-use" if isinstance(error, stored.InvalidError) else "cannot-be-changed"
    return Problem(HTTPStatus.CONFLICT, slug, "It cannot be changed so", f"{error}.")
