"""How the connections of a scenario log in: not at all, or by what the registry has made for them."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import httpx

from simulators.connections.credentials import Registry, own
from simulators.connections.outlet import Connect, Line
from simulators.connections.parties import Login
from simulators.connections.provisioning import provisioned
from simulators.running.building import Blueprint
from simulators.scenario.registering import RegistrationError, profile_name

_PATIENCE_S = 60.0


@dataclass
class Logins:
    """A login for each connection, by client id. `usual` is for all others."""

    usual: Login | None = None
    known: dict[str, Login] = field(default_factory=dict)

    def __call__(self, line: Line) -> Login | None:
        """Give the login of a connection."""
        return self.known.get(line.client_id, self.usual)


@contextlib.asynccontextmanager
async def logins(
    blueprint: Blueprint,
    http: httpx.AsyncClient,
    connect: Connect,
    nonce: Callable[[], str],
    usual: Login | None,
) -> AsyncIterator[Logins]:
    """Make credentials where the scenario wants them, and end them afterwards.

    `http` asks devices_api, with a base address that ends in `/api/v1`. `connect` makes connections for those who are
    to become devices. Raises CredentialsError and RegistrationError.
    """
    found, registry = Logins(usual), Registry(http)
    wanted = _lines(blueprint)
    try:
        if wanted["registry"]:
            found.known |= await registry.logins(wanted["registry"], f"simulator-{blueprint.scenario.name}")
        own_ones = [line for line in wanted["provisioned"] if own(line)]
        if len(own_ones) < len(wanted["provisioned"]):
            raise RegistrationError("only devices with a connection of their own can be provisioned")
        for profile, lines in _by_profile(blueprint, own_ones).items():
            body = {"name": blueprint.scenario.name, "most": len(lines), "gives": {"profile": profile}}
            answer = await http.post("claims", json=body)
            if not answer.is_success:
                raise RegistrationError(f"a claim key was refused: {answer.text[:300]}")
            ids = [line.client_id for line in lines]
            found.known |= await provisioned(connect, ids, answer.json()["key"], nonce=nonce, seconds=_PATIENCE_S)
        yield found
    finally:
        await registry.revoke()


def _lines(blueprint: Blueprint) -> dict[str, list[Line]]:
    """Sort the connections by what their devices log in with."""
    found: dict[str, list[Line]] = {"none": [], "registry": [], "provisioned": []}
    kinds = blueprint.credentials
    for _, line in blueprint.lines:
        found[kinds[line.devices[0].part]].append(line)
    return found


def _by_profile(blueprint: Blueprint, lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(profile_name(blueprint.parts[line.devices[0].part]), []).append(line)
    return found
