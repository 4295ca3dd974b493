"""The parts of a fleet as the plan takes them, from how a scenario describes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulators.connections.outlet import Line
from simulators.faults.inject import Fault, Faults
from simulators.faults.target import Target
from simulators.formats.wire import Format
from simulators.models.model import Model
from simulators.plan.devices import Device
from simulators.plan.plan import Part

_NUMBERS = 10_000_000
"""Numbers that each part has for its devices; several processes take different ones of them, by `first`."""

SHARED_PREFIX = "simulator"


@dataclass(frozen=True)
class Group:
    """Devices that are alike: `count` of them from number `first` on, and how they are connected.

    `connections` is how many they share; None: each device has its own, but for those behind a gateway, which have its.
    """

    model: Model
    format: Format
    count: int
    rate: float
    client: str = "native"
    first: int = 0
    prefix: str = ""
    connections: int | None = None
    faults: Sequence[Fault] = ()


def parts_of(groups: Sequence[Group], seed: int) -> list[Part]:
    """Make the parts of a fleet. Those that are behind gateways are parts of their own, after their gateways'.

    Raises ValueError for a fault that nobody can have.
    """
    found: list[Part] = []
    for group in groups:
        base = len(found) * _NUMBERS + group.first
        prefix = group.prefix or group.model.prefix
        gateways = [
            Device(base + n, f"{prefix}-{group.first + n + 1:03d}", len(found), base + n) for n in range(group.count)
        ]
        found.append(Part(group.model, group.format, gateways, group.rate))
        children = group.model.children
        if children is not None:
            base = len(found) * _NUMBERS + group.first * children.count
            behind = [
                Device(
                    base + n * children.count + k,
                    f"{gateway.id}-{children.model.prefix}-{k + 1}",
                    len(found),
                    gateway.number,
                )
                for n, gateway in enumerate(gateways)
                for k in range(children.count)
            ]
            found.append(Part(children.model, group.format, behind, group.rate))
        if group.faults:
            count = 1 if children is None else 2
            found[-count:] = _with_faults(group, found[-count:], seed)
    return found


def _with_faults(group: Group, parts: Sequence[Part], seed: int) -> list[Part]:
    """Give the parts of a group their faults; one that is not about gateways is about what is behind them."""
    targets = [
        Target(seed, part.model, part.format, part.devices, own=group.connections is None and at == 0)
        for at, part in enumerate(parts)
    ]
    found = []
    for part, target in zip(parts, targets, strict=True):
        faults = [fault for fault in group.faults if fault.concerns(target) or not any(map(fault.concerns, targets))]
        found.append(replace(part, injector=Faults(faults, target)))
    return found


def lines_of(groups: Sequence[Group], parts: Sequence[Part]) -> list[tuple[str, Line]]:
    """Say which connections there are, which devices publish by each, and by which client."""
    lines: list[tuple[str, Line]] = []
    left = list(parts)
    for group in groups:
        own = left.pop(0)
        behind = left.pop(0) if group.model.children is not None else None
        shares: list[list[Device]] = [[device] for device in own.devices]
        if group.connections is not None:
            shares = [
                list(own.devices[n :: group.connections]) for n in range(min(group.connections, len(own.devices)))
            ]
        for share in shares:
            mine = {device.number for device in share}
            children = [device for device in behind.devices if device.via in mine] if behind is not None else []
            lines.append((group.client, _line(own.format, [*share, *children], alone=len(share) == 1)))
    return lines


def _line(spoken: Format, devices: list[Device], *, alone: bool) -> Line:
    first = devices[0]
    return Line(
        client_id=first.id if alone else f"{SHARED_PREFIX}-{first.id}",
        devices=devices,
        will=(lambda: spoken.will(first)) if alone else lambda: None,
        subscriptions=list(dict.fromkeys(filter_ for device in devices for filter_ in spoken.subscriptions(device))),
        kept=not spoken.session,
        stamp=spoken.stamp if spoken.session else None,
    )
