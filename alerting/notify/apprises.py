"""Sends notifications by Apprise, which knows many services, in threads of its own."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from alerting.notify.messages import body, line
from alerting.notify.outcome import DELIVERED, Outcome, Result
from alerting.notify.receivers import AppriseReceiver
from alerting.notify.webhook import NOT_PUBLIC, Addresses
from contracts.alerts import Notification

AT_ONCE = 8
"""Threads; one that hangs is waited for no longer than the others', but keeps its place until it ends."""

_ANY_PORT = 443

T = TypeVar("T")


class Apprises:
    """Off unless `allowed`.

    What Apprise connects to cannot be known beforehand: many of its services take servers in parameters, look names
    up by themselves, and answer redirects. Where a URL's host is the server, that is checked.
    """

    def __init__(self, timeout: float, addresses: Addresses, *, allowed: bool) -> None:
        self._timeout, self._addresses, self._allowed = timeout, addresses, allowed
        self._busy = 0

    async def send(self, receiver: AppriseReceiver, notification: Notification) -> Outcome:
        """Deliver a notification. Raises TemplateFailedError."""
        if not self._allowed:
            return Outcome(Result.REFUSED, "receivers of the type apprise are off (ALERTING_ALLOW_APPRISE=true)")
        title, text = line(receiver.title, notification), body(receiver.body, notification)
        try:
            async with asyncio.timeout(self._timeout):
                host = await self._in_thread(_host, receiver.url)
                if host and await self._addresses.of(host, _ANY_PORT) is None:
                    return NOT_PUBLIC
                resolved = notification.status == "resolved"
                return await self._in_thread(_notify, receiver.url, title, text, resolved, self._timeout)
        except TimeoutError:
            return Outcome(Result.FAILED, f"no answer within {self._timeout:g} s")
        except _UnknownUrlError:
            return Outcome(Result.MISCONFIGURED, "Apprise does not know this URL")
        except Exception as error:  # noqa: BLE001 - a service of Apprise may raise anything
            return Outcome(Result.FAILED, type(error).__name__)  # its text may hold the URL

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - those of `work`
        if self._busy >= AT_ONCE:
            raise TimeoutError  # all of them hang
        self._busy += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def leave(result: T | None, error: Exception | None) -> None:
            self._busy -= 1
            if done.done():
                return  # nobody waits for it any more
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(cast("T", result))

        def run() -> None:
            result, error = None, None
            try:
                result = work(*arguments)
            except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(leave, result, error)

        threading.Thread(target=run, name="apprise", daemon=True).start()  # one that hangs keeps no process alive
        return await done


class _UnknownUrlError(Exception):
    pass


def _service(url: str, timeout: float) -> Any:  # noqa: ANN401 - one of Apprise's services
    import apprise  # noqa: PLC0415 - it takes a third of a second, and most installations do without it

    logging.getLogger("apprise").disabled = True  # it writes what may be secret
    asset = apprise.AppriseAsset(service_timeout=timeout, allow_templates=False, secure_logging=True)
    asset.http_redirects = False
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        raise _UnknownUrlError
    return service


def _host(url: str) -> str:
    """Give the server that `url` names; empty where its service has a server of its own."""
    service = _service(url, 1.0)
    return str(service.host or "") if "host" in type(service).template_tokens else ""


def _notify(url: str, title: str, text: str, resolved: bool, timeout: float) -> Outcome:  # noqa: FBT001 - one caller
    import apprise  # noqa: PLC0415 - as above

    kind = apprise.NotifyType.SUCCESS if resolved else apprise.NotifyType.WARNING
    taken = _service(url, timeout).notify(body=text, title=title, notify_type=kind)
    return DELIVERED if taken else Outcome(Result.FAILED, "the service did not take it")
