"""Mosquitto with its dynamic-security plugin, and devices_api that keeps it in step."""

import contextlib
import getpass
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.conftest import Server, free_port, need
from tests.integration.registry_service import Service, running
from tests.integration.snippets import snippet

ADMIN_PASSWORD = "a-password-for-the-plugin"


@contextlib.contextmanager
def dynsec_broker(directory: Path) -> Iterator[Server]:
    """Give Mosquitto with the plugin as devices_api/README.md sets it up."""
    program, control = need("mosquitto", "mosquitto"), need("mosquitto_ctrl", "mosquitto")
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    kept, config, port = directory / "dynsec.json", directory / "mosquitto.conf", free_port()
    subprocess.run([control, "dynsec", "init", str(kept), "admin", ADMIN_PASSWORD], check=True, capture_output=True)
    places = {
        "1883": str(port),
        "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so": str(plugin),
        "/var/lib/mosquitto/dynsec.json": str(kept),
    }
    config.write_text(f"{snippet('mosquitto.conf', places)}user {getpass.getuser()}\n")
    server = Server([program, "-c", str(config)], port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.asynccontextmanager
async def api(stream: Server, mosquitto: Server, directory: Path) -> AsyncIterator[Service]:
    given = {"mqtt_host": "127.0.0.1", "mqtt_port": mosquitto.port, "mqtt_username": "admin"}
    plugin = {"dynsec_username": "admin", "dynsec_password": ADMIN_PASSWORD, "mqtt_password": ADMIN_PASSWORD}
    async with running(stream, directory, **given, **plugin) as service:
        await service.ready()
        yield service
