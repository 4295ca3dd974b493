from pathlib import Path

import pytest

from contracts.stores import StoreAddress, StoreKind, parse_store


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("data/timeseries.sqlite3", StoreAddress(StoreKind.SQLITE, Path("data/timeseries.sqlite3"))),
        ("/var/lib/a b?c@d", StoreAddress(StoreKind.SQLITE, Path("/var/lib/a b?c@d"))),
        (
            "influxdb+http://127.0.0.1:8086/telemetry?org=plant+two",
            StoreAddress(StoreKind.INFLUXDB, url="http://127.0.0.1:8086", bucket="telemetry", org="plant two"),
        ),
        (
            "influxdb+https://[::1]:8086/proxy/influx/db%2Fautogen",
            StoreAddress(StoreKind.INFLUXDB, url="https://[::1]:8086/proxy/influx", bucket="db/autogen"),
        ),
        ("victoria+http://tsdb:8428", StoreAddress(StoreKind.VICTORIA, url="http://tsdb:8428")),
        ("victoria+https://tsdb/select/", StoreAddress(StoreKind.VICTORIA, url="https://tsdb/select")),
    ],
)
def test_each_form_is_read(text: str, address: StoreAddress) -> None:
    assert parse_store(text) == address


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is empty"),
        ("postgres://host/db", "not known"),
        ("http://127.0.0.1:8086/telemetry", "not known"),
        ("influxdb+ftp://host/bucket", "not known"),
        ("influxdb+http://host:8086", "no bucket"),
        ("influxdb+http://host:8086/", "no bucket"),
        ("influxdb+http:///bucket", "has to be"),
        ("influxdb+http://host:port/bucket", "no URL"),
        ("influxdb+http://host:8086/bucket?org=a&org=b", "org, once"),
        ("victoria+http://host:8428#x", "has to be"),
        ("victoria+http://host:8428?extra_label=a", "no parameters"),
    ],
)
def test_what_is_wrong_is_said(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_store(text)


@pytest.mark.parametrize(
    "text",
    [
        "influxdb+http://me:hunter2@host:8086/bucket",
        "influxdb+http://host:8086/bucket?token=hunter2",
        "influxdb+http://host:8086/bucket?org=a&p=hunter2",
        "victoria+http://hunter2@host:8428",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"of their own|of its own") as error:
        parse_store(text)
    assert "hunter2" not in str(error.value)
