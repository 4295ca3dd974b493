"""The tables in the services' READMEs that the code knows better: their settings and their metrics.

`make docs` writes them between their markers; test_documents.py fails where they differ from the code.
"""

import importlib
import re
import tempfile
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from contracts import logs
from tests.docs.odd import odd_values_table

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest", "processor", "devices_api", "alerting", "simulators")


def settings_table(service: str) -> str:
    """Every variable that a service reads, with its default and meaning."""
    settings = importlib.import_module(f"{service}.settings").Settings
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in sorted(
        settings.model_fields.items(), key=lambda entry: entry[1].default is not PydanticUndefined
    ):
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        if default is PydanticUndefined:
            shown = "required"
        elif default in ("", None):
            shown = ""
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        lines.append(f"| `{service.upper()}_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)


def metrics_table(service: str) -> str:
    """Every metric of a service, and when it moves."""
    with tempfile.TemporaryDirectory() as directory:
        lines = ["| metric | meaning |", "|---|---|"]
        registry = build(service, Path(directory)).registry
        for collector in registry._collector_to_names:  # noqa: SLF001 - nothing public tells the names of labels
            [family] = collector.describe() if hasattr(collector, "describe") else collector.collect()
            labels = ", ".join(getattr(collector, "_labelnames", ()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            lines.append(f"| `{name}`{f' by {labels}' if labels else ''} | {family.documentation} |")
    return "\n".join(lines)


def build(service: str, directory: Path) -> Any:  # noqa: ANN401 - any service's App
    """Build a service that is never started."""
    settings = importlib.import_module(f"{service}.settings").Settings
    known = {"key": "k" * 16, "store": directory / "store", "ledger": str(directory / "ledger")}
    known["database_url"] = f"sqlite+aiosqlite:///{directory}/database"
    given = {name: value for name, value in known.items() if name in settings.model_fields}
    return importlib.import_module(f"{service}.app").App(settings(**given), logs.quiet())


def fill(text: str, service: str) -> str:
    """Put the tables between their markers; raises ValueError where a marker is missing."""
    tables = {"settings": settings_table(service), "metrics": metrics_table(service)}
    if service == "ingest":
        tables["odd values"] = odd_values_table()
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        parts = pattern.split(text)
        if len(parts) != 4:
            raise ValueError(f"{service}/README.md: one pair of markers <!-- {name} --> … <!-- /{name} --> is expected")
        before, begin, end, after = parts
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


def main() -> None:
    """Write the tables."""
    for service in SERVICES:
        path = ROOT / service / "README.md"
        path.write_text(fill(path.read_text(), service))


if __name__ == "__main__":
    main()
