"""KV `ingest_sessions`: what each session was subscribed to, so that a later run knows what to end."""

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError

from contracts.devices import kv_key
from contracts.jetstream import Link, ensure_bucket
from contracts.logs import Log

BUCKET = "ingest_sessions"

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(list[str])


class NotRememberedError(Exception):
    """The stream server did not answer; it has to be tried again."""


class Sessions:
    """Remembers topic filters for one client id."""

    def __init__(self, link: Link, client_id: str, log: Log) -> None:
        self._link, self._key, self._log = link, kv_key(client_id), log

    async def load(self) -> frozenset[str]:
        """Return the filters, or none. Raises NotRememberedError."""
        try:
            bucket = await ensure_bucket(self._link.js, BUCKET)
            entry = await bucket.get(self._key)
        except KeyNotFoundError:
            return frozenset()
        except (NatsError, TimeoutError) as error:
            raise NotRememberedError(str(error)) from error
        try:
            return frozenset(_decoder.decode(entry.value or b"[]"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._log.warning("session.unreadable", key=self._key, error=str(error))
            return frozenset()

    async def save(self, filters: frozenset[str]) -> None:
        """Return once the filters are on disk. Raises NotRememberedError."""
        try:
            bucket = await ensure_bucket(self._link.js, BUCKET)
            await bucket.put(self._key, _encode(sorted(filters)))
        except (NatsError, TimeoutError) as error:
            raise NotRememberedError(str(error)) from error
