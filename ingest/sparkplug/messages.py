"""What a Sparkplug B message does to what is known of its edge node, and what is read from it. Pure."""

from typing import Annotated, Any, NamedTuple

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import MILLISECONDS, Findings
from ingest.identity import spell
from ingest.memory import memory_key
from ingest.outcomes import Arrival, Ignored
from ingest.sparkplug.datatypes import BOOLEAN
from ingest.sparkplug.metrics import Metrics, definitions, number
from ingest.sparkplug.payload import Payload, UnreadableError, read
from ingest.sparkplug.session import MOST_DEVICES, Node, Session

_WRAPS, _NEWER = 256, 128
_SECOND = 1_000_000_000

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a missing message is waited for, and how a node is asked for a rebirth.

    `rebirth_seconds`: the least time between two requests to a node; it doubles up to `rebirth_most_seconds` as long as
    no birth answers. A birth within `answer_seconds` of a request answers it. `big_endian`: of the elements of arrays.
    """

    reorder_seconds: Seconds = 2.0
    rebirth: bool = True
    rebirth_seconds: Seconds = 30.0
    rebirth_most_seconds: Seconds = 600.0
    answer_seconds: Seconds = 10.0
    big_endian: bool = False


class Place(NamedTuple):
    """What a topic says; `device` is empty in messages of the node itself, and `id` is of whom the message is."""

    base: str
    group: str
    kind: str
    node: str
    device: str
    id: str


class Message:
    """One message at work."""

    def __init__(self, findings: Findings, arrival: Arrival, context: Context, options: Options, place: Place) -> None:
        self._findings, self._context, self._place, self._options = findings, context, place, options
        self._now, self._live = arrival.received, not (arrival.replayed or arrival.retained)
        self._arrival = arrival
        self._reorder, self._answer = int(options.reorder_seconds * _SECOND), int(options.answer_seconds * _SECOND)
        self._key = memory_key("sparkplug", place.base, place.group, place.node)

    def take(self) -> None:
        """Take in the message. What is old, replayed or retained, changes nothing but what is stored."""
        try:
            payload = read(self._arrival.payload, self._context.limits.payload_bytes)
        except UnreadableError as error:
            self._findings.problem(error.reason, str(error))
            if self._live:
                self._unreadable()
            return
        if not self._live:
            self._old(payload)
        elif self._place.kind == "NDEATH":
            self._node_died(number(payload))
        else:
            self._go_on(payload)

    def forget(self) -> None:
        """Trust nothing of this node until its next birth."""
        self._context.memory.release(self._key)

    def _old(self, payload: Any) -> None:  # noqa: ANN401 - its class is made at run time
        """Store what an old message holds, as far as it is known what its aliases meant when it came."""
        if self._place.kind in ("NDEATH", "DDEATH"):
            self._findings.ignore(Ignored.OUTDATED)
        else:
            self._read(payload, None if self._arrival.retained else self._session())

    def _go_on(self, payload: Any) -> None:  # noqa: ANN401 - as _old
        """Take in what the node's session goes on with."""
        place, session = self._place, self._session() or self._begun()
        in_force = session.in_force
        seq = payload.seq % _WRAPS if payload.HasField("seq") else None
        latest = place.kind == "NBIRTH" or session.follow(seq, self._now, self._reorder)
        match place.kind:
            case "NBIRTH":
                self._node_born(session, payload, seq)
            case "DBIRTH":
                self._device_born(session, payload, latest=latest)
            case "DDEATH":
                self._device_died(session, payload, latest=latest)
        self._context.memory.hold(self._key, session, session.size)
        unexplained = place.kind != "DDEATH" and not self._read(payload, session)
        if unexplained:
            session.doubted.add(place.device)
        if session.lost or (unexplained and session.in_force):
            self._ask(session)
        elif session.in_force and not in_force:
            self._trusted_again(session)

    def _session(self) -> Session | None:
        return self._context.memory.held(self._key, Session)

    def _begun(self) -> Session:
        return Session(self._now, self._context.memory.doubted)

    def _node(self) -> Node:
        return self._context.memory.get(self._key, Node) or Node()

    def _read(self, payload: Any, session: Session | None) -> bool:  # noqa: ANN401 - as _old
        place, now, late = self._place, self._now, not self._live
        metrics = Metrics(
            self._findings,
            self._context.limits,
            place.id,
            lambda key: None if session is None else session.find(place.device, key, now, late=late),
            self._node().units.get(place.device, {}),
        )
        return metrics.read(payload, big_endian=self._options.big_endian)

    def _define(self, session: Session, payload: Any) -> None:  # noqa: ANN401 - as _old
        place, units, more = self._place, {}, 0
        for definition, alias in definitions(payload.metrics, depth=self._context.limits.depth):
            if definition.unit:
                units[definition.name] = definition.unit
            more += not session.define(place.device, definition, alias, self._now, self._answer)
        if more:
            self._findings.problem(Reason.TOO_LARGE, f"{more} metrics more than are remembered of one edge node")
        node = self._node()
        if node.units.get(place.device, {}) != units:
            kept = {device: known for device, known in node.units.items() if device != place.device}
            self._remember(msgspec.structs.replace(node, units=kept | {place.device: units} if units else kept))

    def _remember(self, node: Node) -> None:
        self._context.memory.put(self._key, node)

    def _node_born(self, session: Session, payload: Any, seq: int | None) -> None:  # noqa: ANN401 - as _old
        lost = session.lost
        if session.begin(seq, self._now, self._answer) and lost:
            self._context.spacing.answered(self._key)
        bd_seq = number(payload)
        self._remember(msgspec.structs.replace(self._node(), bd_seq=-1 if bd_seq is None else bd_seq))
        self._define(session, payload)
        self._findings.state(self._place.id, online=True)

    def _device_born(self, session: Session, payload: Any, *, latest: bool) -> None:  # noqa: ANN401 - as _old
        device, node = self._place.device, self._node()
        if not latest:
            session.lose()  # what came before it may have been sent after it, and know more
        elif not session.lost:
            session.retire(device)
            self._define(session, payload)
        session.doubted.discard(device)
        session.bear(device, self._now)
        if device not in node.devices:
            if len(node.devices) < MOST_DEVICES:
                self._remember(msgspec.structs.replace(self._node(), devices=[*node.devices, device]))
            else:
                self._findings.problem(Reason.TOO_LARGE, f"there are more than {MOST_DEVICES} devices behind the node")
        self._findings.state(self._place.id, online=True)

    def _device_died(self, session: Session, payload: Any, *, latest: bool) -> None:  # noqa: ANN401 - as _old
        device, node = self._place.device, self._node()
        if latest:
            session.retire(device)
        else:
            session.lose()
        stated = payload.timestamp if payload.HasField("timestamp") else None
        moment = self._findings.when(stated, unit=MILLISECONDS)
        if moment is not None and moment.ts < session.born.get(device, 0) and latest:
            moment = None  # its clock is behind ours, by which it was born
        self._findings.state(self._place.id, moment, online=False, reason="DDEATH")
        if device in node.devices:
            left = [other for other in node.devices if other != device]
            self._remember(msgspec.structs.replace(node, devices=left))

    def _node_died(self, bd_seq: int | None) -> None:
        place, session, node = self._place, self._session(), self._node()
        if session is not None:
            session.bound(self._now)
        if bd_seq is not None and node.bd_seq not in (-1, bd_seq):
            newer = (bd_seq - node.bd_seq) % _WRAPS < _NEWER
            trusted = session is not None and not session.lost
            if trusted or not newer:
                if session is not None and newer:
                    session.lose()  # of a connection whose birth was missed
                self._findings.ignore(Ignored.OUTDATED)
                return
        self._context.memory.release(self._key)
        for of in (place.id, *(spell(place.group, place.node, device) for device in node.devices)):
            self._findings.state(of, online=False, reason="NDEATH")
        if node.devices:
            self._remember(msgspec.structs.replace(node, devices=[]))

    def _unreadable(self) -> None:
        """Take into account that a birth may be hidden in what cannot be read."""
        session = self._session() or self._begun()
        if self._place.kind in ("NBIRTH", "DBIRTH"):
            session.lose()
        elif self._place.kind == "NDEATH":
            session.bound(self._now)
            session.lose()
        self._context.memory.hold(self._key, session, session.size)
        self._ask(session)

    def _trusted_again(self, session: Session) -> None:
        """Let the letters of meanwhile be replayed, now that what was missing has come."""
        doubted = sorted(session.doubted)
        session.doubted.clear()
        for device in doubted:
            names = (self._place.group, self._place.node, device)
            self._findings.state(spell(*(names if device else names[:2])), online=True)

    def _ask(self, session: Session) -> None:
        """Ask the node for a rebirth, unless it was asked moments ago."""
        place, options = self._place, self._options
        least, most = int(options.rebirth_seconds * _SECOND), int(options.rebirth_most_seconds * _SECOND)
        if options.rebirth and self._context.spacing.due(self._key, self._now, least, most):
            session.ask(self._now)
            self._findings.request(f"{place.base}/{place.group}/NCMD/{place.node}".lstrip("/"), rebirth(self._now))


def rebirth(now: int) -> bytes:
    """Write the command that asks a node for a rebirth; `now` in ns since 1970 UTC."""
    payload = Payload(timestamp=now // MILLISECONDS)
    metric = payload.metrics.add(name=b"Node Control/Rebirth", timestamp=now // MILLISECONDS, datatype=BOOLEAN)
    metric.boolean_value = True
    written: bytes = payload.SerializeToString()
    return written
