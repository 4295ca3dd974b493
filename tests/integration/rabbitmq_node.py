"""A RabbitMQ node of a test's own: its ports, its folder, its cookie, and its port mapper."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import accepts, free_port, need, wait_until
from tests.integration.snippets import snippet

_PLUGINS = "[rabbitmq_mqtt,rabbitmq_auth_backend_http].\n"
_ADVANCED = "[{rabbitmq_mqtt, [{ignore_colons_in_username, true}]}].\n"


@contextlib.contextmanager
def rabbitmq_node(directory: Path, api_port: int, key: str) -> Iterator[int]:
    """Run a node as README.md sets it up, which asks the API on `api_port`; gives its MQTT port."""
    need("rabbitmq-server", "rabbitmq-server")
    program = next(iter(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")))
    mqtt, mapper, distribution = free_port(), free_port(), free_port()
    shown = {"1883": str(mqtt), "8080": str(api_port), "KEY": key}
    (directory / "rabbitmq.conf").write_text("listeners.tcp = none\n" + snippet("rabbitmq.conf", shown))
    (directory / "advanced.config").write_text(_ADVANCED)
    (directory / "enabled_plugins").write_text(_PLUGINS)
    environment = os.environ | {
        "HOME": str(directory),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"sensorium{os.getpid()}@localhost",
        "RABBITMQ_BASE": str(directory),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as running:
        # Were there none, the node would start a mapper of its own and leave it behind.
        epmd = subprocess.Popen([need("epmd", "erlang-base"), "-port", str(mapper)], env=environment, **quiet)  # type: ignore[call-overload]  # the same for both
        running.callback(_end, epmd, group=False)
        wait_until(lambda: accepts(mapper), "the port mapper")
        node = subprocess.Popen([str(program)], env=environment, start_new_session=True, **quiet)  # type: ignore[call-overload]  # as above
        running.callback(_end, node, group=True)
        wait_until(lambda: accepts(mqtt) or node.poll() is not None, "RabbitMQ", 90)
        assert node.poll() is None, f"the node has ended; {directory}/log says why"
        yield mqtt


def _end(process: "subprocess.Popen[bytes]", *, group: bool) -> None:
    """End a process, and with `group` those that it has started in its own group."""
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
