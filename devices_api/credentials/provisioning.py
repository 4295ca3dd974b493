"""Becoming a device: a claim key and an id for a credential."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from contracts.topics import device_id_problem, named_in, provision_response
from contracts.uplink import Uplink
from devices_api.credentials.broker_rules import RESERVED, device_username
from devices_api.credentials.claims import Claims
from devices_api.credentials.credentials import LONGEST_SECRET, Credential, RefusedError, digest
from devices_api.credentials.issuing import Issuing
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.twins.uplink import Told

MOST_FACTS = 50
_LONGEST_REQUEST = 64 << 10


@dataclass(frozen=True)
class Provisioned:
    """What a new device is told, once."""

    device: str
    credential: str
    username: str
    secret: str


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a device sends over MQTT."""

    key: str
    id: str
    facts: Annotated[dict[str, str], msgspec.Meta(max_length=MOST_FACTS)] = {}


class Provisioning:
    """Gives devices their credentials. `registered` is called after each; `now` gives ns since 1970 UTC."""

    def __init__(
        self, claims: Claims, issuing: Issuing, metrics: Metrics, now: Callable[[], int], registered: Callable[[], None]
    ) -> None:
        self._claims, self._issuing, self._metrics = claims, issuing, metrics
        self._now, self._registered = now, registered

    async def become(self, key: str, id_: str, facts: Mapping[str, str]) -> Provisioned:
        """Register a device by a claim key.

        Raises RefusedError with why not, and UnavailableError if it cannot be done now.
        """
        now = self._now()
        if not key or len(key) > LONGEST_SECRET:
            raise RefusedError("claim-unknown", "There is no such claim key.")
        claim = await self._claims.find(digest(key))
        if claim is None:
            raise RefusedError("claim-unknown", "There is no such claim key.")
        if not claim.open(now):
            raise RefusedError("claim-used-up", "The claim key has been used as often as it may, or is over.")
        if device_id_problem(id_) or id_ in RESERVED or not claim.takes(id_):
            raise RefusedError("bad-device-id", f"The claim key is for ids like {claim.pattern!r}, not {id_!r}.")
        secret = self._issuing.secret()
        new = Credential(
            self._issuing.id(), id_, claim.kind, claim.name, await self._issuing.hashed(claim.kind, secret), now, now,
            claim=claim.id,
        )  # fmt: skip
        username = device_username(id_, new.id)
        async with self._issuing.told(username, secret):
            await self._claims.become(claim, new, facts, now)
        self._issuing.changed()
        self._metrics.provisioned.labels("claim").inc()
        self._registered()
        return Provisioned(id_, new.id, username, secret)

    async def answer(self, message: Uplink) -> bytes:
        """Do what a device has asked for over MQTT, and give the answer to it, as JSON.

        The same message again gives another secret in the place of the first, for as long as nobody has used that.
        """
        try:
            request = _read(message.payload)
            told: dict[str, Any] = vars(await self.become(request.key, request.id, request.facts))
        except RefusedError as error:
            told = {"error": error.slug, "detail": str(error)}
        except UnavailableError as error:
            told = {"error": "unavailable", "detail": f"{error}. Ask again later."}
        if "error" in told:
            self._metrics.provision_refused.labels(told["error"]).inc()
        return msgspec.json.encode(told)


class Answering:
    """Answers those who ask over MQTT, by `publish`."""

    def __init__(
        self, provisioning: Provisioning, publish: Callable[[str, bytes], Awaitable[None]], metrics: Metrics
    ) -> None:
        self._provisioning, self._publish, self._metrics = provisioning, publish, metrics

    async def take(self, told: Sequence[Told]) -> None:
        """Do what was asked, and answer it; see devices_api.twins.uplink.Handler.

        Nothing is done twice because something was away: whoever asks is there to ask again, and is told so if it can
        be told.
        """
        for one in told:
            answer = await self._provisioning.answer(one.uplink)
            try:
                await self._publish(provision_response(named_in(one.uplink.topic)), answer)
            except UnavailableError:
                self._metrics.provision_refused.labels("unanswered").inc()


def _read(payload: bytes) -> _Request:
    if len(payload) > _LONGEST_REQUEST:
        raise RefusedError("bad-request", f"A request has at most {_LONGEST_REQUEST} bytes.")
    try:
        return msgspec.json.decode(payload, type=_Request)
    except msgspec.MsgspecError as error:
        raise RefusedError("bad-request", str(error)) from error
