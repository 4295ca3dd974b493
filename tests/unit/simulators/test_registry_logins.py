"""How logins are asked of the registry: who gets which, what is asked again, and that no secret is in an error."""

import httpx
import msgspec
import pytest

from simulators.connections.credentials import CredentialsError, Registry
from simulators.connections.outlet import Line
from simulators.connections.parties import Login
from simulators.plan.devices import Device


class Desk:
    """A registry in memory; `refuse` answers before it does, where it answers."""

    def __init__(self) -> None:
        self.devices = {"pump-1"}
        self.valid = set[str]()
        self.refuse: list[httpx.Response] = []
        self.rests = list[float]()

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.refuse:
            return self.refuse.pop(0)
        path = request.url.path.removeprefix("/api/v1/").split("/")
        if request.method == "DELETE":
            self.valid.remove("/".join(path))
            return httpx.Response(204)
        body = msgspec.json.decode(request.content)
        if path == ["devices"]:
            known = body["id"] in self.devices
            self.devices.add(body["id"])
            return httpx.Response(409 if known else 201, json={"detail": "there is one"})
        if path == ["broker-accounts"]:
            self.valid.add(f"broker-accounts/{body['name']}")
            return httpx.Response(201, json={"username": f"service/{body['name']}", "secret": "s"})
        assert path[1] in self.devices
        self.valid.add(f"devices/{path[1]}/credentials/c1")
        return httpx.Response(201, json={"id": "c1", "username": f"{path[1]}/c1", "secret": f"s-{path[1]}"})

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def registry(desk: Desk) -> Registry:
    http = httpx.AsyncClient(transport=httpx.MockTransport(desk.answer), base_url="http://api/api/v1")
    return Registry(http, rest=desk.rest)


PUMPS = [Device(n, f"pump-{n}", 0, n) for n in range(4)]
LINES = [
    Line("pump-1", PUMPS[1:2]),
    Line("pump-2", PUMPS[2:3]),
    Line("pump-0", [PUMPS[0], PUMPS[3]]),  # a gateway
    Line("simulator-pump-3", PUMPS[3:]),
]


async def test_a_device_alone_has_a_token_and_who_speaks_for_several_an_account(registry: Registry, desk: Desk) -> None:
    account = Login("service/simulator", "s")
    assert await registry.logins(LINES, "simulator") == {
        "pump-1": Login("pump-1/c1", "s-pump-1"),
        "pump-2": Login("pump-2/c1", "s-pump-2"),
        "pump-0": account,
        "simulator-pump-3": account,
    }
    assert desk.devices == {"pump-1", "pump-2"}
    await registry.revoke()
    assert desk.valid == set()


async def test_who_is_told_to_come_later_does(registry: Registry, desk: Desk) -> None:
    desk.refuse = [httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(503)]
    assert await registry.account("simulator") == Login("service/simulator", "s")
    assert desk.rests == [3.0, 1.0]


async def test_what_the_registry_refuses_is_told_without_a_secret(registry: Registry, desk: Desk) -> None:
    desk.refuse = [httpx.Response(403, json={"detail": "The claim key is for ids like 'a-*'."})]
    with pytest.raises(CredentialsError, match="provisioning pump-1: 403 The claim key is for ids") as told:
        await registry.provisioned(["pump-1"], "claim-secret")
    assert "claim-secret" not in str(told.value)


async def test_a_registry_that_is_away_is_an_error_of_its_own() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(away), base_url="http://api/api/v1")
    with pytest.raises(CredentialsError, match="account simulator: ConnectError"):
        await Registry(http).account("simulator")
