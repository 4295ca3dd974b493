"""Devices joined with their profiles, as every service sees them."""

from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.devices import (
    Calibration,
    DeviceRecord,
    Metric,
    ProfileRecord,
    Retention,
    encode_record,
    joined,
    kv_key,
    profile_key,
)
from contracts.records import Records

OWN, COMMON = [Calibration(offset=1.0)], [Calibration(offset=2.0)]
PROFILE = ProfileRecord(
    1,
    "p",
    {"t": Metric(unit="degC", max=85.0, calibration=COMMON), "h": Metric(unit="%", calibration=COMMON)},
    "Europe/Paris",
    keep_raw=True,
    message_rate="1:1",
    point_rate="2:1",
    computed={"x": "t + h"},
    retention=Retention(raw=7),
    interval=10.0,
)


def device(id_: str = "d", profile: str = "p", **more: object) -> DeviceRecord:
    return msgspec.convert({"schema_version": 1, "id": id_, "enabled": True, "profile": profile} | more, DeviceRecord)


def test_a_device_has_what_its_profile_says() -> None:
    found = joined(device(groups=["a", "b"], tags={"x": "1"}), PROFILE)
    assert (found.id, found.groups, found.tags) == ("d", ["a", "b"], {"x": "1"})
    for name in PROFILE.__struct_fields__:
        if name not in ("schema_version", "id"):
            assert getattr(found, name) == getattr(PROFILE, name), name


def test_its_own_zone_and_calibration_go_before_its_profile_s() -> None:
    found = joined(device(zone="Asia/Tokyo", calibration={"t": OWN, "x": OWN}), PROFILE)
    assert found.zone == "Asia/Tokyo"
    assert found.metrics == {
        "t": Metric(unit="degC", max=85.0, calibration=OWN),
        "h": Metric(unit="%", calibration=COMMON),
        "x": Metric(calibration=OWN),
    }
    assert PROFILE.metrics["t"].calibration == COMMON
    assert joined(device(calibration={"t": []}), PROFILE).metrics["t"].calibration == [], "none, rather than common"


def test_a_text_metric_is_not_made_a_number_by_a_calibration() -> None:
    profile = ProfileRecord(1, "p", {"t": Metric("text")})
    assert joined(device(calibration={"t": OWN}), profile).metrics["t"].type == "text"


def test_a_profile_that_nobody_has_made_asks_for_nothing() -> None:
    assert joined(device(), None) == device()
    assert joined(device(calibration={"t": OWN}), None).metrics == {"t": Metric(calibration=OWN)}


def test_a_record_that_holds_its_profile_s_part_itself_is_read_as_it_stands() -> None:
    whole = joined(device(calibration={"t": OWN}, zone="Asia/Tokyo"), PROFILE)
    assert whole.calibration == {}
    for profile in (None, PROFILE):
        records = Records()
        if profile is not None:
            records.learn(profile_key("p"), encode_record(profile))
        records.learn("d", encode_record(whole))
        assert records.get("d") == whole


def test_a_profile_may_come_after_its_devices_or_go_before_them() -> None:
    records = Records()
    assert list(records.learn("d", encode_record(device()))) == ["d"]
    records.learn("e", encode_record(device("e", "q")))
    assert records.get("d") == device()
    assert list(records.learn(profile_key("p"), encode_record(PROFILE))) == ["d"]
    assert records.get("d") == joined(device(), PROFILE)
    assert records.get("d") is records.get("d"), "it is joined once"
    assert list(records.learn(profile_key("p"), encode_record(PROFILE))) == [], "nothing has changed"
    assert list(records.forget(profile_key("p"))) == ["d"]
    assert records.get("d") == device()
    assert len(records) == 2


def test_what_cannot_be_read_leaves_all_as_it_was() -> None:
    records = Records()
    records.learn(profile_key("p"), encode_record(PROFILE))
    records.learn("d", encode_record(device()))
    for key in ("d", profile_key("p")):
        with pytest.raises(msgspec.DecodeError):
            records.learn(key, b'{"schema_version":9}')
    assert records.get("d") == joined(device(), PROFILE)


names = st.sampled_from(["p", "q", "profile", "profile.p", "ü"])
steps = st.lists(
    st.tuples(st.sampled_from(["device", "profile"]), names, st.sampled_from([None, "p", "q"]), st.booleans()),
    max_size=30,
)


@given(steps)
def test_whatever_the_order_the_join_is_that_of_what_the_bucket_holds(
    changes: list[tuple[str, str, str | None, bool]],
) -> None:
    records, devices, profiles = Records(), dict[str, DeviceRecord](), dict[str, ProfileRecord]()
    seen: dict[str, DeviceRecord | None] = {}
    for kind, id_, names_, flag in changes:
        if kind == "device":
            changed = _put(records, devices, kv_key(id_), device(id_, names_, zone="UTC" * flag) if names_ else None)
        else:
            changed = _put(
                records, profiles, profile_key(id_), ProfileRecord(1, id_, keep_raw=flag) if names_ else None
            )
        expected = {own.id: joined(own, profiles.get(profile_key(own.profile))) for own in devices.values()}
        assert {id_: records.get(id_) for id_ in expected} == expected
        assert len(records) == len(expected)
        others = {id_ for id_ in expected.keys() | seen.keys() if expected.get(id_) != seen.get(id_)}
        assert others <= set(changed), "all that differ are told of"
        seen = dict(expected)


R = TypeVar("R", DeviceRecord, ProfileRecord)


def _put(records: Records, held: dict[str, R], key: str, record: R | None) -> list[str]:
    if record is None:
        held.pop(key, None)
        return list(records.forget(key))
    held[key] = record
    return list(records.learn(key, encode_record(record)))


def test_ids_are_those_of_the_devices_and_stay_as_they_are_while_others_come() -> None:
    records = Records()
    for id_ in ("d", "e"):
        records.learn(kv_key(id_), encode_record(device(id_)))
    records.learn(profile_key("p"), encode_record(PROFILE))
    ids = records.ids()
    records.forget(kv_key("d"))
    assert sorted(ids) == ["d", "e"]
    assert records.ids() == ("e",)
