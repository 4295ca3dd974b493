"""The Sparkplug B payload: its protobuf messages, built from a table when this is imported, and packed ones unpacked.

Text is declared as bytes, which is the same on the wire: one name that is not UTF-8 then costs no other metric.
"""

import zlib
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from contracts.deadletters import Reason

_PACKAGE = "sparkplug"
_PACKED = b"SPBV1.0_COMPRESSED"
_ZLIB_OR_GZIP, _BARE = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS

# Message: fields as "number name type", with * after the type where it repeats, and | where it is one of `value`.
_MESSAGES = {
    "Payload": "1 timestamp uint64, 2 metrics Metric*, 3 seq uint64, 4 uuid bytes, 5 body bytes",
    "Metric": "1 name bytes, 2 alias uint64, 3 timestamp uint64, 4 datatype uint32, 5 is_historical bool,"
    " 6 is_transient bool, 7 is_null bool, 8 metadata MetaData, 9 properties PropertySet, 10 int_value uint32|,"
    " 11 long_value uint64|, 12 float_value float|, 13 double_value double|, 14 boolean_value bool|,"
    " 15 string_value bytes|, 16 bytes_value bytes|, 17 dataset_value DataSet|, 18 template_value Template|",
    "PropertySet": "1 keys bytes*, 2 values PropertyValue*",
    "PropertyValue": "1 type uint32, 2 is_null bool, 3 int_value uint32|, 4 long_value uint64|, 5 float_value float|,"
    " 6 double_value double|, 7 boolean_value bool|, 8 string_value bytes|, 9 propertyset_value PropertySet|,"
    " 10 propertysets_value PropertySetList|",
    "PropertySetList": "1 propertyset PropertySet*",
    "MetaData": "1 is_multi_part bool, 2 content_type bytes, 3 size uint64, 4 seq uint64, 5 file_name bytes,"
    " 6 file_type bytes, 7 md5 bytes, 8 description bytes",
    "DataSet": "1 num_of_columns uint64, 2 columns bytes*, 3 types uint32*, 4 rows Row*",
    "Row": "1 elements DataSetValue*",
    "DataSetValue": "1 int_value uint32|, 2 long_value uint64|, 3 float_value float|, 4 double_value double|,"
    " 5 boolean_value bool|, 6 string_value bytes|",
    "Template": "1 version bytes, 2 metrics Metric*, 3 parameters Parameter*, 4 template_ref bytes,"
    " 5 is_definition bool",
    "Parameter": "1 name bytes, 2 type uint32, 3 int_value uint32|, 4 long_value uint64|, 5 float_value float|,"
    " 6 double_value double|, 7 boolean_value bool|, 8 string_value bytes|",
}


class UnreadableError(ValueError):
    """The payload cannot be read; `reason` is its dead letter's, the message says why."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def _payload_class() -> Any:  # noqa: ANN401 - a class that is made here has no type to name
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if "|" in fields:
            message.oneof_decl.add(name="value")
        for entry in fields.split(", "):
            number, label, kind = entry.split()
            made = message.field.add(
                name=label,
                number=int(number),
                label=field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL,
            )
            if kind.endswith("|"):
                made.oneof_index = 0
            kind = kind.rstrip("*|")
            if kind in _MESSAGES:
                made.type, made.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                made.type = field.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload = _payload_class()
"""Class of the payload; its fields are named as in the specification. Text fields are bytes."""


def read(data: bytes, most: int) -> Any:  # noqa: ANN401 - as Payload
    """Read a payload, which may be packed; unpacked it has at most `most` bytes. Raises UnreadableError."""
    payload = _parse(data)
    if payload.uuid != _PACKED:
        return payload
    inner = _parse(_unpacked(payload.body, most))
    for field in ("seq", "timestamp"):
        if payload.HasField(field) and not inner.HasField(field):
            setattr(inner, field, getattr(payload, field))
    return inner


def _parse(data: bytes) -> Any:  # noqa: ANN401 - as Payload
    try:
        return Payload.FromString(data)
    except DecodeError as error:
        raise UnreadableError(Reason.MALFORMED, "the payload is no Sparkplug B payload") from error


def _unpacked(body: bytes, most: int) -> bytes:
    """Unpack GZIP and DEFLATE, the latter with or without its header: the bytes themselves tell which it is."""
    for window in (_ZLIB_OR_GZIP, _BARE):
        unpacker = zlib.decompressobj(window)
        try:
            unpacked = unpacker.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(unpacked) > most:
            raise UnreadableError(Reason.TOO_LARGE, f"unpacked, the payload has more than {most} bytes")
        if unpacker.eof:
            return unpacked
    raise UnreadableError(Reason.MALFORMED, "the packed payload is neither GZIP nor DEFLATE")
