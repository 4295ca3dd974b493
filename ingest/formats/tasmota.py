"""Tasmota: sensors, relays and the state of a device, on topics whose parts the user puts in order.

Times are local, in a zone that is not told. Devices of other makers, heard over Zigbee, are split from their bridge.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import inner, kind, read_object
from ingest.leaf_units import LeafUnits
from ingest.outcomes import Arrival, Decoded, Ignored, about, ignored, rejected
from ingest.plain import text_of
from ingest.routes import Route
from ingest.tasmota import NO_METRICS, OUTPUT, SWITCH, booleans, metrics_of, pattern, units_of
from ingest.times import NO_FLAGS
from ingest.values import Refused, shown

_ACTION = re.compile(r"(?:BUTTON|SWITCH)[0-9]+")
_NUMBER = re.compile("[0-9]+$")
_ABOUT_ZIGBEE = frozenset({"Device", "Name", "IEEEAddr", "Endpoint", "Group", "ModelId", "Manufacturer"})
_ZIGBEE_HEALTH = frozenset({"LinkQuality", "BatteryPercentage", "BatteryVoltage"})
_FACTS = {
    "Module": "model",
    "Version": "firmware",
    "Hostname": "hostname",
    "IPAddress": "ip",
    "RestartReason": "restart",
}
_DISCOVERED = {"dn": "name", "md": "model", "sw": "firmware", "mac": "mac", "hn": "hostname", "ip": "ip"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`pattern` is the FullTopic of the devices: where in a topic `%prefix%` and `%topic%` are."""

    pattern: str = "%prefix%/%topic%/"

    def __post_init__(self) -> None:
        pattern(self.pattern)


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one message of a device."""
    options = route.options
    assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
    if "discovery" in route.levels and route.levels[-1] in ("config", "sensors"):
        return _discovery(arrival, route, context)
    match = pattern(options.pattern).fullmatch(arrival.topic)
    if match is None:
        return rejected(Reason.MALFORMED, f"the topic is not of the pattern {shown(options.pattern)}")
    device = route.device or spell(match["topic"])
    return about(device, _Message(arrival, route, context, device).decode(match["prefix"], match["suffix"]))


def _discovery(arrival: Arrival, route: Route, context: Context) -> Decoded:
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    findings = Findings(arrival, route, context)
    if isinstance(topic := body.get("t"), str):
        findings.facts(spell(topic), {_DISCOVERED[name]: body[name] for name in _DISCOVERED if body.get(name)})
    findings.ignore(Ignored.METADATA)
    return findings.decoded()


class _Message:
    """One message of `device`."""

    def __init__(self, arrival: Arrival, route: Route, context: Context, device: str) -> None:
        self._arrival, self._context, self._device = arrival, context, device
        self._findings = Findings(arrival, route, context)
        self._take: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "SENSOR": self._sensors,
            "STATE": self._state,
            "RESULT": self._result,
            "STATUS": self._status,
            "INFO": self._status,
        }

    def decode(self, prefix: str, suffix: str) -> Decoded:
        """Decode it by where it stands."""
        if prefix not in ("tele", "stat"):
            return ignored(Ignored.COMMAND if prefix == "cmnd" else Ignored.UNSUPPORTED)
        if suffix == "LWT":
            return self._presence()
        relay = SWITCH.fullmatch(suffix) is not None
        if relay and self._arrival.payload[:1] != b"{":
            return self._power(suffix)
        take = self._result if relay else self._take.get(_NUMBER.sub("", suffix))
        if take is None:
            other = Ignored.UNSUPPORTED if prefix == "tele" else Ignored.COMMAND
            return ignored(Ignored.EVENT if _ACTION.fullmatch(suffix) else other)
        body = read_object(self._arrival.payload)
        if isinstance(body, Decoded):
            return body
        take(body)
        return self._findings.decoded()

    def _presence(self) -> Decoded:
        text = text_of(self._arrival.payload)
        if text == "":
            return ignored(Ignored.EMPTY)
        online = {"online": True, "offline": False}.get(text.lower()) if isinstance(text, str) else None
        if online is None:
            return rejected(Reason.MALFORMED, "LWT is neither Online nor Offline")
        self._findings.state(self._device, online=online)
        return self._findings.decoded()

    def _power(self, relay: str) -> Decoded:
        """Take in the state of a relay, unless RESULT told the same a moment ago."""
        text = text_of(self._arrival.payload)
        if isinstance(text, Refused):
            return rejected(text.reason, f"the value {text.why}")
        now, repeats = self._arrival.received, self._context.repeats
        if not self._arrival.replayed and repeats.saw(self._key(relay, text), now, SECONDS):
            return ignored(Ignored.REPEAT)
        if text:
            self._findings.reading(self._device, booleans({relay: text}))
        return self._findings.decoded()

    def _key(self, relay: str, text: str) -> tuple[str, ...]:
        return "tasmota", self._device, relay, text

    def _moment(self, body: Mapping[str, Any]) -> Moment | None:
        return self._findings.when(body.get("Time"), device=self._device)

    def _sensors(self, body: Mapping[str, Any]) -> None:
        if (moment := self._moment(body)) is None:
            return
        units = units_of(body)
        sensors = {name: value for name, value in body.items() if name not in NO_METRICS and name != "ZbReceived"}
        ids = {
            f"id.{name}": value["Id"] for name, value in sensors.items() if isinstance(value, dict) and "Id" in value
        }
        if ids:
            self._findings.facts(self._device, ids)
        fields = booleans({name: metrics_of(value) for name, value in sensors.items()})
        self._findings.reading(self._device, fields, moment, units=units)
        if "ZbReceived" in body:
            self._zigbee(body["ZbReceived"], moment, units)

    def _zigbee(self, heard: object, moment: Moment, units: LeafUnits) -> None:
        if not isinstance(heard, dict):
            self._findings.problem(Reason.MALFORMED, f"ZbReceived is {kind(heard)}, not an object")
            return
        for key, entry in heard.items():
            if not isinstance(entry, dict):
                self._findings.problem(Reason.MALFORMED, f"{shown(key)} in ZbReceived is {kind(entry)}, not an object")
                continue
            address = entry.get("Device")
            device = spell(self._device, address if isinstance(address, str) and address else key)
            if isinstance(name := entry.get("Name"), str):
                self._findings.facts(device, {"name": name})
            for flags, health in ((NO_FLAGS, False), (HEALTH, True)):
                fields = {n: v for n, v in entry.items() if n not in _ABOUT_ZIGBEE and (n in _ZIGBEE_HEALTH) is health}
                where = f"{shown(key)}: "
                self._findings.reading(device, fields, moment, units=units, flags=flags, where=where)

    def _state(self, body: Mapping[str, Any]) -> None:
        if (moment := self._moment(body)) is None:
            return
        outputs = {name: value for name, value in body.items() if OUTPUT.fullmatch(name)}
        health = {name: value for name, value in body.items() if name not in outputs and name != "Time"}
        self._findings.reading(self._device, booleans(outputs), moment)
        self._findings.reading(self._device, health, moment, units=units_of({}), flags=HEALTH)

    def _result(self, body: Mapping[str, Any]) -> None:
        """Take in what a command, or a hand on the device, has changed; other replies are none of ours."""
        if "ZbReceived" in body:
            self._sensors({name: body[name] for name in ("Time", "ZbReceived") if name in body})
        outputs = {name: value for name, value in body.items() if OUTPUT.fullmatch(name)}
        if not (self._arrival.retained or self._arrival.replayed):
            for name, value in outputs.items():
                self._context.repeats.seen(self._key(name, str(value)), self._arrival.received, SECONDS)
        if outputs and (moment := self._moment(body)) is not None:
            self._findings.reading(self._device, booleans(outputs), moment)
        self._findings.ignore(Ignored.EVENT if any(name.endswith("Received") for name in body) else Ignored.COMMAND)

    def _status(self, body: Mapping[str, Any]) -> None:
        """Take in a status, each kind of which is wrapped in its own name, or what is told at the start."""
        if sensors := inner(body, "StatusSNS"):
            self._sensors(sensors)
        if state := inner(body, "StatusSTS"):
            self._state(state)
        for told in (body, *(inner(body, name) for name in ("Info1", "Info2", "Info3", "StatusFWR", "StatusNET"))):
            if facts := {_FACTS[name]: told[name] for name in _FACTS if told.get(name)}:
                self._findings.facts(self._device, facts)
        self._findings.ignore(Ignored.METADATA)


FORMAT = Format(decode, Options)
