"""What Mosquitto's dynamic-security plugin is told."""

from devices_api.credentials.broker_rules import Who
from devices_api.credentials.dynsec_plan import Held, apply, create, delete, differences, held, roles_left

PUMP = Who("device", "pump-7", "0a1b")


def test_a_client_comes_with_its_role_and_its_client_id() -> None:
    role, gone, client = create(PUMP, "pump-7/0a1b", "its-secret", on=True)
    assert role["rolename"] == "sensorium/device/pump-7"
    assert [(acl["acltype"], acl["topic"], acl["allow"]) for acl in role["acls"]] == [
        ("publishClientSend", "devices/pump-7/desired", False),
        ("publishClientSend", "devices/pump-7/delta", False),
        ("publishClientSend", "devices/pump-7/errors", False),
        ("publishClientSend", "devices/pump-7/commands/+", False),
        ("publishClientSend", "devices/pump-7/#", True),
        ("subscribePattern", "devices/pump-7/#", True),
    ]
    assert gone == delete("pump-7/0a1b")
    assert (client["clientid"], client["password"]) == ("pump-7", "its-secret")
    assert create(PUMP, "pump-7/0a1b", "its-secret", on=False)[-1]["command"] == "disableClient"


def test_the_plugin_is_told_what_differs() -> None:
    have = {
        "a/1": Held("sensorium/device/a", on=True),
        "b/1": Held("sensorium/device/b", on=False),
        "c/1": Held("sensorium/device/c", on=True),
        "d/1": Held("sensorium/device/d", on=True),
    }
    found = differences({"a/1": False, "b/1": True, "e/1": True}, {"c/1", "f/1"}, have)
    assert [(c["command"], c["username"]) for c in found.commands] == [
        ("disableClient", "a/1"),
        ("enableClient", "b/1"),
        ("deleteClient", "c/1"),
    ]
    assert (found.missing, found.strangers) == (["e/1"], ["d/1"])
    apply(found.commands, have)
    assert differences({"a/1": False, "b/1": True}, {"c/1"}, have).commands == []
    roles = ["admin", "sensorium/service", *(f"sensorium/device/{device}" for device in "acfg")]
    assert roles_left(roles, have, ["a/1", "f/1"]) == ["sensorium/device/c", "sensorium/device/g"]


def test_what_has_no_role_of_ours_is_not_ours() -> None:
    assert held({"username": "admin", "roles": [{"rolename": "admin"}]}) is None
    assert held({"username": "x"}) is None
    ours = {"username": "a/1", "roles": [{"rolename": "sensorium/device/a"}], "disabled": True}
    assert held(ours) == ("a/1", Held("sensorium/device/a", on=False))
