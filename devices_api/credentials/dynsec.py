"""Keeps Mosquitto's dynamic-security plugin in step with the registry.

The plugin has to be told a password as it is, and the registry keeps hashes. So a client is made on the plugin while
its secret is known, by `add`; everything later, from a disabled device to an expired credential, is found by comparing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Any

from contracts.backoff import set_within
from contracts.logs import Log
from devices_api.credentials.accounts import Accounts
from devices_api.credentials.broker_rules import device_username, named, service_username
from devices_api.credentials.control import NAME, Control, worked
from devices_api.credentials.credential_repository import CredentialRepository
from devices_api.credentials.dynsec_plan import (
    MISSING_S,
    Command,
    Held,
    apply,
    create,
    delete,
    differences,
    held,
    roles_left,
)
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.settings import Settings

_EVERY_S = 5.0
_LIST_EVERY_S = 300.0
_AT_ONCE = 200
"""Commands in one message, and clients in one page."""


PLUGIN = "dynamic security plugin"
"""What is missing while it cannot be talked to."""


class Dynsec:
    """The plugin's clients and roles. `clock` gives seconds, `now` ns since 1970 UTC."""

    def __init__(
        self,
        control: Control,
        credentials: CredentialRepository,
        accounts: Accounts,
        metrics: Metrics,
        log: Log,
        *,
        now: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._control, self._credentials, self._accounts = control, credentials, accounts
        self._metrics, self._log, self._now, self._clock = metrics, log, now, clock
        self._have: dict[str, Held] = {}
        self._listed: tuple[int, float] | None = None
        self._strangers: dict[str, float] = {}
        self._missing: set[str] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def up(self) -> bool:
        """Whether the plugin can be talked to now."""
        return self._control.up

    async def add(self, username: str, secret: str, *, on: bool) -> None:
        """Make a client, before the registry keeps its credential. Raises UnavailableError if it cannot now."""
        who = named(username)
        assert who is not None  # noqa: S101 - user names are made by us
        if not await self._tell(create(who, username, secret, on=on)):
            raise UnavailableError(NAME)

    async def drop(self, username: str) -> None:
        """Remove a client again whose credential was not kept; what fails here is removed by comparing."""
        with contextlib.suppress(UnavailableError):
            await self._tell([delete(username)])

    def wake(self) -> None:
        """Tell of a change, so that the plugin hears of it at once."""
        self._changed.set()

    def finish(self) -> None:
        """Let `run` return after what it is at."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Compare and correct, at every change and every few seconds, until `finish`."""
        self._control.open()
        try:
            while not self._stopping:
                self._changed.clear()
                try:
                    if self._control.up:
                        await self._compare()
                except UnavailableError as error:
                    self._log.warning("dynsec.behind", error=str(error))
                self._metrics.dynsec_connected.set(float(self._control.up))
                await set_within(self._changed, _EVERY_S)
        finally:
            await self._control.close()

    async def _compare(self) -> None:
        now, clock = self._now(), self._clock()
        wanted: dict[str, bool] = {service_username(account.name): True for account in await self._accounts.all()}
        over: set[str] = set()
        for opened in await self._credentials.opened():
            of = opened.credential
            username = device_username(of.device, of.id)
            if of.over(now):
                over.add(username)
            else:
                wanted[username] = opened.enabled and of.valid(now)
        found = differences(wanted, over, self._have)
        if self._stale(clock) or (set(found.missing) - self._missing):
            await self._list(clock, wanted.keys() | over)
            found = differences(wanted, over, self._have)
        self._note_missing(set(found.missing))
        await self._tell([*found.commands, *(delete(username) for username in self._strange(found.strangers, clock))])

    def _stale(self, clock: float) -> bool:
        if self._listed is None:
            return True
        connection, at = self._listed
        return connection != self._control.connections or clock - at > _LIST_EVERY_S

    async def _list(self, clock: float, known: Collection[str]) -> None:
        """Read all that the plugin has of ours, and remove the roles of devices that are gone."""
        connection = self._control.connections
        roles: list[str] = await self._pages("listRoles", "roles")  # before the clients: they come with their roles
        clients = await self._pages("listClients", "clients")
        have = dict(found for listed in clients if (found := held(listed)) is not None)
        await self._tell([{"command": "deleteRole", "rolename": role} for role in roles_left(roles, have, known)])
        self._have, self._listed = have, (connection, clock)

    async def _pages(self, command: str, what: str) -> list[Any]:
        found: list[Any] = []
        while True:
            page = {"command": command, "verbose": command == "listClients", "count": _AT_ONCE, "offset": len(found)}
            (answer,) = await self._control.ask([page])
            if not worked(answer):
                self._refused(page, answer)
                raise UnavailableError(NAME)
            data = answer["data"]
            found += data[what]
            if not data[what] or len(found) >= data["totalCount"]:
                return found

    def _strange(self, usernames: list[str], clock: float) -> list[str]:
        """Those of clients that nobody knows that have been so for long enough."""
        self._strangers = {username: self._strangers.get(username, clock) for username in usernames}
        return [username for username, since in self._strangers.items() if clock - since >= MISSING_S]

    def _note_missing(self, missing: set[str]) -> None:
        if new := missing - self._missing:
            self._log.warning("dynsec.clients_missing", count=len(new), example=min(new))
        self._missing = missing
        self._metrics.dynsec_missing.set(len(missing))

    async def _tell(self, commands: list[Command]) -> bool:
        """Send commands; one that is refused holds up no other. Says whether all had their effect."""
        all_worked = True
        for first in range(0, len(commands), _AT_ONCE):
            some = commands[first : first + _AT_ONCE]
            for command, answer in zip(some, await self._control.ask(some), strict=True):
                if worked(answer):
                    apply([command], self._have)
                else:
                    self._refused(command, answer)
                    all_worked = False
        return all_worked

    def _refused(self, command: Command, answer: Command) -> None:
        self._metrics.dynsec_refused.inc()
        self._log.error("dynsec.command_refused", command=command["command"], error=answer.get("error"))


def dynsec_of(  # noqa: PLR0913 - as Dynsec
    settings: Settings,
    credentials: CredentialRepository,
    accounts: Accounts,
    metrics: Metrics,
    log: Log,
    *,
    now: Callable[[], int],
    clock: Callable[[], float],
    name: str,
) -> Dynsec | None:
    """Build it as the settings say; None where there is no such broker. `name` is this process's own."""
    if not (settings.mqtt_host and settings.dynsec_username):
        return None
    control = Control(settings, f"devices_api-dynsec-{name}", log)
    return Dynsec(control, credentials, accounts, metrics, log, now=now, clock=clock)
