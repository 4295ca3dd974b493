"""What becomes of the parts of a decoded message: each goes where it belongs, and the message is counted once. Pure."""

from collections.abc import Callable

from contracts.deadletters import Reason
from contracts.presence import Presence
from contracts.readings import Reading
from contracts.streams import partition_of
from ingest.admit import REFUSED, Admission
from ingest.cycle import Cycle
from ingest.descriptions import Descriptions
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome, Problems
from ingest.routes import Route

MOST_REFUSED = 16
"""Dead letters for one message from devices that may not send; further ones are only named in the last."""

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
        stored = self._admit(cycle, arrival, decoded, problems, refused)
        for device, readings in stored.items():
            cycle.add(partition_of(device, cycle.partitions), readings)
        if decoded.left_out is not None:
            cycle.left_out.update(decoded.left_out)
        told = self._states(cycle, arrival, decoded)
        self._describe(cycle, arrival, decoded)
        for topic, payload in decoded.requests:
            self._request(topic, payload)
        self._reject(cycle, arrival, route, problems, refused)
        if stored:
            why = problems.reason if problems else next(iter(refused.values()), "")
            cycle.outcomes[Outcome.STORED, why] += 1
        elif problems:
            cycle.outcomes[Outcome.REJECTED, problems.reason] += 1
        elif refused:
            cycle.outcomes[Outcome.REJECTED, next(iter(refused.values()))] += 1
        elif decoded.ignored is Ignored.PRESENCE and not told:
            cycle.outcomes[Outcome.IGNORED, Ignored.UNKNOWN_DEVICE] += 1
        else:
            cycle.outcomes[Outcome.IGNORED, decoded.ignored or Ignored.EMPTY] += 1

    def announce(self, cycle: Cycle, device: str, now: int) -> None:
        """Ask for a device that is not registered, and may send even so, to be registered."""
        if self._admission.announces(device, now):
            cycle.add_presence(Presence(1, device, "seen", now))

    def _admit(
        self, cycle: Cycle, arrival: Arrival, decoded: Decoded, problems: Problems, refused: dict[str, Reason]
    ) -> dict[str, list[Reading]]:
        """Give the readings to be stored, by device. Who may not send is noted in `refused`."""
        admission = self._admission
        sent: dict[str, list[Reading]] = {}
        for reading in decoded.readings:
            sent.setdefault(reading.device, []).append(reading)
        stored: dict[str, list[Reading]] = {}
        for device, readings in sent.items():
            refusal = admission.admit(device)
            if refusal is None and not admission.in_time(device, readings, arrival):
                refusal = Reason.RATE_LIMITED
            if refusal is not None:
                refused[device] = refusal
                continue
            if kept := admission.fit(readings, decoded, problems):
                stored[device] = kept
                self.announce(cycle, device, arrival.received)
        return stored

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

    def _describe(self, cycle: Cycle, arrival: Arrival, decoded: Decoded) -> None:
        for device, facts in (decoded.facts or {}).items():
            self._descriptions.learn(device, facts)
        for device, units in (decoded.units or {}).items():
            self._descriptions.learn_units(device, units)
        for device, facts in self._descriptions.news():
            cycle.add_presence(Presence(1, device, "described", arrival.received, "", dict(facts)))

    def _reject(
        self, cycle: Cycle, arrival: Arrival, route: Route, problems: Problems, refused: dict[str, Reason]
    ) -> None:
        if problems:
            device = route.device
            cycle.reject(arrival, problems.reason, problems.detail, device, route)
            self._tell(device, problems.reason, problems.detail, arrival)
        kept = [device for device, reason in refused.items() if reason is not Reason.RATE_LIMITED]
        for number, device in enumerate(kept[:MOST_REFUSED], start=1):
            detail = REFUSED[refused[device]]
            if number == MOST_REFUSED < len(kept):
                detail = f"{detail}; so have {len(kept) - number} more devices of this message"
            cycle.reject(arrival, refused[device], detail, device, route)
        for device, reason in refused.items():
            self._tell(device, reason, REFUSED[reason], arrival)
