import pytest

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.streams import partition_of
from ingest import table
from ingest.admit import MOST_ANNOUNCED, REPEAT_NS, Admission
from ingest.outcomes import Arrival
from ingest.rates import RateLimits
from ingest.routes import Route, Routes
from ingest.table import Row

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
    assert Admission(RECORDS.get, RateLimits(), register=register).admit(device) is refusal


def test_an_unknown_device_is_announced_once_in_ten_seconds() -> None:
    admission = Admission(RECORDS.get, RateLimits(), register=True)
    assert admission.announces("new", 0)
    assert not admission.announces("new", REPEAT_NS - 1)
    assert admission.announces("newer", REPEAT_NS - 1)
    assert admission.announces("new", REPEAT_NS)


def test_a_known_device_is_not_announced() -> None:
    assert not Admission(RECORDS.get, RateLimits(), register=True).announces("on", 0)
    assert not Admission(RECORDS.get, RateLimits(), register=False).announces("new", 0)


def test_no_more_than_so_many_devices_are_announced_at_once() -> None:
    admission = Admission(RECORDS.get, RateLimits(), register=True)
    announced = sum(admission.announces(f"new-{number}", number) for number in range(MOST_ANNOUNCED + 5))
    assert announced == MOST_ANNOUNCED
    assert admission.announces("late", REPEAT_NS + MOST_ANNOUNCED)


def of(topic: str, routes: Routes | None = None) -> Route | None:
    return (routes or Routes(table.built_in(), 0)).of(Arrival(topic, b"", 0))


@pytest.mark.parametrize(
    ("topic", "decoder", "device"),
    [
        ("devices/d/telemetry", "auto", "d"),
        ("devices/d/telemetry/wind speed", "value", "d"),
        ("devices/d/status", "status", "d"),
    ],
)
def test_a_topic_says_what_its_messages_are(topic: str, decoder: str, device: str) -> None:
    routes = Routes(table.built_in(), 0)
    routes.divide(16)
    route = of(topic, routes)
    assert route is not None
    assert (route.decoder, route.device, route.partition) == (decoder, device, partition_of(device, 16))


@pytest.mark.parametrize("topic", ["devices/d/attributes", "devices/d/telemetry/a/b", "unheard/of", ""])
def test_other_topics_have_no_route(topic: str) -> None:
    assert of(topic) is None


@pytest.mark.parametrize("device", ["x" * 257, "tab\there"])
def test_a_device_id_that_cannot_be_one_is_a_problem(device: str) -> None:
    route = of(f"devices/{device}/telemetry")
    assert route is not None
    assert route.problem


def test_partitions_follow_the_stream() -> None:
    routes = Routes(table.built_in(), 0)
    before = of("devices/d/telemetry", routes)
    routes.divide(16)
    after = of("devices/d/telemetry", routes)
    assert before is not None
    assert after is not None
    assert (before.partition, after.partition) == (0, partition_of("d", 16))


@pytest.mark.parametrize(
    ("topic", "decoder"),
    [("plant/press/4/state", "auto"), ("plant/status", "auto"), ("homie/press/oil/level", "homie")],
)
def test_the_shape_of_a_topic_counts_only_where_it_begins_with_a_name(topic: str, decoder: str) -> None:
    route = of(topic, Routes([Row("all", ["#"]), *table.built_in()], 0))
    assert route is not None
    assert route.decoder == decoder
