"""What would be told of alerts now: for those who read them, in every replica."""

import asyncio
from collections.abc import Mapping

from alerting.alert_repository import AlertRepository, Wanted
from alerting.calendars import Calendar
from alerting.life.alert import State
from alerting.notify.configuration import Configuration, configure
from alerting.notify.document import Document, Kind
from alerting.notify.documents import Documents
from alerting.notify.inhibition import Sources
from alerting.notify.muting import Mutes
from alerting.notify.routing import Route, which_routes

_PAGE = 1000


class View:
    """Who is told of alerts at one moment, and what mutes them."""

    def __init__(self, configuration: Configuration, sources: Sources, now: int) -> None:
        self._root = configuration.root
        self._mutes = Mutes(configuration.silences, sources, now)

    def silenced_by(self, labels: Mapping[str, str]) -> list[str]:
        """Give the ids of the silences that hold for an alert with these labels."""
        muting = self._mutes.of(labels, None)
        return [] if muting is None else list(muting.silenced_by)

    def inhibited_by(self, labels: Mapping[str, str]) -> list[str]:
        """Give the id of an alert for whose sake nobody is told of one with these labels, if there is one."""
        muting = self._mutes.of(labels, None)
        return [] if muting is None else list(muting.inhibited_by)

    def routes(self, labels: Mapping[str, str]) -> list[Route]:
        """Give the routes that tell of an alert with these labels."""
        return which_routes(self._root, labels)

    def receivers(self, labels: Mapping[str, str]) -> list[str]:
        """Name the receivers that its routes tell first."""
        return list(dict.fromkeys(name for route in self.routes(labels) for name in receivers_of(route)))


def receivers_of(route: Route) -> tuple[str, ...]:
    """Name the receivers that a route tells; of a chain those of its first step."""
    return () if route.steps is None else route.steps.steps[0].receivers


class Views:
    """Makes views of what the database has; documents are read again only where they have changed."""

    def __init__(self, documents: Documents, alerts: AlertRepository, *, built_in: bool) -> None:
        self._documents, self._alerts, self.built_in = documents, alerts, built_in
        self._lock = asyncio.Lock()
        self._revision = -1
        self._read: list[Document] = []
        self._configuration = configure([], built_in=built_in)

    async def documents(self) -> list[Document]:
        """Give all documents as they are now."""
        async with self._lock:
            if await self._documents.revision() != self._revision:
                self._revision, self._read = await self._documents.all()
                self._configuration = configure(self._read, built_in=self.built_in)
            return self._read

    async def calendars(self) -> dict[str, Calendar]:
        """Give all calendars, by id."""
        found = [one for one in await self.documents() if one.kind is Kind.CALENDAR]
        return {one.id: Calendar.model_validate(one.content) for one in found}

    async def at(self, now: int) -> View:
        """Give the view of this moment. Where alerts inhibit others, it looks at all that fire."""
        await self.documents()
        configuration = self._configuration
        sources = Sources(configuration.inhibitions)
        behind: str | None = ""
        while configuration.inhibitions and behind is not None:
            page, behind = await self._alerts.alerts(Wanted(states=[State.FIRING]), now, _PAGE, behind)
            for standing in page:
                sources.put(standing.alert.id, standing.alert.labels)
        return View(configuration, sources, now)
