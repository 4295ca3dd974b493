import pytest

from ingest import descriptions
from ingest.descriptions import Descriptions


def test_facts_are_told_when_the_registry_has_the_device_and_again_only_when_they_change() -> None:
    registered: set[str] = set()
    told = Descriptions(registered.__contains__)
    told.learn("d", {"model": "X", "name": "a"})
    assert told.news() == []
    registered.add("d")
    told.registered("d")
    assert told.news() == [("d", {"model": "X", "name": "a"})]
    told.learn("d", {"model": "X"})
    assert told.news() == []
    told.learn("d", {"model": "Y"})
    assert told.news() == [("d", {"model": "Y"})]
    told.registered("d")
    assert told.news() == []


def test_units_are_facts() -> None:
    told = Descriptions(lambda _: True)
    assert told.learn_units("d", {"t": "degC"}) == []
    assert told.learn_units("d", {"t": "degC"}) == []
    assert told.news() == [("d", {"unit.t": "degC"})]
    assert told.learn_units("d", {"t": "degF", "h": "%"}) == ["t"]
    assert told.news() == [("d", {"unit.t": "degF", "unit.h": "%"})]


def test_the_device_that_spoke_longest_ago_is_forgotten() -> None:
    most = descriptions.MOST_DEVICES
    told = Descriptions(lambda device: device == "0")
    for number in range(most + 1):
        told.learn(str(number), {"model": "X"})
    told.registered("0")
    assert told.news() == []
    told.learn("0", {"model": "X"})
    assert told.news() == [("0", {"model": "X"})]


def test_a_device_has_a_most_of_facts() -> None:
    told = Descriptions(lambda _: True)
    told.learn("d", {str(number): "x" for number in range(descriptions.MOST_FACTS + 5)})
    [(_, facts)] = told.news()
    assert len(facts) == descriptions.MOST_FACTS


def test_what_devices_say_together_is_bounded_by_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "MOST_CHARACTERS", 3_000)
    told = Descriptions(lambda _: True)
    for device in ("a", "b", "c"):
        told.learn(device, {"name": "x" * 990})
    told.learn("a", {"name": "y" * 990})
    told.learn("d", {"name": "x" * 990})
    assert sorted(device for device, _ in told.news()) == ["a", "c", "d"], "of b nothing was heard for longest"
