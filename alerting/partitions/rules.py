"""The rules, compiled, as this replica knows them; it follows their changes in the database."""

import asyncio
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from alerting.calendars import Calendar
from alerting.evaluation.writes import RuleError
from alerting.judges.build import build
from alerting.notify.document import Kind
from alerting.notify.documents import Documents
from alerting.repository import AWAY, Repository
from alerting.rule_repository import RuleRepository, StoredRule
from alerting.rules.rule import Rule
from contracts.backoff import set_within
from contracts.logs import Log

_POLL_S = 0.5
_AT_ONCE = 200

Told = Callable[[str, Rule | None], None]
"""Is told of a rule that is new or another one, or is gone."""


class Rules:
    """All rules, by id. `changed` is called for each that changes.

    A rule that cannot be compiled says so on itself, and is not evaluated.
    """

    def __init__(
        self,
        stored: RuleRepository,
        repository: Repository,
        documents: Documents,
        changed: Told,
        now: Callable[[], int],
        log: Log,
    ) -> None:
        self._stored, self._repository, self._documents, self._changed = stored, repository, documents, changed
        self._now, self._log = now, log
        self._revision = self._of_documents = -1
        self._calendars: dict[str, Calendar] = {}
        self._recompile = False  # calendars have changed since all rules with schedules were compiled
        self._woken = asyncio.Event()
        self.current: dict[str, Rule] = {}
        self.loaded, self.away = asyncio.Event(), False

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def follow(self) -> None:
        """Follow what changes, for ever. The database may come and go."""
        while True:
            self._woken.clear()
            try:
                await self.look()
                self.away = False
            except AWAY as error:
                self.away = True
                self._log.debug("rules.unknown", error=type(error).__name__)
            await set_within(self._woken, _POLL_S)

    async def look(self) -> None:
        """Bring the rules up to date. Raises what the database raises."""
        self._recompile |= await self._read_calendars()
        revision, changed = await self._stored.changed_since(-1 if self._recompile else self._revision)
        wrong: list[RuleError] = []
        for number, one in enumerate(changed, 1):
            if one.revision <= self._revision and not (one.content or {}).get("schedule"):
                continue
            rule = self._compiled(one, wrong)
            if rule is not None:
                self.current[one.id] = rule
                self._changed(one.id, rule)
            elif self.current.pop(one.id, None) is not None:
                self._changed(one.id, None)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if wrong:
            await self._repository.note_errors(wrong)
        self._revision, self._recompile = revision, False
        self.loaded.set()

    async def _read_calendars(self) -> bool:
        """Read the calendars if documents have changed; returns whether a calendar has."""
        revision = await self._documents.revision()
        if revision == self._of_documents:
            return False
        _, documents = await self._documents.all()
        calendars: dict[str, Calendar] = {}
        for document in documents:
            if document.kind is Kind.CALENDAR:
                try:
                    calendars[document.id] = Calendar.model_validate(document.content)
                except ValidationError as error:  # rules that name it say that it is not there
                    self._log.error("calendar.unreadable", calendar=document.id, error="; ".join(_said(error)))
        before, self._calendars, self._of_documents = self._calendars, calendars, revision
        return before != calendars

    def _compiled(self, stored: StoredRule, wrong: list[RuleError]) -> Rule | None:
        if stored.content is None:
            return None
        try:
            return build(stored.id, stored.version, stored.spec, self._calendars)
        except (ValidationError, ValueError) as error:
            message = "; ".join(_said(error))
            self._log.error("rule.not_compiled", rule=stored.id, version=stored.version, error=message)
            wrong.append(RuleError(stored.id, stored.version, "", message, self._now(), 1))
            return None


def _said(error: ValueError) -> Iterable[str]:
    if isinstance(error, ValidationError):
        for problem in error.errors(include_url=False, include_input=False):
            yield f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    else:
        yield str(error)
