"""EMQX Neuron: the tags of a group of a driver, in one of two shapes, at one time.

A tag that could not be read has an error instead of a value: its code is kept, under `{tag}.error`, with the flag
`quality`, since silence would look like a tag that nobody asked for.
"""

from typing import Any

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.findings import MILLISECONDS, Findings, Moment
from ingest.formats import Format
from ingest.identity import spell
from ingest.jsons import inner, kind, read_object
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route

_BAD = {"quality": "bad"}
_REQUESTS = frozenset({"req", "resp", "request", "response"})


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode the tags of a group, or the states of nodes."""
    if route.levels[-1] in _REQUESTS:
        return ignored(Ignored.COMMAND)
    body = read_object(arrival.payload)
    if isinstance(body, Decoded):
        return body
    node = body.get("node")
    if "states" in body:
        findings = Findings(arrival, route, context)
        _states(findings, body)
    elif "node" not in body and "uuid" in body:
        return ignored(Ignored.COMMAND)  # somebody asked for it
    elif not isinstance(node, str) or not node:
        return rejected(Reason.MALFORMED, "there is no node")
    else:
        findings = Findings(arrival, route, context)
        if (moment := findings.when(body.get("timestamp"), unit=MILLISECONDS)) is not None:
            _tags(findings, route.device or spell(node), body, moment)
    return findings.decoded()


def _tags(findings: Findings, device: str, body: dict[str, Any], moment: Moment) -> None:
    values, errors = dict(inner(body, "values")), dict(inner(body, "errors"))
    tags = body.get("tags")
    for number, tag in enumerate(tags if isinstance(tags, list) else (), start=1):
        if not isinstance(tag, dict) or not isinstance(tag.get("name"), str):
            findings.problem(Reason.MALFORMED, f"tag {number} is {kind(tag)} without a name")
        elif tag.get("error"):
            errors[tag["name"]] = tag["error"]
        else:
            values[tag["name"]] = tag.get("value")
    codes = {f"{name}.error": code for name, code in errors.items() if code}
    good = {name: value for name, value in values.items() if f"{name}.error" not in codes}
    group = body.get("group")
    if isinstance(group, str) and group:
        good = {f"{group}.{name}": value for name, value in good.items()}
        codes = {f"{group}.{name}": code for name, code in codes.items()}
    findings.reading(device, good, moment)
    findings.reading(device, codes, moment, flags=_BAD)


def _states(findings: Findings, body: dict[str, Any]) -> None:
    """Take in which nodes are connected; `running` is only whether they are meant to be."""
    moment = findings.when(body.get("timestamp"), unit=MILLISECONDS)
    states = body["states"]
    for number, state in enumerate(states if isinstance(states, list) else [states], start=1):
        name = state.get("node") if isinstance(state, dict) else None
        if not isinstance(name, str) or "link" not in state:
            findings.problem(Reason.MALFORMED, f"state {number} names no node and its link")
        elif moment is not None:
            reason = f"link {state['link']}, running {state.get('running')}"
            findings.state(spell(name), moment, online=state["link"] in (1, "1", True), reason=reason)


FORMAT = Format(decode)
