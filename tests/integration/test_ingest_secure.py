"""Ingest and brokers that want TLS, certificates, user names and passwords."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import servers
from tests.conftest import Server, free_port, need
from tests.integration.certificates import certify
from tests.integration.ingest_service import counted, ingest, kept_log, reading, settings, until

PASSWORD = "a-password-for-tests"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    for authority in ("good", "other"):
        certify(directory, authority, authority)
    certify(directory, "good", "server", alternative="DNS:localhost")
    certify(directory, "good", "client")
    certify(directory, "other", "stranger")
    return directory


@pytest.fixture(params=["nats", "mosquitto"])
def strict_broker(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path) -> Iterator[Server]:
    """Give a broker that takes only clients with a certificate of ours, and a user name and password."""
    port, config = free_port(), tmp_path / "broker.conf"
    server, key, trusted = (certificates / name for name in ("server.pem", "server.key", "good.pem"))
    if request.param == "mosquitto":
        program = need("mosquitto", "mosquitto")
        passwords = tmp_path / "passwords"
        subprocess.run(
            [need("mosquitto_passwd", "mosquitto"), "-c", "-b", str(passwords), "ingest", PASSWORD], check=True
        )
        text = servers.mosquitto_config(tmp_path, "127.0.0.1", port).replace("allow_anonymous true", "")
        text += f"cafile {trusted}\ncertfile {server}\nkeyfile {key}\nrequire_certificate true\n"
        text += f"allow_anonymous false\npassword_file {passwords}\n"
    else:
        program = servers.nats_server()
        tls = f'tls {{ cert_file: "{server}", key_file: "{key}", ca_file: "{trusted}", verify: true }}'
        text = servers.broker_config(tmp_path / "broker", "127.0.0.1", port).replace("mqtt {", f"mqtt {{ {tls}, ")
        text += f'authorization {{ user: "ingest", password: "{PASSWORD}" }}\n'
    config.write_text(text)
    made = Server([program, "-c", str(config)], port)
    made.start()
    yield made
    made.kill()


def secure(certificates: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any setting
    given = {
        "mqtt_host": "localhost",
        "mqtt_tls": True,
        "mqtt_tls_ca": certificates / "good.pem",
        "mqtt_tls_cert": certificates / "client.pem",
        "mqtt_tls_key": certificates / "client.key",
        "mqtt_username": "ingest",
        "mqtt_password": PASSWORD,
    }
    return given | more


async def test_readings_come_over_tls_with_a_client_certificate_and_a_password(
    stream: Server, strict_broker: Server, certificates: Path
) -> None:
    given = secure(certificates)
    async with ingest(settings(stream, strict_broker, **given)) as app, reading(stream) as stored:
        app._session.send("devices/a/telemetry", b'{"n": 1}')  # noqa: SLF001 - any client would do
        await until(lambda: [r.values for r in stored.readings] == [{"n": 1.0}], "the reading")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mqtt_host": "127.0.0.1"}, "IP address mismatch"),
        ({"mqtt_tls_ca": None}, "certificate verify failed"),
        ({"mqtt_tls_ca": "other.pem"}, "certificate verify failed"),
        ({"mqtt_tls_ca": "good.key"}, "good.key: "),
        ({"mqtt_tls_key": "stranger.key"}, "client.pem and "),
        ({"mqtt_tls_cert": None, "mqtt_tls_key": None}, ""),
        ({"mqtt_tls_cert": "stranger.pem", "mqtt_tls_key": "stranger.key"}, ""),
        ({"mqtt_password": "wrong"}, ""),
        (
            {"mqtt_tls": False, "mqtt_tls_ca": None, "mqtt_tls_cert": None, "mqtt_tls_key": None},
            "",
        ),
    ],
)
async def test_a_broker_or_a_client_that_is_not_who_it_should_be_is_refused(
    stream: Server, strict_broker: Server, certificates: Path, change: dict[str, Any], why: str
) -> None:
    paths = {
        name: certificates / value if ".pem" in str(value) or ".key" in str(value) else value
        for name, value in change.items()
    }
    log, lines = kept_log()
    async with ingest(settings(stream, strict_broker, **secure(certificates, **paths)), ready=False, log=log) as app:
        await until(
            lambda: any(line["event"] in ("broker.unreachable", "broker.disconnected") for line in lines), "it is told"
        )
        assert app.waiting_for() == ["broker"]
        assert counted(app, "readings_stored") == 0
    assert why in str(lines)
    assert PASSWORD not in str(lines)
