"""How long a reading takes from just before it is published until the query API has it."""

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Protocol, Self
from urllib.parse import quote, urlsplit

import msgspec

from contracts import logs, topics
from simulators.mqtt import Broker, Connection
from simulators.payloads import encode_values, payload

METRIC = "sequence"
POLL_S = 0.003
_CONNECT_S = 10.0


class Record(Protocol):
    """A ledger, as the probe sees it."""

    def record(
        self, device: str, ts: int, values: bytes | None, published: int, fault: tuple[str, bytes] | None
    ) -> int:
        """Enter a message; returns its number."""

    def acked(self, number: int, at: int) -> None:
        """Enter an acknowledgement."""


class _Value(msgspec.Struct):
    value: float | bool | str


class _Latest(msgspec.Struct):
    values: dict[str, _Value]


_decode = msgspec.json.Decoder(_Latest).decode


class Probe:
    """Publishes readings of a device of its own at QoS 1, and polls the query API at `url` for each.

    With `now` (ns) its readings carry that time, without it they are stored at their time of arrival. With `ledger`
    too, they are recorded there. Use it as an asynchronous context manager.
    """

    def __init__(  # noqa: PLR0913 - keyword-only but for where things are
        self,
        mqtt_host: str,
        mqtt_port: int,
        url: str,
        key: str,
        *,
        device: str = "probe",
        timeout_s: float = 10.0,
        now: Callable[[], int] | None = None,
        ledger: Record | None = None,
    ) -> None:
        self._device, self._timeout_s, self._now, self._ledger = device, timeout_s, now, ledger
        if ledger is not None and now is None:
            raise ValueError("a probe with a ledger needs `now`: the ledger holds times")
        self._api = _Latests(url, key, device)
        self._sequence = 0
        self._connection = Connection(
            Broker(mqtt_host, mqtt_port),
            client_id=f"simulator-{device}",
            devices=[device],
            acked=self._acked,
            reconnected=lambda: None,
            window=1000,
            rng=Random(),  # noqa: S311 - spreads reconnections, nothing more
            log=logs.quiet(),
        )

    async def __aenter__(self) -> Self:
        self._connection.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._api.close()
        await self._connection.stop(1.0)

    async def measure(self) -> float:
        """Publish one reading; returns the seconds until the API gave it back.

        Raises TimeoutError if it had not within `timeout_s`, or the broker could not be reached.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            await self._connection.accepted.wait()
            # Unlike what any earlier probe of this device has left in the store.
            self._sequence = max(self._sequence + 1, int(loop.time() * 1e6))
            began = loop.time()
            self._publish()
            while await self._api.get() != float(self._sequence):  # noqa: ASYNC110 - see below
                # Another process holds it: there is nothing to wait on. Long waits are polled to within a twentieth,
                # so that asking a busy API does not make it busier.
                await asyncio.sleep(max(POLL_S, (loop.time() - began) / 20))
            return loop.time() - began

    def _publish(self) -> None:
        encoded = encode_values({METRIC: float(self._sequence)})
        number, body = 0, encoded  # a flat object: with no ts beside it, "values" would be a metric's name
        if self._now is not None:
            ts = self._now()
            body = payload(ts, encoded)
            if self._ledger is not None:
                number = self._ledger.record(self._device, ts, encoded, ts, None)
        self._connection.publish(topics.telemetry(self._device), body, number)

    def _acked(self, number: int) -> None:
        if self._ledger is not None and self._now is not None:
            self._ledger.acked(number, self._now())


class _Latests:
    """The probe's last stored value, asked over one HTTP connection that is kept: a tenth of httpx's work."""

    def __init__(self, url: str, key: str, device: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        path = f"{parts.path.rstrip('/')}/api/v1/devices/{quote(device, safe='')}/telemetry/latest"
        self._request = (f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n\r\n").encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self) -> float | bool | str | None:
        """Give the value, or None if there is none or the API does not answer."""
        try:
            if self._streams is None:
                async with asyncio.timeout(_CONNECT_S):
                    self._streams = await asyncio.open_connection(self._host, self._port)
            reader, writer = self._streams
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            self.close()
            return None
        except BaseException:  # cancelled in the middle of an answer: what is left of it belongs to no one
            self.close()
            raise
        if b" 200 " not in head[:16]:
            return None
        with contextlib.suppress(msgspec.DecodeError):
            found = _decode(body).values.get(METRIC)
            return None if found is None else found.value
        return None

    def close(self) -> None:
        """Release the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
