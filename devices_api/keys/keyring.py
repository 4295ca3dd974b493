"""The API keys that are in use here: looked up by id, remembered for a moment, and when each was used last."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from devices_api.access import Principal
from devices_api.keys import keys
from devices_api.keys.keys import Key

if TYPE_CHECKING:
    from devices_api.repository import Repository

LIFETIME_S = 1.0
"""For so long a key is not looked up again; a key that is revoked at another replica is in force here for as long."""

MOST = 1024
"""Keys that are remembered."""

_NO_HASH = "0" * 64


class Keyring:
    """Proves keys. Raises UnavailableError while the database is away and a key has to be looked up.

    A key is found by its id, which is the table's primary key: a wrong one never costs more than one look-up, and its
    secret is hashed and compared as the right one's is. Keys that there are not are not remembered, so that made-up
    ones displace none. `now` gives ns since 1970 UTC, `clock` s that never go back.
    """

    def __init__(
        self, registry: "Callable[[], Repository]", now: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self._registry, self._now, self._clock = registry, now, clock
        self._found: OrderedDict[str, tuple[float, Key]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Key | None]] = {}
        self._used: dict[str, int] = {}

    def knows(self, text: str) -> bool:
        """Whether a key with the id of `text` was proved here not long ago."""
        return keys.key_id(text) in self._found

    async def prove(self, text: str) -> Key | None:
        """Return the key whose text this is, if it is good now."""
        id_ = keys.key_id(text)
        key = await self._get(id_) if id_ else None
        if not keys.same(text, _NO_HASH if key is None else key.hash) or key is None:
            return None
        return self._in_use(key)

    async def still(self, id_: str) -> Key | None:
        """Return the key with an id, if it is good now; it was proved before."""
        key = await self._get(id_)
        return None if key is None else self._in_use(key)

    async def holds(self, who: Principal) -> bool:
        """Whether what `who` has proved is good now, and lets them do and see the same."""
        if who.expires is not None and who.expires <= self._now():
            return False
        key = await self.still(who.key) if who.key else None
        return not who.key or (key is not None and (key.scopes, key.groups) == (who.scopes, who.view))

    def forget(self, id_: str) -> None:
        """Look a key up again, for it was changed."""
        self._found.pop(id_, None)

    async def flush(self) -> None:
        """Write down when keys were used last; what cannot be written is kept for the next time."""
        used, self._used = self._used, {}
        try:
            await self._registry().keys.used(used)
        except BaseException:
            self._used = used | self._used
            raise

    def _in_use(self, key: Key) -> Key | None:
        now = self._now()
        if not key.good(now):
            return None
        self._used[key.id] = now
        return key

    async def _get(self, id_: str) -> Key | None:
        found = self._found.get(id_)
        if found is not None and self._clock() < found[0]:
            self._found.move_to_end(id_)
            return found[1]
        # Those who ask for it meanwhile wait for the same answer.
        looking = self._looking.get(id_)
        if looking is None:
            looking = self._looking[id_] = asyncio.create_task(self._look_up(id_))
            looking.add_done_callback(lambda _: self._looking.pop(id_))
        return await asyncio.shield(looking)

    async def _look_up(self, id_: str) -> Key | None:
        until = self._clock() + LIFETIME_S  # from before it is read
        key = await self._registry().keys.get(id_)
        self._found.pop(id_, None)
        if key is not None:
            self._found[id_] = until, key
            if len(self._found) > MOST:
                self._found.popitem(last=False)
        return key
