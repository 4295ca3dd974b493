"""Whatever is asked, the API answers as its description says, and tells a key nothing of groups that are not its own.

Requests are made from the description, within its rules and beyond them. `/events` never ends, so it is not asked here.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contracts import logs
from contracts.jetstream import Link, ensure_stream
from contracts.streams import TELEMETRY
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import KEY, Service, running
from tests.unit.devices_api.conftest import StoreFile

Found = TypeVar("Found")

HIDDEN, SHOWN = "hidden-mark", "shown-mark"
ENDLESS = "/api/v1/events"
AT = 1_767_225_600_000_000_000
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
BUSY = ("too-many-exports", "too-many-listeners")
KNOWN: dict[str, list[str | int]] = {
    "device_id": ["seen-1", "unseen-1", "nowhere-1"],
    "group_id": ["shown", "hidden"],
    "profile_id": ["pump"],
    "version": [1],
}
"""What there is, by the names of parameters: what is made up names nothing that is there."""


class Running:
    """An event loop in a thread, so that the service goes on while the next request is made up."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Found]) -> Found:
        """Do some work in the loop; returns what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Asked:
    """The service in a loop of its own, with devices in two groups, and what its description offers to ask."""

    def __init__(self, runner: Running, service: Service, store: StoreFile) -> None:
        self._runner, self._service = runner, service
        self.ask("GET", "/me")
        self._seed(store)
        described = self.ask("GET", "http://api/openapi.json")
        found = schemathesis.openapi.from_dict(described).get_all_operations()
        operations = [one.ok() for one in found if isinstance(one, Ok)]
        self.operations = [operation for operation in operations if operation.path != ENDLESS]
        self.shown = 0  # answers to a limited key that had the mark of its own group

    def send(self, key: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
        """Send a request with a key."""
        request["headers"] = {**request.get("headers", {}), "Authorization": f"Bearer {key}"}
        return self._runner.run(self._service.client.request(**request))

    def ask(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - any JSON
        """Have root do something."""
        answer = self.send(KEY, method=method, url=path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def key(self, name: str, scopes: list[str], groups: list[str] | None = None) -> str:
        """Make a key."""
        made: str = self.ask("POST", "/keys", {"name": name, "scopes": scopes, "groups": groups})["key"]
        return made

    def _seed(self, store: StoreFile) -> None:
        self.ask("PUT", "/profiles/pump", {"metrics": {"pressure": {"unit": "bar"}}})
        for group, mark, device in (("shown", SHOWN, "seen-1"), ("hidden", HIDDEN, "unseen-1")):
            self.ask("POST", "/groups", {"id": group, "name": mark})
            about = {"name": mark, "tags": {"note": mark}, "attributes": {"note": mark}, "groups": [group]}
            self.ask("POST", "/devices", {"id": device, "profile": "pump", **about})
            self.ask("PATCH", f"/devices/{device}/twin/desired", {"note": mark})
            self.ask("POST", f"/devices/{device}/commands", {"name": mark, "params": {"note": mark}})
            store.write(device, "note", [(AT, mark)], profile="pump")
            store.write(device, mark, [(AT, 1.0)], profile="pump")
        self.ask("POST", "/devices", {"id": "nowhere-1", "name": HIDDEN})


async def telemetry(stream: Server) -> None:
    """Make the stream that ingest makes."""
    link = Link(stream.nats_url, TOKEN, "test", logs.quiet())
    await link.connect()
    await ensure_stream(link.js, TELEMETRY, 4)
    await link.close()


@pytest.fixture
def asked(tmp_path: Path, stream: Server) -> Iterator[Asked]:
    with contextlib.closing(Running()) as runner, contextlib.ExitStack() as stack:
        context = running(stream, tmp_path, key_rate="1000000:1")
        service = runner.run(context.__aenter__())
        stack.callback(lambda: runner.run(context.__aexit__(None, None, None)))
        runner.run(service.ready())
        runner.run(telemetry(stream))
        yield Asked(runner, service, StoreFile(tmp_path / "timeseries.sqlite3"))


def made(asked: Asked, examples: int, *, again: bool) -> list[schemathesis.Case[Any]]:
    """Make up requests of each operation: some within its description, as many beyond it."""
    cases: list[schemathesis.Case[Any]] = []
    for operation in asked.operations:
        for mode in schemathesis.GenerationMode:
            strategy = operation.as_strategy(mode)

            @given(case=strategy, data=st.data())
            @settings(
                max_examples=examples,
                database=None,
                derandomize=again,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def each(case: schemathesis.Case[Any], data: st.DataObject) -> None:
                for name in case.path_parameters or {}:
                    if name in KNOWN and data.draw(st.booleans()):
                        case.path_parameters[name] = data.draw(st.sampled_from(KNOWN[name]))
                if case.query and "wait" in case.query:
                    case.query["wait"] = 0
                cases.append(case)

            each()
    return cases


def broken(asked: Asked, key: str, case: schemathesis.Case[Any], *, limited: bool) -> str:
    """Ask once, and tell what is wrong with the answer; empty if nothing is."""
    request = case.as_transport_kwargs(base_url="http://api")
    del request["cookies"]
    if isinstance(request.get("data"), str | bytes):
        request["content"] = request.pop("data")
    with contextlib.suppress(httpx.InvalidURL, UnicodeError):  # what no client can send
        answer = asked.send(key, **request)
        body = request.get("json", "")
        where = f"{case.method} {answer.request.url} {body!r:.300}: {answer.status_code} {answer.text:.300}"
        slug = answer.json()["type"].rpartition(":")[2] if answer.status_code >= 400 and answer.content else ""
        if answer.status_code >= 500 and slug not in BUSY:
            return where
        asked.shown += limited and SHOWN in answer.text
        if limited and HIDDEN in answer.text:
            return f"shown of a group that is not the key's: {where}"
        try:
            case.validate_response(answer, checks=CHECKS)
        except (BaseExceptionGroup, AssertionError) as error:
            return f"{where}: {getattr(error, 'exceptions', error)!r:.600}"
    return ""


KEYS = {
    "reads in one group": (["read"], ["shown"]),
    "does all in one group": (["read", "write", "commands", "admin"], ["shown"]),
}


@pytest.mark.timeout(240)
def test_no_answer_is_other_than_described_or_of_others_groups(asked: Asked) -> None:
    check(asked, 2, again=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_answer_is_other_than_described_or_of_others_groups_at_length(asked: Asked) -> None:
    check(asked, 60, again=False)


def check(asked: Asked, examples: int, *, again: bool) -> None:
    """Ask the same with each key; making the requests up takes longer than answering them."""
    cases = made(asked, examples, again=again)
    found: list[str] = []
    for name, (scopes, groups) in KEYS.items():
        key = asked.key(name, scopes, groups)
        found += [f"{name}: {one}" for case in cases if (one := broken(asked, key, case, limited=True))]
    found += [f"root: {one}" for case in cases if (one := broken(asked, KEY, case, limited=False))]
    assert asked.shown > 10, "the keys that are limited have seen too little for this to say anything"
    assert not found, "\n".join(found[:40])
