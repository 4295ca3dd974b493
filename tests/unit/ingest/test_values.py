import pytest

from contracts.deadletters import Reason
from ingest.limits import Limits
from ingest.values import Refused, Text, Unusable, scalar

LIMITS = Limits(text_bytes=20)


@pytest.mark.parametrize("text", ["21.5", "unknown", "", "true", "é"])
def test_text_that_a_convention_calls_text_stays_text(text: str) -> None:
    found = scalar(Text(text), LIMITS)
    assert (found, type(found)) == (text, str)


def test_other_text_that_is_wholly_a_number_is_one() -> None:
    assert scalar("21.5", LIMITS) == 21.5
    assert scalar("unknown", LIMITS) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Text("x" * 21), Reason.TOO_LARGE),
        (Text("\ud800"), Reason.BAD_VALUE),
        ("x" * 21, Reason.TOO_LARGE),
        (Unusable("NaN"), Reason.BAD_VALUE),
    ],
)
def test_what_cannot_be_stored_is_refused(value: str, reason: Reason) -> None:
    found = scalar(value, LIMITS)
    assert isinstance(found, Refused)
    assert found.reason is reason
