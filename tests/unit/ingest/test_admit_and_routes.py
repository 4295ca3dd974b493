import pytest

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.streams import partition_of
from ingest.admit import MOST_ANNOUNCED, REPEAT_NS, Admission
from ingest.routes import Routes

RECORDS = {
    "on": DeviceRecord(1, "on", enabled=True, profile=""),
    "off": DeviceRecord(1, "off", enabled=False, profile=""),
}


@pytest.mark.parametrize(
    ("device", "register", "refusal"),
    [
        ("on", False, None),
        ("on", True, None),
        ("off", False, Reason.DEVICE_DISABLED),
        ("off", True, Reason.DEVICE_DISABLED),
        ("new", False, Reason.UNKNOWN_DEVICE),
        ("new", True, None),
    ],
)
def test_the_registry_decides_who_may_send(device: str, *, register: bool, refusal: Reason | None) -> None:
    assert Admission(RECORDS.get, register=register).admit(device) is refusal


def test_an_unknown_device_is_announced_once_in_ten_seconds() -> None:
    admission = Admission(RECORDS.get, register=True)
    assert admission.announces("new", 0)
    assert not admission.announces("new", REPEAT_NS - 1)
    assert admission.announces("newer", REPEAT_NS - 1)
    assert admission.announces("new", REPEAT_NS)


def test_a_known_device_is_not_announced() -> None:
    assert not Admission(RECORDS.get, register=True).announces("on", 0)
    assert not Admission(RECORDS.get, register=False).announces("new", 0)


def test_no_more_than_so_many_devices_are_announced_at_once() -> None:
    admission = Admission(RECORDS.get, register=True)
    announced = sum(admission.announces(f"new-{number}", number) for number in range(MOST_ANNOUNCED + 5))
    assert announced == MOST_ANNOUNCED
    assert admission.announces("late", REPEAT_NS + MOST_ANNOUNCED)


@pytest.mark.parametrize(
    ("topic", "kind", "device", "metric"),
    [
        ("devices/d/telemetry", "telemetry", "d", ""),
        ("devices/d/telemetry/wind speed", "metric", "d", "wind speed"),
        ("devices/d/status", "status", "d", ""),
        ("devices/d/attributes", "other", "", ""),
        ("devices/d/telemetry/a/b", "other", "", ""),
        ("other/d/telemetry", "other", "", ""),
        ("", "other", "", ""),
    ],
)
def test_a_topic_says_what_its_messages_are(topic: str, kind: str, device: str, metric: str) -> None:
    routes = Routes()
    routes.divide(16)
    route = routes.of(topic)
    assert (route.kind, route.device, route.metric) == (kind, device, metric)
    if device:
        assert route.partition == partition_of(device, 16)


@pytest.mark.parametrize("device", ["", "x" * 257, "tab\there"])
def test_a_device_id_that_cannot_be_one_is_a_problem(device: str) -> None:
    route = Routes().of(f"devices/{device}/telemetry")
    assert route.problem
    assert not route.has_readings


def test_partitions_follow_the_stream() -> None:
    routes = Routes()
    assert routes.of("devices/d/telemetry").partition == 0
    routes.divide(16)
    assert routes.of("devices/d/telemetry").partition == partition_of("d", 16)
