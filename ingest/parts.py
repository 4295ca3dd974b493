"""What becomes of the parts of a decoded message: each goes where it belongs, and the message is counted once. Pure."""

from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from contracts.deadletters import Reason
from contracts.presence import Presence
from contracts.readings import Reading
from contracts.streams import partition_of
from contracts.uplink import Uplink
from ingest.admit import REFUSED, Admission
from ingest.cycle import Cycle
from ingest.descriptions import Descriptions
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome, Problems
from ingest.routes import Route
from ingest.values import shown

MOST_REFUSED = 16
"""So many devices of one message get a dead letter each if they may not send, which is replayed once they may; more of
them get one together, for an operator to replay. No more than so many are told of it."""

UNIT_CHANGED = "unit_changed"
"""Flag of a reading in which a metric is in another unit than before; its detail names the metrics."""

Tell = Callable[[str, Reason, str, Arrival], None]
"""Tells a device, by its id, what was wrong with its message."""


class Parts:
    """Sorts what decoding found. `tell` answers devices; `request` publishes what a decoder asks for."""

    def __init__(
        self, admission: Admission, descriptions: Descriptions, tell: Tell, request: Callable[[str, bytes], None]
    ) -> None:
        self._admission, self._descriptions = admission, descriptions
        self._tell, self._request = tell, request

    def sort(self, cycle: Cycle, arrival: Arrival, route: Route, decoded: Decoded) -> None:
        """Put each part of a decoded message where it belongs."""
        problems = decoded.problems or Problems()
        refused: dict[str, Reason] = {}
        other_units = {} if arrival.replayed else self._learn(decoded)
        stored = self._admit(cycle, arrival, route, decoded, problems, refused)
        for device, readings in stored.items():
            flagged = _flag_units(readings, other_units[device]) if device in other_units else readings
            cycle.add(partition_of(device, cycle.partitions), flagged)
        if decoded.left_out is not None:
            cycle.left_out.update(decoded.left_out)
        told = self._states(cycle, arrival, decoded)
        passed_on = self._pass_on(cycle, arrival, decoded.uplink, refused)
        for topic, payload in decoded.requests:
            self._request(topic, payload)
        if problems:
            device = _device_of(route, decoded)
            cycle.reject(arrival, problems.reason, problems.detail, device, route)
            self._tell(device, problems.reason, problems.detail, arrival)
        self._reject(cycle, arrival, route, refused)
        if stored or passed_on:
            why = problems.reason if problems else next(iter(refused.values()), "")
            cycle.outcomes[Outcome.STORED, why] += 1
        elif problems:
            cycle.outcomes[Outcome.REJECTED, problems.reason] += 1
        elif refused:
            cycle.outcomes[Outcome.REJECTED, next(iter(refused.values()))] += 1
        else:
            why = decoded.ignored or Ignored.EMPTY
            cycle.ignore(Ignored.UNKNOWN_DEVICE if why is Ignored.PRESENCE and not told else why, route.decoder)

    def registered(self, device: str) -> None:
        """Tell the registry, which has the device now, what is known of it."""
        self._descriptions.registered(device)

    def finish(self, cycle: Cycle, now: int) -> None:
        """Put into a cycle, before it is written, what the registry is to hear besides."""
        for device, facts in self._descriptions.news():
            cycle.add_presence(Presence(1, device, "described", now, "", facts))

    def announce(self, cycle: Cycle, device: str, now: int) -> None:
        """Ask for a device that is not registered, and may send even so, to be registered."""
        if self._admission.announces(device, now):
            cycle.add_presence(Presence(1, device, "seen", now))

    def _admit(
        self,
        cycle: Cycle,
        arrival: Arrival,
        route: Route,
        decoded: Decoded,
        problems: Problems,
        refused: dict[str, Reason],
    ) -> dict[str, list[Reading]]:
        """Give the readings to be stored, by device. Who may not send is noted in `refused`."""
        admission = self._admission
        sent: dict[str, list[Reading]] = {}
        # The route, or what was announced, may give the device another id by now: then it is all of the message.
        about = arrival.about if any(reading.device == arrival.about for reading in decoded.readings) else ""
        for reading in decoded.readings:
            if not about or reading.device == about:
                sent.setdefault(reading.device, []).append(reading)
        stored: dict[str, list[Reading]] = {}
        for device, readings in sent.items():
            if (refusal := self._refusal(device, readings, arrival)) is not None:
                refused[device] = refusal
            elif kept := admission.fit(readings, decoded, problems, route.name):
                stored[device] = kept
                self.announce(cycle, device, arrival.received)
        return stored

    def _pass_on(self, cycle: Cycle, arrival: Arrival, uplink: Uplink | None, refused: dict[str, Reason]) -> bool:
        """Pass a message on as it is, unless its device may not send; returns whether it is."""
        if uplink is None:
            return False
        device = uplink.device
        if device:  # where there is none yet, the registry decides
            if (refusal := self._refusal(device, (), arrival)) is not None:
                refused[device] = refusal
                return False
            self.announce(cycle, device, arrival.received)
        cycle.add_uplink(uplink)
        return True

    def _refusal(self, device: str, readings: Sequence[Reading], arrival: Arrival) -> Reason | None:
        """Why nothing of a message is taken from `device`, or None if it may send it."""
        refusal = self._admission.admit(device)
        if refusal is None and not self._admission.in_time(device, readings, arrival):
            return Reason.RATE_LIMITED
        return refusal

    def _states(self, cycle: Cycle, arrival: Arrival, decoded: Decoded) -> bool:
        """Pass on who is online; returns whether there was anybody to pass on."""
        told = False
        for state in decoded.states:
            if self._admission.admit(state.device) is not Reason.UNKNOWN_DEVICE and not arrival.replayed:
                cycle.add_presence(
                    Presence(1, state.device, "online" if state.online else "offline", state.at, state.reason)
                )
                told = True
        return told

    def _learn(self, decoded: Decoded) -> dict[str, list[str]]:
        """Take in what devices say of themselves; gives the metrics, by device, that were in another unit before."""
        for device, facts in (decoded.facts or {}).items():
            self._descriptions.learn(device, facts)
        return {
            device: changed
            for device, units in (decoded.units or {}).items()
            if (changed := self._descriptions.learn_units(device, units))
        }

    def _reject(self, cycle: Cycle, arrival: Arrival, route: Route, refused: dict[str, Reason]) -> None:
        for device, reason in islice(refused.items(), MOST_REFUSED):
            self._tell(device, reason, REFUSED[reason], arrival)
        kept = {device: reason for device, reason in refused.items() if reason is not Reason.RATE_LIMITED}
        # A whole message that is replayed and refused again has one dead letter, as it had before.
        one_by_one = 1 if arrival.replayed else MOST_REFUSED
        if len(kept) <= one_by_one:
            for device, reason in kept.items():
                cycle.reject(arrival, reason, REFUSED[reason], device, route)
        else:
            reason = next(iter(kept.values()))
            named = ", ".join(map(shown, list(kept)[:MOST_REFUSED]))
            detail = f"{REFUSED[reason]}; it holds readings of {len(kept)} such devices: {named}"
            cycle.reject(arrival, reason, detail, "", route)


def _flag_units(readings: list[Reading], changed_metrics: list[str]) -> list[Reading]:
    """Flag the readings with one of the metrics whose unit is another one than the device used before."""
    metrics = set(changed_metrics)
    flagged = []
    for reading in readings:
        changed = [shown(metric) for metric in reading.values if metric in metrics]
        flags = reading.flags | {UNIT_CHANGED: ", ".join(changed)} if changed else reading.flags
        flagged.append(msgspec.structs.replace(reading, flags=flags))
    return flagged


def _device_of(route: Route, decoded: Decoded) -> str:
    """Give the device that a message is about, if it is about one alone."""
    if named := route.device or decoded.device:
        return named
    devices = {reading.device for reading in decoded.readings} | {state.device for state in decoded.states}
    return devices.pop() if len(devices) == 1 else ""
