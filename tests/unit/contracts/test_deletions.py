"""What a deletion looks like on the stream, and that nobody takes it for readings."""

import msgspec
import pytest

from contracts.deletions import (
    DELETION,
    LATEST,
    Deletion,
    decode_result,
    deletion_in,
    encode_result,
    result_of,
    wrong_in,
)
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.wire import SchemaError

ONE = Deletion(1, "a-1", "pump-7", ["flow"], 5, 9, 12, "somebody")


def test_a_deletion_is_no_batch_and_a_batch_is_no_deletion() -> None:
    with pytest.raises(SchemaError):
        READING_BATCH.decode(DELETION.encode(ONE))
    batch = READING_BATCH.encode(ReadingBatch(1, 0, [Reading("pump-7", 5, 5, {"flow": 1.0})]))
    assert deletion_in(batch) is None
    assert deletion_in(DELETION.encode(ONE)) == ONE


@pytest.mark.parametrize("change", [{"id": ""}, {"id": "a.b"}, {"start": 9}, {"start": -1}, {"end": LATEST + 1}])
def test_a_deletion_that_cannot_be_meant_is_told_so(change: dict[str, object]) -> None:
    assert wrong_in(ONE) is None
    assert wrong_in(msgspec.structs.replace(ONE, **change)) is not None


def test_a_result_is_read_as_it_was_written() -> None:
    result = result_of(ONE, "refused", 20, detail="not here")
    assert decode_result(encode_result(result)) == result
    with pytest.raises(msgspec.DecodeError):
        decode_result(b"[]")
