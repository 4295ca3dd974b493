import msgspec
import pytest

from contracts.devices import DeviceRecord, decode_record, encode_record


def test_a_record_is_read_as_it_was_written() -> None:
    record = DeviceRecord(1, "kiln 1", enabled=True, profile="kiln", zone="Europe/Berlin")
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"schema_version": 2, "id": "a", "enabled": true, "profile": ""}',
        b'{"schema_version": 1, "id": "\xff", "enabled": true, "profile": ""}',
        b'{"schema_version": 1, "id": "a", "enabled": true, "profile": "", "more": %b}' % (b"[" * 100_000),
    ],
)
def test_whatever_else_stands_in_the_bucket_is_an_error_that_its_readers_expect(data: bytes) -> None:
    """One that they do not expect would end their watch, at the same record again and again."""
    with pytest.raises(msgspec.DecodeError):
        decode_record(data)
