"""The README's table of problem types has all that the code answers with, each once."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import alerting
from alerting.notify.document import Kind
from contracts import etags, problems, requests
from tests.unit.devices_api.test_problem_types import OF_THE_FRAMEWORK, PLACES

FOLDER = Path(alerting.__file__).parent
SLUG = re.compile("[a-z]+(-[a-z]+)+|unavailable|unexpected|stale")


def slugs(path: Path) -> Iterator[str]:
    """Give the slugs in a file: what functions are given in their place, and what is chosen between before."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            place = PLACES.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
            given = node.args[place : place + 1] if place is not None else []
        elif isinstance(node, ast.Assign) and "slug" in ast.unparse(node.targets[0]):
            given = [node.value]
        else:
            continue
        for one in given:
            if isinstance(one, ast.JoinedStr):
                yield from (ast.unparse(one)[2:-1].replace("{kind}", kind) for kind in Kind)
                continue
            for inner in ast.walk(one):
                if isinstance(inner, ast.Constant) and SLUG.fullmatch(str(inner.value)):
                    yield str(inner.value)


def test_every_problem_type_is_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text().split("## Problems\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    files = [*FOLDER.rglob("*.py"), *(Path(str(module.__file__)) for module in (problems, requests, etags))]
    used = OF_THE_FRAMEWORK | {"unauthorized"} | {slug for path in files for slug in slugs(path)}
    assert sorted(used - set(told)) == []
    assert sorted(set(told) - used) == []
    assert told == sorted(set(told))
