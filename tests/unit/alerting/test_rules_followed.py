"""What a replica knows of the rules when the database fails between two looks."""

from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.notify.configuration import problem_of
from alerting.notify.documents import Documents
from alerting.partitions.rules import Rules
from alerting.repository import Repository
from alerting.rule_repository import RuleRepository, StoredRule
from contracts.logs import quiet


class FailsOnce(RuleRepository):
    """Rules that cannot be read when `fail` is set, once."""

    fail = False
    asked: list[int]

    async def changed_since(self, seen: int) -> tuple[int, list[StoredRule]]:
        self.asked = [*getattr(self, "asked", []), seen]
        if self.fail:
            self.fail = False
            raise TimeoutError
        return await super().changed_since(seen)


async def test_calendars_that_changed_while_the_rules_could_not_be_read_are_not_forgotten(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, documents = FailsOnce(engine), Documents(engine, problem_of)
    rules = Rules(stored, Repository(engine), documents, lambda *_: None, lambda: 0, quiet())
    await rules.look()
    changed: Callable[[], object] = iter([True, False]).__next__

    async def read() -> bool:
        return bool(changed())

    monkeypatch.setattr(rules, "_read_calendars", read)
    stored.fail = True
    with pytest.raises(TimeoutError):
        await rules.look()
    await rules.look()
    assert stored.asked[-1] == -1
