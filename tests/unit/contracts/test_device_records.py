import msgspec
import pytest

from contracts.devices import DeviceRecord, Retention, decode_record, encode_record


def test_a_record_is_read_as_it_was_written() -> None:
    record = DeviceRecord(1, "kiln 1", enabled=True, profile="kiln", zone="Europe/Berlin")
    assert decode_record(encode_record(record)) == record


def test_what_is_computed_and_kept_is_written_as_people_name_it() -> None:
    record = DeviceRecord(
        1, "k", enabled=True, profile="kiln", computed={"power": "u * i"}, retention=Retention(7, 90, 400)
    )
    data = encode_record(record)
    assert b'"computed":{"power":"u * i"},"retention":{"raw":7,"1m":90,"1h":400}' in data
    assert decode_record(data) == record


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
