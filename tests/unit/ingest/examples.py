"""Messages of every convention, as devices send them: what the tests of all decoders, and the fuzzers, begin with."""

import json
import struct
import zlib

import cbor2
import msgspec

from ingest import table
from ingest.outcomes import Arrival
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: float | bytes | str) -> bytes:
    """Write a field of a protobuf message: a varint, a double, or bytes."""
    if isinstance(value, bytes | str):
        data = value.encode() if isinstance(value, str) else value
        return _varint(number << 3 | 2) + _varint(len(data)) + data
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def metric(name: str, kind: int, where: int, value: float | bytes | str, *more: bytes) -> bytes:
    """Write a Sparkplug metric with its value in the field `where`; without a name if that is empty."""
    return field(2, (field(1, name) if name else b"") + b"".join(more) + field(4, kind) + field(where, value))


AT = 1_767_225_690_000
_BIRTH = (
    field(1, AT)
    + metric("bdSeq", 4, 11, 3)
    + metric("Node Control/Rebirth", 11, 14, 0)
    + metric("Furnace/Draught", 10, 13, 1.25, field(2, 7))
    + metric("Properties/Maker", 12, 15, "Nordhus")
    + field(3, 0)
)
_ALIASES = field(1, AT + 900) + field(2, field(2, 7) + field(3, AT + 800) + field(13, 1.5)) + field(3, 1)
_DEVICE_BIRTH = field(1, AT + 100) + metric("Level", 2, 10, 9, field(2, 8)) + field(3, 1)
_PACKED = (
    field(3, 2)
    + field(4, "SPBV1.0_COMPRESSED")
    + field(5, zlib.compress(_ALIASES))
    + metric("algorithm", 12, 15, "DEFLATE")
)
_GROUP = "spBv1.0/Smelter North"

_SENML = [
    {"bn": "urn:dev:mac:02b7c81144aa90ef:", "bt": 1767225690, "bu": "Cel", "n": "feed", "v": 17.25},
    {"n": "return", "t": -12, "v": 15.5},
    {"n": "mode", "vs": "auto"},
    {"n": "valve", "vb": True, "ut": 60},
]
_SENML_CBOR = [
    {-2: "urn:dev:mac:02b7c81144aa90ef:", -3: 1767225690, -4: "Cel", 0: "feed", 2: 17.25},
    {0: "return", 6: -12, 2: 15.5},
    {0: "valve", 4: True},
    {0: "blob", 8: b"\x01\x02"},
]
_TTS = {
    "end_device_ids": {
        "device_id": "tank-8",
        "application_ids": {"application_id": "dairy"},
        "dev_eui": "70B3D57ED0C02F81",
    },
    "received_at": "2026-01-01T00:01:35.218204417Z",
    "uplink_message": {
        "f_port": 2,
        "f_cnt": 91,
        "frm_payload": "AQIDBA==",
        "decoded_payload": {"level": 71.5, "lid": {"open": False}, "cells": [3.1, 3.2]},
        "normalized_payload": [{"air": {"temperature": 4.5, "relativeHumidity": 81.0}}],
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "roof"}, "rssi": -101, "snr": 5.5},
            {"gateway_ids": {"gateway_id": "mast"}, "rssi": -93},
        ],
        "settings": {"data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}}, "frequency": "868300000"},
        "received_at": "2026-01-01T00:01:35.112973001Z",
    },
}
_CHIRPSTACK = {
    "deduplicationId": "9f0f0d5e-4a51-47f1-9d3c-0f2f8b7f6a11",
    "time": "2026-01-01T00:01:29.402118573+00:00",
    "deviceInfo": {
        "applicationName": "weirs",
        "deviceName": "weir-4",
        "deviceProfileName": "gauge",
        "devEui": "a84041aa17c03e55",
        "tags": {"bank": "left"},
    },
    "dr": 5,
    "fCnt": 17,
    "fPort": 2,
    "data": "BQQBZg==",
    "object": {"level_mm": 911, "cell": {"volt": 3.61}},
    "rxInfo": [{"gatewayId": "0016c001f1b81d3f", "rssi": -88, "snr": 9.25}],
}
_DEVICE_INFO = _CHIRPSTACK["deviceInfo"]
_Z2M_DEVICES = [
    {"ieee_address": "0x00124b0029b1f0aa", "type": "Coordinator", "friendly_name": "Coordinator"},
    {
        "ieee_address": "0x00158d0004c7aa19",
        "type": "EndDevice",
        "friendly_name": "barn/loft east",
        "software_build_id": "3000-0001",
        "definition": {
            "model": "TS0201",
            "vendor": "Tuya",
            "exposes": [
                {"type": "numeric", "name": "temperature", "property": "temperature", "unit": "°C", "access": 1},
                {
                    "type": "climate",
                    "features": [{"type": "numeric", "property": "setpoint", "unit": "°C", "access": 7}],
                },
            ],
        },
    },
]
_SHELLY_STATUS = {
    "id": 0,
    "output": True,
    "apower": 91.25,
    "voltage": 231.5,
    "aenergy": {"total": 5120.5, "by_minute": [1510.25, 1490.0, 1500.0], "minute_ts": 1767225660},
    "temperature": {"tC": 41.5, "tF": 106.7},
}
_DISCOVERY = {
    "~": "brewery/kettle-3",
    "name": "Kettle temperature",
    "uniq_id": "kettle3_t",
    "stat_t": "~/tele",
    "val_tpl": "{{ value_json.kettle.t | float | round(1) }}",
    "unit_of_meas": "°C",
    "dev_cla": "temperature",
    "avty_t": "~/lwt",
    "exp_aft": 120,
    "dev": {"ids": ["kettle3"], "mf": "Copperhand", "mdl": "K-3", "sw": "1.4"},
}
_SHADOW = {
    "state": {"reported": {"gate_pct": 17, "pump": {"on": True}}, "desired": {"gate_pct": 20}},
    "metadata": {
        "reported": {"gate_pct": {"timestamp": 1767225655}, "pump": {"on": {"timestamp": 1767225656}}},
        "desired": {"gate_pct": {"timestamp": 1767225600}},
    },
    "version": 41,
    "timestamp": 1767225656,
}
_ADVERT = "0201061BFF990405" + "0F2B4E20C8A00010FFF003F0B0D6220123" + "D1E2F3A4B5C6"

_LINES = b"""\
chiller,hall=east,host=gw-11 supply=6.5,starts=31i,alarm=f,mode="eco" 1767225690000000000
# a comment
chiller,host=gw-12 supply=7.25
valve,host=gw-12 value=1u 1767225690000000001
"""
_SMART_REST = b"""\
200,c8y_Flow,F,3.25,l/min,2026-01-01T00:01:31.000Z
211,41.5
212,88
201,c8y_Tank,2026-01-01T00:01:31Z,c8y_Tank,L,71,%
100,"Tank, west",c8y_MQTTDevice
"""

MESSAGES: list[tuple[str, object]] = [
    ("devices/still-4/telemetry", {"head": 78.25, "reflux": True, "note": "ok"}),
    ("devices/still-4/telemetry", {"ts": 1767225690250, "values": {"head": 78.5, "trays": [1, 2]}}),
    ("devices/still-4/telemetry", [{"ts": 1767225690, "head": 78}, {"ts": "2026-01-01T00:01:30.5Z", "head": 79}]),
    ("devices/still-4/telemetry", _SENML),
    ("devices/still-4/telemetry/head", b"78.75"),
    ("devices/still-4/status", b"online"),
    ("devices/still-4/reported", {"valve": {"open": 40}, "fw": "2.1"}),
    ("devices/still-4/commands/c-19/response", {"status": "done", "took_ms": 84}),
    ("provision/9b1c44/request", {"claim": "copper-lid-7", "id": "still-9"}),
    (
        "v1/gateway/telemetry",
        {"Lehr 1": [{"ts": 1767225690000, "values": {"belt": 2.5}}, {"belt": 2.75}], "Lehr 2": [{"belt": 3}]},
    ),
    ("v1/gateway/connect", {"device": "Lehr 1", "type": "lehr"}),
    ("v1/gateway/disconnect", {"device": "Lehr 1"}),
    ("v1/gateway/attributes", {"Lehr 1": {"fw": "3.1", "zones": 4}}),
    (f"{_GROUP}/NBIRTH/Bay 4", _BIRTH),
    (f"{_GROUP}/DBIRTH/Bay 4/Hopper 2", _DEVICE_BIRTH),
    (f"{_GROUP}/NDATA/Bay 4", _ALIASES),
    (f"{_GROUP}/NDATA/Bay 4", _PACKED),
    (f"{_GROUP}/DDATA/Bay 4/Hopper 2", field(1, AT + 950) + field(2, field(2, 8) + field(10, 11)) + field(3, 3)),
    (f"{_GROUP}/DDEATH/Bay 4/Hopper 2", field(1, AT + 960) + field(3, 4)),
    (f"{_GROUP}/NDEATH/Bay 4", field(1, AT) + metric("bdSeq", 4, 11, 3)),
    (f"{_GROUP}/NCMD/Bay 4", field(1, AT) + metric("Node Control/Rebirth", 11, 14, 1)),
    ("spBv1.0/STATE/hall-scada", {"online": True, "timestamp": AT}),
    ("m/creamery/c/vat", _SENML),
    ("m/creamery/c/vat", cbor2.dumps(_SENML_CBOR)),
    (
        "telegraf/gw-11/chiller",
        _LINES,
    ),
    (
        "tele/loft-plug/SENSOR",
        {
            "Time": "2026-01-01T01:01:20",
            "DS18B20-1": {"Id": "3C01F0A51C77", "Temperature": 8.25},
            "ENERGY": {"Total": 31.5, "Power": [41, 12], "Voltage": 229, "TotalStartTime": "2025-02-01T00:00:00"},
            "TempUnit": "C",
        },
    ),
    ("tele/loft-plug/SENSOR", {"ZbReceived": {"0x8A1C": {"Device": "0x8A1C", "Temperature": 4.5, "LinkQuality": 70}}}),
    ("tele/loft-plug/STATE", {"Time": "2026-01-01T01:01:20", "UptimeSec": 900, "Heap": 27, "Wifi": {"RSSI": 70}}),
    ("tele/loft-plug/LWT", b"Online"),
    ("stat/loft-plug/POWER1", b"ON"),
    ("stat/loft-plug/RESULT", {"POWER1": "ON"}),
    ("stat/loft-plug/STATUS8", {"StatusSNS": {"Time": "2026-01-01T01:01:21", "AM2301": {"Humidity": 71.5}}}),
    ("tele/loft-plug/INFO1", {"Info1": {"Module": "Plug 2", "Version": "14.1.0(tasmota)"}}),
    (
        "tasmota/discovery/A0B1C2D3E4F5/config",
        {"ip": "192.0.2.7", "dn": "Loft", "t": "loft-plug", "mac": "A0B1C2D3E4F5", "md": "Plug 2", "sw": "14.1.0"},
    ),
    ("zigbee2mqtt/bridge/devices", _Z2M_DEVICES),
    ("zigbee2mqtt/bridge/groups", [{"id": 1, "friendly_name": "all lamps", "members": []}]),
    ("zigbee2mqtt/bridge/state", {"state": "online"}),
    (
        "zigbee2mqtt/barn/loft east",
        {"temperature": 3.25, "battery": 91, "linkquality": 70, "last_seen": "2026-01-01T00:01:30.112Z", "update": {}},
    ),
    ("zigbee2mqtt/barn/loft east/availability", b"online"),
    (
        "shellyplus1pm-44b7d0a1c2e3/events/rpc",
        {
            "src": "shellyplus1pm-44b7d0a1c2e3",
            "dst": "shellyplus1pm-44b7d0a1c2e3/events",
            "method": "NotifyStatus",
            "params": {"ts": 1767225691.5, "switch:0": _SHELLY_STATUS, "sys": {"uptime": 31}},
        },
    ),
    ("shellyplus1pm-44b7d0a1c2e3/status/switch:0", _SHELLY_STATUS),
    ("shellyplus1pm-44b7d0a1c2e3/online", b"true"),
    ("homie/press-2/$state", b"ready"),
    ("homie/press-2/$name", b"Cider press"),
    ("homie/press-2/jack/load/$unit", b"kN"),
    ("homie/press-2/jack/load/$datatype", b"float"),
    ("homie/press-2/jack/load", b"11.75"),
    ("homie/press-2/$stats/uptime", b"310"),
    ("v3/dairy@coop/devices/tank-8/up", _TTS),
    (
        "v3/dairy@coop/devices/tank-8/join",
        {"end_device_ids": _TTS["end_device_ids"], "join_accept": {"session_key_id": "AYx="}},
    ),
    ("application/77aa0c1b-7d34-4f0f-9b1e-2a66c0d8e700/device/a84041aa17c03e55/event/up", _CHIRPSTACK),
    (
        "application/77aa0c1b-7d34-4f0f-9b1e-2a66c0d8e700/device/a84041aa17c03e55/event/status",
        {"deviceInfo": _DEVICE_INFO, "time": "2026-01-01T00:01:30Z", "margin": 11, "batteryLevel": 81.5},
    ),
    (
        "application/77aa0c1b-7d34-4f0f-9b1e-2a66c0d8e700/device/a84041aa17c03e55/event/log",
        {"deviceInfo": _DEVICE_INFO, "level": "ERROR", "code": "UPLINK_F_CNT_RESET", "description": "no"},
    ),
    ("hass/sensor/cellar_humidity/state", b"71.5"),
    ("hass/sensor/cellar_humidity/unit_of_measurement", b'"%"'),
    ("hass/light/stair/brightness", b"128"),
    ("homeassistant/sensor/kettle-3/kettle_temp/config", _DISCOVERY),
    (
        "homeassistant/device/kettle4/config",
        {
            "dev": {"ids": "kettle4", "name": "Kettle 4"},
            "o": {"name": "kettles"},
            "cmps": {"t": {"p": "sensor", "uniq_id": "k4_t", "unit_of_meas": "°C", "val_tpl": "{{ value_json['t'] }}"}},
            "state_topic": "brewery/kettle-4/tele",
        },
    ),
    ("brewery/kettle-3/tele", {"kettle": {"t": 66.25}}),
    ("homeassistant/status", b"online"),
    ("scullery-2/sensor/boiler_temperature/state", b"61.25"),
    ("scullery-2/binary_sensor/hatch/state", b"OFF"),
    ("scullery-2/status", b"online"),
    ("v1/devices/me/telemetry", {"ts": 1767225690480, "values": {"rms": 1.5, "state": "ok"}}),
    ("v1/devices/me/attributes", {"serial": "QX-1009", "hw": "B"}),
    ("v2/t", {"rms": 1.75}),
    ("shellies/shellyem-7A10C3/emeter/0/power", b"311.5"),
    ("shellies/shellyplug-s-7A10C4/relay/0/energy", b"61200"),
    ("shellies/shellyplug-s-7A10C4/relay/0", b"on"),
    ("shellies/shellyht-7A10C5/sensor/temperature", b"11.25"),
    ("shellies/shellyht-7A10C5/online", b"true"),
    ("shellies/announce", {"id": "shellyem-7A10C3", "model": "SHEM", "mac": "8CAAB57A10C3", "fw_ver": "1.14"}),
    ("$aws/things/sluice-3/shadow/update/accepted", _SHADOW),
    ("$aws/things/sluice-3/shadow/name/pumps/update/accepted", _SHADOW),
    (
        "owntracks/hanne/van",
        {
            "_type": "location",
            "lat": 55.5,
            "lon": 9.75,
            "acc": 12,
            "vel": 31,
            "batt": 71,
            "tst": 1767225618,
            "tid": "hv",
        },
    ),
    ("owntracks/hanne/van/event", {"_type": "transition", "event": "enter", "desc": "Yard", "tst": 1767225618}),
    ("owntracks/hanne/van", {"_type": "lwt", "tst": 1767225618}),
    (
        "ruuvi/C1:22:33:44:55:66/D1:E2:F3:A4:B5:C6",
        {"gw_mac": "C1:22:33:44:55:66", "rssi": -66, "aoa": [], "gwts": 1767225690, "ts": 1767225689, "data": _ADVERT},
    ),
    ("ruuvi/C1:22:33:44:55:66/gw_status", {"state": "online"}),
    (
        "home/OMG_shed/BTtoMQTT/A4C138112233",
        {
            "id": "A4:C1:38:11:22:33",
            "model": "LYWSD03MMC",
            "rssi": -71,
            "tempc": 2.5,
            "tempf": 36.5,
            "hum": 81,
            "batt": 66,
        },
    ),
    ("home/OMG_shed/LWT", b"online"),
    ("home/OMG_shed/SYStoMQTT", {"uptime": 311, "freemem": 120000, "rssi": -61, "version": "v1.7.0"}),
    (
        "rtl_433/roof-pi/events",
        {
            "time": "2026-01-01 01:01:31",
            "model": "Fineoffset-WH2",
            "id": 91,
            "channel": 1,
            "battery_ok": 1,
            "temperature_C": -1.5,
            "humidity": 77,
            "mic": "CRC",
        },
    ),
    ("rtl_433/roof-pi/states", b"online"),
    ("N/c0619ab1d2e3/solarcharger/279/Dc/0/Voltage", {"value": 26.25, "min": 0, "max": 60}),
    ("N/c0619ab1d2e3/system/0/Serial", {"value": "c0619ab1d2e3"}),
    ("N/c0619ab1d2e3/battery/512/Soc", b""),
    ("teslamate/cars/3/battery_level", b"61"),
    ("teslamate/cars/3/state", b"driving"),
    ("teslamate/cars/3/location", {"latitude": 60.5, "longitude": 11.25}),
    (
        "msh/EU_868/2/json/Valley/!6e1f88c2",
        {
            "id": 3090417726,
            "from": 2712847317,
            "to": 4294967295,
            "channel": 0,
            "sender": "!6e1f88c2",
            "timestamp": 1767225627,
            "type": "telemetry",
            "payload": {"temperature": -2.5, "barometric_pressure": 901.5, "battery_level": 101},
            "rssi": -101,
            "snr": -2.25,
        },
    ),
    (
        "msh/EU_868/2/json/Valley/!6e1f88c2",
        {
            "id": 3090417727,
            "from": -1582119979,
            "timestamp": 1767225628,
            "type": "position",
            "payload": {"latitude_i": 605000000, "longitude_i": 112500000, "altitude": 310, "time": 1767225620},
        },
    ),
    (
        "/neuron/edge-a/lathe/fast",
        {
            "timestamp": 1767225690117,
            "node": "lathe",
            "group": "fast",
            "values": {"rpm": 1200.5, "axes": [1, 2]},
            "errors": {"oil": 3002},
        },
    ),
    (
        "/neuron/edge-a/lathe/slow",
        {
            "timestamp": 1767225690500,
            "node": "lathe",
            "group": "slow",
            "tags": [{"name": "level", "value": 61}, {"name": "oil", "error": 3002}],
        },
    ),
    ("telemetry/MILL_C/sieve-2", {"rate": 31.5}),
    ("event//sieve-2/?content-type=application%2Fjson", {"screen": "torn"}),
    (
        "s/us",
        _SMART_REST,
    ),
    ("s/us/pump-b", b"211,31.25"),
]
"""Topics and payloads; what is no bytes is JSON."""


def payload_of(body: object) -> bytes:
    """Give the payload that stands for an entry of MESSAGES."""
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def by_decoder() -> dict[str, list[tuple[str, bytes]]]:
    """Group the messages by the decoder that the built-in routes, all of them switched on, bring them to.

    What is announced comes after what announces it, for both of their decoders.
    """
    found: dict[str, list[tuple[str, bytes]]] = {}
    ingest = Ingest()
    for topic, body in MESSAGES:
        payload = payload_of(body)
        route = ingest.routes.of(Arrival(topic, payload, NOW))
        if route is None:
            continue
        found.setdefault(route.decoder, []).append((topic, payload))
        if route.decoder == "discovery":
            ingest.decode(topic, payload)
    found["discovery"] = found["announced"] = found["discovery"] + found["announced"]
    return found


def rows_of(name: str) -> list[Row]:
    """Give the routes, switched on, that bring a decoder its messages; one of an operator's where none is built in."""
    wanted = "discovery" if name == "announced" else name
    rows = [msgspec.structs.replace(row, enabled=True) for row in table.built_in() if row.decoder == wanted]
    return rows or [Row("mine", ["plant/#"], name, "{2}")]
