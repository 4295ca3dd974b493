"""Where time series are kept, as settings name it. Pure.

| setting | store |
|---|---|
| `data/timeseries.sqlite3` | SQLite: a file |
| `influxdb+http://127.0.0.1:8086/telemetry?org=plant` | InfluxDB: a bucket, and the organisation that it belongs to |
| `victoria+http://127.0.0.1:8428` | VictoriaMetrics |

`https` is as good as `http`, and a path before the bucket, or behind VictoriaMetrics' port, is one that a proxy serves
it under. A bucket of InfluxDB 1.x is a database, or DATABASE%2FPOLICY. Tokens and passwords have settings of their own:
URLs end up in logs.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class StoreKind(StrEnum):
    """Which store it is."""

    SQLITE = "sqlite"
    INFLUXDB = "influxdb"
    VICTORIA = "victoria"


@dataclass(frozen=True)
class StoreAddress:
    """A store: a file at `path`, or a server at `url`, which has no slash at its end, no query and no secret."""

    kind: StoreKind
    path: Path = Path()
    url: str = ""
    bucket: str = ""
    org: str = ""


_FORMS = "a file, influxdb+http://HOST:PORT/BUCKET?org=ORG or victoria+http://HOST:PORT, where https is as good as http"


def parse_store(text: str) -> StoreAddress:
    """Read a setting. Raises ValueError with a sentence for the operator, which does not repeat what was given."""
    if "://" not in text:
        if not text:
            raise ValueError(f"it is empty: it has to be {_FORMS}")
        return StoreAddress(StoreKind.SQLITE, Path(text))
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"it is no URL: it has to be {_FORMS}") from error
    kind, _, scheme = parts.scheme.partition("+")
    if kind not in (StoreKind.INFLUXDB, StoreKind.VICTORIA) or scheme not in ("http", "https"):
        raise ValueError(f"this kind of store is not known: it has to be {_FORMS}")
    if "@" in parts.netloc:
        raise ValueError("it holds a name or password: these have settings of their own")
    if not parts.hostname or parts.fragment:
        raise ValueError(f"it has to be {_FORMS}")
    if kind == StoreKind.INFLUXDB:
        return _influxdb(parts, scheme)
    if parts.query:
        raise ValueError("VictoriaMetrics has no parameters in its URL; a token has a setting of its own")
    return StoreAddress(StoreKind.VICTORIA, url=f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}")


def _influxdb(parts: SplitResult, scheme: str) -> StoreAddress:
    prefix, _, bucket = parts.path.rpartition("/")
    if not bucket:
        raise ValueError("it names no bucket: it has to be influxdb+http://HOST:PORT/BUCKET?org=ORG")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if [name for name, _ in query] not in ([], ["org"]):
        raise ValueError("of InfluxDB's parameters the URL takes org, once; a token has a setting of its own")
    org = query[0][1] if query else ""
    return StoreAddress(StoreKind.INFLUXDB, url=f"{scheme}://{parts.netloc}{prefix}", bucket=unquote(bucket), org=org)
