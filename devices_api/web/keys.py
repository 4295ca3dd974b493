"""Routes of the API keys."""

import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from contracts.problems import Problem
from contracts.requests import Cursor, PageLimit, read
from devices_api.cursors import text_position
from devices_api.errors import ExistsError
from devices_api.keys.keyring import Keyring
from devices_api.keys.keys import RandomBytes, digest, make_key
from devices_api.web.access import Admin, everywhere
from devices_api.web.keyschemas import KeyIn, KeyMade, KeyOut, KeyPage, KeyPatch
from devices_api.web.refusals import refusals

if TYPE_CHECKING:
    from devices_api.repository import Repository


def _unknown(id_: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown-key", "Unknown key", f"There is no key {id_!r}.")


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Answer what a key cannot be."""
    with refusals():
        try:
            yield
        except ExistsError as error:
            detail = f"There is a key named {str(error)!r} already."
            raise Problem(HTTPStatus.CONFLICT, "key-exists", "The key exists", detail) from error


def routes(
    registry: "Callable[[], Repository]", keyring: Keyring, random_bytes: RandomBytes, now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `registry`; a key that is changed is no longer known to `keyring`."""
    router = APIRouter(tags=["access"])

    @router.post("/keys", status_code=HTTPStatus.CREATED)
    async def make(who: Admin, body: KeyIn, response: Response) -> KeyMade:
        """Make a key. Its text is in the answer, and is shown this once."""
        everywhere(who)
        id_, text = make_key(random_bytes)
        key = body.content(id_, digest(text), who, now())
        with _refusing():
            await registry().keys.create(key, who)
        response.headers["Location"] = f"/api/v1/keys/{id_}"
        response.headers["Cache-Control"] = "no-store"
        return KeyMade.of(key, text)

    @router.get("/keys")
    async def list_keys(who: Admin, limit: PageLimit = 100, cursor: Cursor = None) -> KeyPage:
        """List keys by id, without what proves them."""
        everywhere(who)
        after = None if cursor is None else read("bad-cursor", lambda text: text_position("keys", text), cursor)
        return KeyPage.of(await registry().keys.page(after, limit + 1), limit)

    @router.get("/keys/{key_id}")
    async def show(who: Admin, key_id: str) -> KeyOut:
        """Show a key, without what proves it."""
        everywhere(who)
        key = await registry().keys.get(key_id)
        if key is None:
            raise _unknown(key_id)
        return KeyOut.of(key)

    @router.patch("/keys/{key_id}")
    async def change(who: Admin, key_id: str, body: KeyPatch) -> KeyOut:
        """Replace parts of a key; it is in force here at once, and everywhere after a second."""
        everywhere(who)
        with _refusing():
            key = await registry().keys.change(key_id, body.content(), who, now())
        if key is None:
            raise _unknown(key_id)
        keyring.forget(key_id)
        return KeyOut.of(key)

    @router.delete("/keys/{key_id}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Admin, key_id: str) -> None:
        """Revoke a key for good; it is of no use here at once, and nowhere after a second."""
        everywhere(who)
        if not await registry().keys.remove(key_id, who, now()):
            raise _unknown(key_id)
        keyring.forget(key_id)

    return router
