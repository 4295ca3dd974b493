"""The cache of known series."""

from contracts.timeseries import Days
from processor.known import Known
from processor.series import Series


def series(device: str, metric: str) -> Series:
    return Series(0, "p", device, metric, float, Days())


def use(known: Known, device: str) -> Series | None:
    """Look up the one series of `device`, as the store does; adds it where it is not known."""
    found = known.of("p", device).get("m")
    if found is None:
        known.add("p", device, "m", series(device, "m"))
    known.age()
    return found


def test_it_stays_bounded() -> None:
    known = Known(10)
    for number in range(100):
        use(known, f"d{number}")
        assert len(known) <= 10


def test_what_is_used_again_and_again_is_kept() -> None:
    known = Known(10)
    use(known, "kept")
    for number in range(100):
        use(known, f"d{number}")
        assert use(known, "kept") is not None


def test_what_is_not_used_is_forgotten() -> None:
    known = Known(10)
    use(known, "forgotten")
    for number in range(20):
        use(known, f"d{number}")
    assert use(known, "forgotten") is None


def test_clearing_forgets_everything() -> None:
    known = Known(10)
    use(known, "a")
    known.clear()
    assert len(known) == 0
    assert use(known, "a") is None


def test_one_device_with_ever_new_metrics_stays_bounded() -> None:
    known = Known(10)
    for number in range(100):
        known.of("p", "d")
        known.add("p", "d", f"m{number}", series("d", f"m{number}"))
        known.age()
        assert len(known) <= 10
