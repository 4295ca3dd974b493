"""Queries of the registry database. Each method is one transaction, and a change and its outbox row are in the same.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.presence import Presence
from contracts.versions import Match
from devices_api.access import Principal, View
from devices_api.audit import AuditLog
from devices_api.credentials.accounts import Accounts
from devices_api.credentials.answers import Answers
from devices_api.credentials.authorities import Authorities
from devices_api.credentials.claims import Claims
from devices_api.credentials.credential_repository import CredentialRepository
from devices_api.database import WRITE, transaction
from devices_api.errors import ExistsError
from devices_api.jobs.job_repository import Jobs
from devices_api.keys.key_repository import KeyRepository
from devices_api.keys.ticket_repository import TicketRepository
from devices_api.letters import autoreplays
from devices_api.letters.autoreplays import AutoReplays
from devices_api.lists.choice import Chosen
from devices_api.lists.filters import Filter
from devices_api.lists.listing import where
from devices_api.lists.lists import Lists
from devices_api.registry import changing, hearing
from devices_api.registry.activities import Activities
from devices_api.registry.addressed import Addressed
from devices_api.registry.devices import Change, Device, NewDevice
from devices_api.registry.group_repository import GroupRepository
from devices_api.registry.hearing import Taken
from devices_api.registry.outbox import Outbox
from devices_api.registry.profile_repository import ProfileRepository, profiles_of
from devices_api.tables import device
from devices_api.twins import command_repository, twins
from devices_api.twins.command_repository import Commands
from devices_api.twins.twins import Twins


class Repository:
    """The devices and their presence; `profiles`, `groups`, the `outbox`, and what is replayed by itself."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)
        self.profiles = ProfileRepository(engine)
        self.groups = GroupRepository(engine)
        self.outbox = Outbox(engine)
        self.auto_replays = AutoReplays(engine)
        self.audit = AuditLog(engine)
        self.addressed = Addressed(engine)
        self.lists = Lists(engine)
        self.twins = Twins(engine)
        self.commands = Commands(engine)
        self.keys = KeyRepository(engine)
        self.jobs = Jobs(engine)
        self.tickets = TicketRepository(engine)
        self.credentials = CredentialRepository(engine)
        self.authorities = Authorities(engine)
        self.accounts = Accounts(engine)
        self.claims = Claims(engine)
        self.answers = Answers(engine)
        self.activities = Activities(engine)

    async def create(self, new: NewDevice, by: Principal, now: int) -> Device:
        """Register a device; see changing.create."""
        try:
            async with transaction(self._writing) as db:
                return await changing.create(db, new, by, now)
        except IntegrityError as error:
            raise ExistsError(new.id) from error

    async def get(self, id_: str, view: View = None, *, deleted: bool = False) -> Device | None:
        """Return one device, or None if there is none that `view` shows; with `deleted`, also one that is."""
        async with transaction(self._engine) as db:
            return await changing.find(db, id_, view, deleted=deleted)

    async def zone(self, id_: str) -> str:
        """Return the time zone of a device: its own or else its profile's, empty where neither names one."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(device.c.zone, device.c.profile).where(device.c.id == id_))).first()
            if row is None or row.zone:
                return "" if row is None else row.zone
            made = await profiles_of(db, [row.profile])
        return made[row.profile].zone if row.profile in made else ""

    async def matching(self, devices: Collection[str], filter_: Filter | None, view: View) -> set[str]:
        """Return those of `devices` that `filter_` means, all where there is none, and that `view` shows."""
        meant = where(Chosen(filter_), view, self._engine.dialect.name)
        query = select(device.c.id).where(device.c.id.in_(devices), meant)
        async with transaction(self._engine) as db:
            return set(await db.scalars(query))

    async def change(self, id_: str, change: Change, by: Principal, now: int, match: Match = None) -> Device | None:
        """Replace what `change` names; see changing.change."""
        async with transaction(self._writing) as db:
            return await changing.change(db, id_, change, by, now, match)

    async def remove(self, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
        """Delete a device so that it can be restored; see changing.remove."""
        async with transaction(self._writing) as db:
            return await changing.remove(db, id_, by, now, match)

    async def restore(self, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
        """Undo a deletion; see changing.restore."""
        async with transaction(self._writing) as db:
            return await changing.restore(db, id_, by, now, match)

    async def purge(self, id_: str, by: Principal, now: int, match: Match = None) -> bool:
        """Remove a device for good; see changing.purge."""
        async with transaction(self._writing) as db:
            done = await changing.purge(db, id_, by, now, match)
            if done:
                await twins.purged(db, id_, now)
            return done

    async def take_presence(self, messages: Sequence[Presence], now: int, limit: int) -> Taken:
        """Take in presence messages, in order, in one transaction.

        A device that was `seen` is registered unless the registry holds `limit` devices. Of devices that are not
        registered, `limit` states are kept, and no facts.
        """
        async with transaction(self._writing) as db:
            taken = await hearing.take(db, messages, now, limit)
            await autoreplays.heard(db, messages, now)
            await twins.came_online(db, messages, now)
            await command_repository.came_online(db, messages, now)
        return taken

    async def check(self) -> None:
        """Raise UnavailableError if the database does not answer."""
        async with transaction(self._engine) as db:
            await db.execute(select(literal(1)))

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
