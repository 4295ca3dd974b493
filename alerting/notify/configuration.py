"""All documents together, ready for use: the routes, who may be told, and what mutes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from alerting.calendars import Calendar
from alerting.notify.chains import Chain, ChainSpec, compile_chain
from alerting.notify.document import Document, Kind
from alerting.notify.inhibition import Inhibition, compile_inhibition
from alerting.notify.routing import (
    BUILT_IN,
    Route,
    RoutingSpec,
    compile_routes,
    default_routing,
    receivers_problem,
)
from alerting.notify.silences import Silence, SilenceSpec, compile_silence

Spec = TypeVar("Spec", bound=BaseModel)


class Configuration(msgspec.Struct, frozen=True):
    """What decides who is told. `problems` are what of the documents could not be used, and is left out."""

    root: Route
    inhibitions: tuple[Inhibition, ...] = ()
    silences: tuple[Silence, ...] = ()
    ends: frozenset[str] = frozenset()
    """Receivers that are told when alerts end."""
    problems: tuple[str, ...] = ()

    def deaf(self, receiver: str) -> bool:
        """Whether a receiver is told of no end: it does not want it, or is no longer there."""
        return receiver not in self.ends


def configure(documents: Iterable[Document], *, built_in: bool) -> Configuration:
    """Make documents ready for use. What cannot be used, such as what an earlier version wrote, is told in `problems`.

    `built_in`: there is the built-in receiver, which is told of everything where there is no routing document.
    """
    by_kind = _by_kind(documents)
    problems: list[str] = []
    absent = not built_in and not any(doc.id == BUILT_IN for doc in by_kind[Kind.RECEIVER])
    calendars = _read(by_kind[Kind.CALENDAR], Calendar, problems)
    chains = {name: compile_chain(spec) for name, spec in _read(by_kind[Kind.CHAIN], ChainSpec, problems).items()}
    silences = []
    for name, spec in _read(by_kind[Kind.SILENCE], SilenceSpec, problems).items():
        try:
            silences.append(compile_silence(name, spec, calendars))
        except ValueError as error:
            problems.append(f"silence {name!r}: {error}")
    routing = next(iter(_read(by_kind[Kind.ROUTING], RoutingSpec, problems).values()), None)
    root = None
    if routing is not None:
        try:
            root = compile_routes(routing.route, chains, calendars, {BUILT_IN} if absent else set())
        except ValueError as error:
            problems.append(f"routing: {error}")
    if root is None:
        routing = default_routing(built_in=not absent)
        root = compile_routes(routing.route, {}, {})
    return Configuration(
        root=root,
        inhibitions=tuple(compile_inhibition(spec) for spec in routing.inhibitions) if routing is not None else (),
        silences=tuple(silences),
        ends=frozenset(doc.id for doc in by_kind[Kind.RECEIVER] if doc.content.get("send_resolved", True))
        | (frozenset() if absent else {BUILT_IN}),
        problems=tuple(problems),
    )


def problem_of(documents: Sequence[Document]) -> str | None:
    """Say what is wrong with documents together: one names another that is not there. None if nothing is."""
    by_kind = _by_kind(documents)
    receivers = {document.id for document in by_kind[Kind.RECEIVER]} | {BUILT_IN}
    try:
        calendars = {doc.id: Calendar.model_validate(doc.content) for doc in by_kind[Kind.CALENDAR]}
        chains: dict[str, Chain] = {}
        for doc in by_kind[Kind.CHAIN]:
            chains[doc.id] = compile_chain(ChainSpec.model_validate(doc.content))
            if missing := sorted(chains[doc.id].receivers - receivers):
                return f"the chain {doc.id!r} names the receiver {missing[0]!r}, which is not there"
        for doc in by_kind[Kind.SILENCE]:
            compile_silence(doc.id, SilenceSpec.model_validate(doc.content), calendars)
        for doc in by_kind[Kind.ROUTING]:
            routing = RoutingSpec.model_validate(doc.content)
            compile_routes(routing.route, chains, calendars)
            return receivers_problem(routing.route, receivers)
    except ValueError as error:
        return str(error)
    return None


def _by_kind(documents: Iterable[Document]) -> Mapping[Kind, list[Document]]:
    found: dict[Kind, list[Document]] = {kind: [] for kind in Kind}
    for document in documents:
        found[document.kind].append(document)
    return found


def _read(documents: Iterable[Document], spec: type[Spec], problems: list[str]) -> dict[str, Spec]:
    found = {}
    for document in documents:
        try:
            found[document.id] = spec.model_validate(document.content)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{document.kind} {document.id!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    return found
