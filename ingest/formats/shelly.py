"""Shelly, second generation and later: notifications as RPC frames, or the status of a component on its own topic.

A notification holds what has changed and nothing else. Both kinds tell the same where a device is set to send both.
"""

from typing import Literal

import msgspec

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import HEALTH, SECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import mac, spell
from ingest.jsons import kind, read_object
from ingest.leaf_units import LeafUnits
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.plain import text_of
from ingest.routes import Route
from ingest.times import NO_FLAGS
from ingest.values import shown

_PHASES = ("", "a_", "b_", "c_", "n_", "total_")
_PHASE_UNITS = {"voltage": "V", "current": "A", "act_power": "W", "aprt_power": "VA", "freq": "Hz"}
_ENERGIES = ("act", "act_ret", "act_energy", "act_ret_energy", "total_act_energy", "total_act_ret_energy")
_UNITS = LeafUnits(
    {
        "apower": "W",
        "tC": "degC",
        "tF": "degF",
        "rh": "%",
        "lux": "lx",
        "aenergy.total": "Wh",
        "ret_aenergy.total": "Wh",
        "aenergy.by_minute": "mWh",
        "ret_aenergy.by_minute": "mWh",
        "battery.V": "V",
        "battery.percent": "%",
        "rssi": "dBm",
        "uptime": "s",
        **{f"{phase}{name}": unit for phase in _PHASES for name, unit in _PHASE_UNITS.items()},
        **{f"{phase}{name}": "Wh" for phase in _PHASES for name in _ENERGIES},
    }
)
_HEALTH = frozenset(
    {"sys", "wifi", "cloud", "mqtt", "eth", "ble", "ws", "devicepower", "script", "matter", "bthome", "bthomedevice"}
)
_BY_MINUTE = ("by_minute", "xby_minute")
_HEARD = ("last_updated_ts", "last_update_ts")
_TIMES = frozenset({"ts", "time", "unixtime", "last_sync_ts", "minute_ts", *_HEARD, *_BY_MINUTE})
_MINUTE_S = 60
_BAD = {"quality": "bad"}
_STATUSES = ("NotifyStatus", "NotifyFullStatus")  # compared with whatever a frame holds
_TOPIC_LEVELS = 2  # events/rpc or status/COMPONENT, behind the prefix


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`read`: which notifications make readings, for devices that send both; RPC frames say when, and are better."""

    read: Literal["both", "rpc", "status"] = "both"


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode one message of a device."""
    options = route.options
    assert isinstance(options, Options)  # noqa: S101 - the registry reads them as this type
    levels = route.levels
    if levels[-1] == "online":
        return _online(arrival, route, context)
    if levels[-2:] == ("events", "rpc"):
        return _frame(arrival, route, context, options)
    if levels[-2:-1] == ("status",):
        if options.read == "rpc":
            return ignored(Ignored.REPEAT)
        return _status(arrival, route, context)
    commands = levels[-1] in ("rpc", "command") or levels[-2:-1] == ("command",)
    return ignored(Ignored.COMMAND if commands else Ignored.UNSUPPORTED)


def _prefix(route: Route, behind: int) -> str:
    """Give the device that the topic names, in one level or in several: all that stands before the last `behind`."""
    end = len(route.levels) - behind
    return route.device or spell("/".join(route.levels[route.base if route.base < end else 0 : end]))


def _online(arrival: Arrival, route: Route, context: Context) -> Decoded:
    text = text_of(arrival.payload)
    if text == "":
        return ignored(Ignored.EMPTY)
    if text not in ("true", "false"):
        return rejected(Reason.MALFORMED, "online is neither true nor false")
    findings = Findings(arrival, route, context)
    findings.state(_prefix(route, 1), online=text == "true")
    return findings.decoded()


def _frame(arrival: Arrival, route: Route, context: Context, options: Options) -> Decoded:
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    method, source, params = body.get("method"), body.get("src"), body.get("params")
    if method not in _STATUSES:
        return ignored(Ignored.EVENT if method == "NotifyEvent" else Ignored.COMMAND)
    if options.read == "status":
        return ignored(Ignored.REPEAT)
    if not isinstance(params, dict):
        return rejected(Reason.MALFORMED, f"params is {kind(params)}, not an object")
    named = isinstance(source, str) and source != "" and not route.device
    device = spell(str(source)) if named else _prefix(route, _TOPIC_LEVELS)
    findings = Findings(arrival, route, context)
    moment = findings.when(params.get("ts"), unit=SECONDS)
    if moment is not None:
        for component, status in params.items():
            if component != "ts":
                _component(findings, device, component, status, moment, context.limits.depth)
    return findings.decoded()


def _status(arrival: Arrival, route: Route, context: Context) -> Decoded:
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    findings = Findings(arrival, route, context)
    _component(
        findings, _prefix(route, _TOPIC_LEVELS), route.levels[-1], body, findings.when(None), context.limits.depth
    )
    return findings.decoded()


def _component(
    findings: Findings, device: str, component: str, status: object, moment: Moment | None, depth: int
) -> None:
    """Take in what is told of one component, at `moment` unless it says that it is older."""
    if status is None:
        findings.left_out(Ignored.NO_VALUE)
        return
    if not isinstance(status, dict):
        findings.problem(Reason.MALFORMED, f"{shown(component)} is {kind(status)}, not an object")
        return
    if isinstance(address := status.get("mac"), str) and (spelled := mac(address)):
        findings.facts(device, {"mac": spelled})
    stated = next((status[name] for name in _HEARD if type(status.get(name)) in (int, float)), None)
    heard = None if stated is None else findings.when(stated, unit=SECONDS)
    if heard is not None and "clock" not in heard.flags:
        moment = heard
    fields = {name: value for name, value in status.items() if name not in ("id", "mac") and value != []}
    flags = dict(HEALTH) if component.partition(":")[0] in _HEALTH else NO_FLAGS
    if status.get("errors"):
        flags = {**flags, **_BAD}
    findings.reading(device, {component: _measured(fields, depth)}, moment, units=_UNITS, flags=flags)
    for name, value in fields.items():
        for minutes in _BY_MINUTE if isinstance(value, dict) else ():
            if minutes in value:
                _minutes(findings, device, f"{component}.{name}.{minutes}", value[minutes], value.get("minute_ts"))


def _measured(value: object, depth: int) -> object:
    """Leave out times, minutes that are past, and a temperature in degF beside the same one in degC."""
    if not isinstance(value, dict) or not depth:
        return value
    return {
        name: _measured(inner, depth - 1)
        for name, inner in value.items()
        if name not in _TIMES and not (name == "tF" and "tC" in value)
    }


def _minutes(findings: Findings, device: str, metric: str, minutes: object, next_one: object) -> None:
    """Take in what past minutes held, each at the time at which that began.

    In the minute of `next_one` they are told: it began then, or, by older firmware, some seconds before.
    """
    if not isinstance(minutes, list) or type(next_one) is not int:
        findings.left_out(Ignored.NO_VALUE)
        return
    for number, value in enumerate(minutes, start=1):
        moment = findings.when(next_one - next_one % _MINUTE_S - _MINUTE_S * number, unit=SECONDS)
        if moment is not None and "clock" not in moment.flags:
            findings.reading(device, {metric: value}, moment, units=_UNITS)


FORMAT = Format(decode, Options)
