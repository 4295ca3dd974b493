"""The tables of the README are the code."""

import re
from pathlib import Path

from ingest.metrics import Metrics
from ingest.settings import Settings

README = (Path(__file__).parents[3] / "ingest" / "README.md").read_text()


def test_every_setting_is_in_the_readme_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(INGEST_\w+)` \| (?:`(.*?)`)? ?\| (.*?) \|$", README, re.MULTILINE)
    told = {name: (default, meaning) for name, default, meaning in rows}
    wanted = {}
    for name, field in Settings.model_fields.items():
        default = field.default
        secret = hasattr(default, "get_secret_value")
        shown = "" if secret else str(default).lower() if isinstance(default, bool) else str(default)
        wanted[f"INGEST_{name.upper()}"] = (shown, field.description)
    assert told == wanted


def test_every_metric_is_in_the_readme() -> None:
    metrics = Metrics()
    metrics.watch(held=lambda: 0, devices=lambda: 0, connected=lambda: 0)
    told = {name.removesuffix("_total") for name in re.findall(r"^\| `(ingest_\w+)", README, re.MULTILINE)}
    assert told == {family.name for family in metrics.registry.collect()}
