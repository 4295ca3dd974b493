"""Becoming a device over MQTT, with a claim key, as a device does that knows no HTTP."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from contracts.topics import provision_request, provision_response
from simulators.connections.credentials import CredentialsError, each
from simulators.connections.outlet import Connect, Line, Outlet
from simulators.connections.parties import Login

USER = Login("provision", "any")
"""How everyone logs in who is to become a device, where a broker asks at all."""

_GOODBYE_S = 1.0


class _Answer(msgspec.Struct):
    username: str = ""
    secret: str = ""
    error: str = ""
    detail: str = ""


class _Asking:
    """The Listener of one device that asks."""

    def __init__(self, request: bytes, topic: bytes) -> None:
        self._request, self._topic = request, topic
        self.answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()

    def connected(self, outlet: Outlet) -> None:
        """Ask, once subscribed; again on each connection, as long as there is no answer."""
        if not self.answer.done():
            outlet.send([(0, self._topic, self._request, 0)])

    def lost(self, outlet: Outlet, reason: str) -> None:
        """Go on."""

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Go on."""

    def acked(self, numbers: Sequence[int], at: int) -> None:
        """Go on."""

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        """Take the answer."""
        del outlet, topic
        if self.answer.done():
            return
        try:
            self.answer.set_result(msgspec.json.decode(payload, type=_Answer))
        except msgspec.MsgspecError:
            self.answer.set_result(_Answer(error="what was answered cannot be read"))


async def provisioned(
    connect: Connect, devices: Iterable[str], claim: str, *, nonce: Callable[[], str], seconds: float, at_once: int = 16
) -> dict[str, Login]:
    """Have devices register themselves by connections that log in as USER; gives their logins, by device.

    `nonce` gives a random name that nobody can guess, each time another. Raises CredentialsError, also if there is no
    answer within `seconds`.
    """
    gate = asyncio.Semaphore(at_once)

    async def become(device: str) -> Login:
        async with gate:
            mine = nonce()
            asking = _Asking(msgspec.json.encode({"key": claim, "id": device}), provision_request(mine).encode())
            line = Line(f"provision/{mine}", [], subscriptions=[provision_response(mine)], kept=False)
            outlet = connect(line, asking)
            outlet.start()
            try:
                async with asyncio.timeout(seconds):
                    answer = await asking.answer
            except TimeoutError:
                raise CredentialsError(f"provisioning {device}: no answer within {seconds:g} s") from None
            finally:
                await outlet.stop(_GOODBYE_S)
        if answer.error:
            raise CredentialsError(f"provisioning {device}: {answer.error} {answer.detail}".rstrip())
        return Login(answer.username, answer.secret)

    return await each(devices, become)
