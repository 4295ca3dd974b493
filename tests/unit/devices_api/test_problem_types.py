"""The README's table of problem types has all that the code answers with, each once."""

import ast
import re
from pathlib import Path

import devices_api
from contracts import etags, problems, requests

FOLDER = Path(devices_api.__file__).parent
PLACES = {"Problem": 1, "answer": 2, "bad": 0, "read": 0, "RefusedError": 0}
"""Functions that are given a slug, and as which argument."""

PASSING_ON = {"bad", "read", "refuse"}
"""Functions whose slug comes from whoever calls them."""

OF_THE_FRAMEWORK = {"not-found", "method-not-allowed", "bad-request"}
"""Slugs that are made of the status, where no route is found or a body is no JSON."""


def slugs(path: Path) -> set[str]:
    """Collect the slugs in a file; fails where one is made in a way that cannot be followed."""
    found = set()
    tree = ast.parse(path.read_text())
    inside = {
        call: function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in ast.walk(function)
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        ours = name != "answer" or path == Path(problems.__file__) or "problems." in ast.unparse(call.func)
        place = PLACES.get(name)
        if place is None or not ours or len(call.args) <= place:
            continue
        match call.args[place]:
            case ast.Constant(value=str(slug)):
                found.add(slug)
            case other:
                followed = inside.get(call) in PASSING_ON or ast.unparse(other) == "error.slug"
                assert followed or name == "read" or path.parent.name != "web", (
                    f"{path}:{call.lineno}: {ast.unparse(other)}"
                )
    return found


def test_every_problem_type_is_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text().split("## Problems\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    files = [*FOLDER.rglob("*.py"), *(Path(str(module.__file__)) for module in (problems, requests, etags))]
    used = OF_THE_FRAMEWORK | {slug for path in files for slug in slugs(path)}
    assert sorted(used - set(told)) == []
    assert told == sorted(set(told))
