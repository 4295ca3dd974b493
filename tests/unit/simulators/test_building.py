from itertools import islice

import pytest

from simulators.running.building import Blueprint
from simulators.scenario.plain import plain
from simulators.scenario.reading import build
from simulators.scenario.spec import Scenario
from tests.unit.simulators.fleet_of_fakes import BEGAN


def ids(blueprint: Blueprint) -> list[str]:
    return sorted(device.id for part in blueprint.parts for device in part.devices)


def gateways(connections: int | str) -> Scenario:
    part = {"model": "gateway", "devices": 3, "format": "sparkplug", "connections": connections}
    return build({"name": "behind", "fleet": [part], "phase": [{"seconds": 1}]}, "a test")


def test_kinds_take_turns_and_processes_share_a_fleet_out() -> None:
    whole = ids(Blueprint(plain(devices=11)))
    assert whole[:2] == ["env-001", "env-002"]
    assert sorted(ids(Blueprint(plain(devices=5))) + ids(Blueprint(plain(devices=6, first=5)))) == whole


def test_a_device_measures_the_same_in_whichever_process_it_runs() -> None:
    def first_messages(blueprint: Blueprint) -> dict[str, bytes]:
        batches = [b for some in islice(blueprint.plan.slices(BEGAN, 1.0), 1) for b in some]
        return {t.decode(): p[30:] for b in batches for t, p in zip(b.topics, b.payloads, strict=True)}

    one, other = first_messages(Blueprint(plain(devices=1))), first_messages(Blueprint(plain(devices=40)))
    assert set(one) < set(other)


def test_numbers_of_devices_are_their_own() -> None:
    numbers = [device.number for part in Blueprint(plain(devices=100, first=7)).parts for device in part.devices]
    assert len(set(numbers)) == 100


@pytest.mark.parametrize(("connections", "lines"), [("own", 3), (2, 2), (5, 3)])
def test_what_is_behind_a_gateway_publishes_by_its_connection(connections: int | str, lines: int) -> None:
    blueprint = Blueprint(gateways(connections))
    assert len(blueprint.lines) == lines
    behind = list(blueprint.parts[1].devices)
    assert len(behind) % 3 == 0
    for _, line in blueprint.lines:
        numbers = {device.number for device in line.devices}
        assert {d.number for d in behind if d.via in numbers} <= numbers
    assert sorted(d.number for _, line in blueprint.lines for d in line.devices) == sorted(
        d.number for part in blueprint.parts for d in part.devices
    )


def test_a_connection_of_one_device_has_its_will_and_its_name() -> None:
    [(client, line)] = Blueprint(plain(devices=1)).lines
    assert (client, line.client_id) == ("native", "env-001")
    assert line.will() is not None
    [*_, (_, shared)] = Blueprint(plain(devices=40, connections=3)).lines
    assert shared.will() is None


def test_a_model_or_format_that_is_not_there_is_said_in_one_line() -> None:
    part = {"model": "submarine", "devices": 1}
    with pytest.raises(ValueError, match="no model 'submarine'"):
        Blueprint(build({"name": "x", "fleet": [part], "phase": [{"seconds": 1}]}, "a test"))
    with pytest.raises(ValueError, match="no format 'morse'"):
        Blueprint(build({"name": "x", "fleet": [part | {"model": "pump", "format": "morse"}], "phase": [{}]}, "t"))


def test_a_rule_for_an_event_that_no_device_can_have_is_said() -> None:
    table = {"name": "x", "fleet": [{"model": "pump", "devices": 1}], "phase": [{"seconds": 1}]}
    rule = {"name": "high", "event": "overpresure", "body": {}}
    with pytest.raises(ValueError, match=r"rule high: .* event 'overpresure'; there are \['overpressure'\]"):
        Blueprint(build(table | {"rule": [rule]}, "a test"))


def test_faults_are_of_those_whom_they_concern() -> None:
    faults = [
        {"kind": "spike", "rate": 1, "metric": "cpu"},
        {"kind": "reconnect_storm", "from": 1},
        {"kind": "duplicate", "rate": 0.5},
    ]
    part = {"model": "gateway", "devices": 3, "faults": faults}
    blueprint = Blueprint(build({"name": "x", "fleet": [part], "phase": [{"seconds": 3}]}, "a test"))
    gateway, behind = blueprint.parts
    assert gateway.injector is not None
    assert behind.injector is not None
    assert len(gateway.injector.acts(0, 0, 2 * 10**9)) == 3
    assert behind.injector.acts(0, 0, 2 * 10**9) == []
    names: dict[int, set[str]] = {0: set(), 1: set()}
    parts = {device.number: device.part for part in blueprint.parts for device in part.devices}
    for batches in blueprint.plan.slices(BEGAN, 1.0):
        for batch in batches:
            for device, name in zip(batch.devices, batch.faults, strict=True):
                names[parts[device]].add(name)
    assert names == {0: {"spike"}, 1: {"", "duplicate"}}


def test_a_fault_that_devices_cannot_have_is_said() -> None:
    part = {"model": "pump", "devices": 1, "faults": [{"kind": "drift", "amount": 1, "metric": "colour"}]}
    with pytest.raises(ValueError, match="drift: 'colour' is no number of model pump in format json"):
        Blueprint(build({"name": "x", "fleet": [part], "phase": [{"seconds": 3}]}, "a test"))
