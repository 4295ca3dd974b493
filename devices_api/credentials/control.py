"""The control topic of Mosquitto's dynamic-security plugin, over paho-mqtt: commands, and what each came to."""

import asyncio
import contextlib
import json
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.broker import tls_of
from contracts.logs import Log
from devices_api.credentials.dynsec_plan import Command
from devices_api.errors import UnavailableError
from devices_api.settings import Settings

NAME = "Mosquitto's dynamic security"
TOPIC = "$CONTROL/dynamic-security/v1"
ANSWER_S = 10.0
"""For so long an answer is waited for."""

ALREADY_SO = frozenset(
    {"Role already exists", "Client already exists", "Client not found", "Role not found"},
)
"""Errors of a command whose effect is there already: it was sent before, or by another process."""


def worked(answer: Command) -> bool:
    """Whether a command had its effect."""
    return answer.get("error", "") in ALREADY_SO | {""}


class Control:
    """A connection to the plugin. What is asked while there is none is answered with UnavailableError."""

    def __init__(self, settings: Settings, client_id: str, log: Log) -> None:
        self._settings, self._id, self._log = settings, client_id, log
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answers: dict[str, asyncio.Future[Command]] = {}
        self._numbers = 0
        self.connections = 0
        """How often the plugin has been reached: it may have changed since the last time."""
        self.up = False

    def open(self) -> None:
        """Begin to connect, and to do so again whenever the connection is lost. Raises OSError for bad certificates."""
        self._loop = asyncio.get_running_loop()
        tls = tls_of(self._settings)
        client = self._client = Client(CallbackAPIVersion.VERSION2, self._id)
        client.username_pw_set(self._settings.dynsec_username, self._settings.dynsec_password.get_secret_value())
        client.on_connect, client.on_disconnect, client.on_message = self._connected, self._lost, self._came
        client.on_subscribe = self._subscribed
        if tls is not None:
            client.tls_set_context(tls)
        client.reconnect_delay_set(1, 30)
        client.connect_async(self._settings.mqtt_host, self._settings.mqtt_port)
        client.loop_start()

    async def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        self.up = False
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    async def ask(self, commands: list[Command]) -> list[Command]:
        """Send commands and give their answers, in order. Raises UnavailableError if the plugin does not answer now."""
        client = self._client
        if not self.up or self._loop is None or client is None:
            raise UnavailableError(NAME)
        waiting: list[asyncio.Future[Command]] = []
        numbered = []
        for command in commands:
            self._numbers += 1
            number = f"{self._id}/{self._numbers}"  # others hear the answers too
            waiting.append(self._loop.create_future())
            self._answers[number] = waiting[-1]
            numbered.append(command | {"correlationData": number})
        try:
            sent = client.publish(TOPIC, json.dumps({"commands": numbered}), qos=1)
            if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise UnavailableError(NAME)
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.gather(*waiting)
        except TimeoutError as error:
            raise UnavailableError(NAME) from error
        finally:
            for command in numbered:
                self._answers.pop(command["correlationData"], None)

    # paho calls what follows in its own thread.

    def _connected(self, client: Client, _: Any, __: Any, code: ReasonCode, ___: Properties | None) -> None:  # noqa: ANN401 - paho's signature
        if code.is_failure:
            self._log.warning("dynsec.refused", reason=str(code))
        else:
            client.subscribe(f"{TOPIC}/response", qos=1)

    def _subscribed(self, *_: object) -> None:
        self._tell(self._found)

    def _lost(self, *_: object) -> None:
        self._tell(self._gone)

    def _came(self, _: Client, __: object, message: MQTTMessage) -> None:
        with contextlib.suppress(ValueError):
            told = json.loads(message.payload)
            self._tell(self._heard, told.get("responses", []) if isinstance(told, dict) else [])

    def _tell(self, what: Any, *values: Any) -> None:  # noqa: ANN401 - a method of ours
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *values)

    # And these run in the loop.

    def _found(self) -> None:
        self.up = True
        self.connections += 1
        self._log.info("dynsec.connected")

    def _gone(self) -> None:
        self.up = False
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(UnavailableError(NAME))

    def _heard(self, responses: list[Command]) -> None:
        for response in responses:
            answer = self._answers.get(str(response.get("correlationData", "")))
            if answer is not None and not answer.done():
                answer.set_result(response)
