"""Events of ChirpStack v4 in protobuf, given as the objects that the same events are in JSON. Pure.

The schema holds those fields that are read, by their numbers in ChirpStack's integration API.
"""

import math
import struct
from base64 import b64encode
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.message import DecodeError, Message

from ingest.values import Unusable

_PACKAGE = "sensorium.chirpstack"
_TIME, _STRUCT = "google.protobuf.Timestamp", "google.protobuf.Struct"
_COMMON = "deduplication_id 1 string, time 2 Timestamp, device_info 3 DeviceInfo"
_PARTS = {
    "Tag": "key 1 string, value 2 string",
    "DeviceInfo": "application_name 4 string, device_profile_name 6 string, device_name 7 string, dev_eui 8 string,"
    " tags 9 Tag*",
    "Reception": "gateway_id 1 string, rssi 6 int32, snr 7 float",
    "Location": "latitude 1 double, longitude 2 double, altitude 3 double, accuracy 5 float",
}
_EVENTS = {
    "up": f"{_COMMON}, dr 6 uint32, f_cnt 7 uint32, f_port 8 uint32, data 10 bytes, object 11 Struct,"
    " rx_info 12 Reception*",
    "join": _COMMON,
    "status": f"{_COMMON}, margin 5 int32, external_power_source 6 bool, battery_level_unavailable 7 bool,"
    " battery_level 8 float",
    "log": "time 1 Timestamp, device_info 2 DeviceInfo, level 3 int32, code 4 int32, description 5 string",
    "location": f"{_COMMON}, location 4 Location",
}
_LEVELS = ("INFO", "WARNING", "ERROR")
_CODES = (
    "UNKNOWN",
    "DOWNLINK_PAYLOAD_SIZE",
    "UPLINK_CODEC",
    "DOWNLINK_CODEC",
    "OTAA",
    "UPLINK_F_CNT_RESET",
    "UPLINK_MIC",
    "UPLINK_F_CNT_RETRANSMISSION",
    "DOWNLINK_GATEWAY",
)
_Field = descriptor_pb2.FieldDescriptorProto


def _classes() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="chirpstack.proto", package=_PACKAGE, syntax="proto3")
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, struct_pb2):
        file.dependency.append(known.DESCRIPTOR.name)
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    types = {"Timestamp": f".{_TIME}", "Struct": f".{_STRUCT}"}
    for name, fields in (_PARTS | _EVENTS).items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            field, number, kind = text.split()
            one = message.field.add(name=field, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind.endswith("*"):
                one.label = _Field.LABEL_REPEATED
            if (kind := kind.rstrip("*"))[0].isupper():
                one.type, one.type_name = _Field.TYPE_MESSAGE, types.get(kind, f".{_PACKAGE}.{kind}")
            else:
                one.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    pool.AddSerializedFile(file.SerializeToString())
    names = {event: f"{_PACKAGE}.{event}" for event in _EVENTS}
    return {event: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for event, name in names.items()}


EVENTS = _classes()
"""The events that are read, by their names in the topic: the class of their messages."""


def read(event: str, payload: bytes) -> dict[str, Any]:
    """Read an event, one of EVENTS. Times are text, in seconds. Raises ValueError."""
    try:
        body = _object(EVENTS[event].FromString(payload))
    except DecodeError as error:
        raise ValueError(str(error)) from error
    if event == "log":
        body["level"] = _name(_LEVELS, body.get("level", 0))
        body["code"] = _name(_CODES, body.get("code", 0))
    if tags := body.get("deviceInfo", {}).get("tags"):
        body["deviceInfo"]["tags"] = {tag.get("key", ""): tag.get("value", "") for tag in tags}
    return body


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def _object(message: Message) -> dict[str, Any]:
    return {
        field.json_name: [_value(one, field.type) for one in value] if field.is_repeated else _value(value, field.type)
        for field, value in message.ListFields()
    }


def _value(value: Any, kind: int) -> Any:  # noqa: ANN401 - whatever a field may hold
    if kind == _Field.TYPE_MESSAGE:
        name = value.DESCRIPTOR.full_name
        if name == _TIME:
            return f"{value.seconds}.{value.nanos:09d}"
        return _plain(value) if name == _STRUCT else _object(value)
    if kind == _Field.TYPE_BYTES:
        return b64encode(value).decode()
    return _finite(_shortest(value) if kind == _Field.TYPE_FLOAT else value)


def _shortest(value: float) -> float:
    """Give a float of 32 bits without the digits that come from being held in 64: the shortest that means it."""
    if not math.isfinite(value):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in (7, 8))
    return next((one for one in shorter if struct.unpack("f", struct.pack("f", one))[0] == value), value)


def _plain(fields: Any) -> dict[str, Any]:  # noqa: ANN401 - a class that is made at run time
    return {name: _held(value) for name, value in fields.fields.items()}


def _held(value: Any) -> Any:  # noqa: ANN401 - as above
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_held(one) for one in value.list_value.values]
    return None if kind in (None, "null_value") else _finite(getattr(value, kind))


def _finite(value: Any) -> Any:  # noqa: ANN401 - as above
    return Unusable(str(value)) if isinstance(value, float) and not math.isfinite(value) else value
