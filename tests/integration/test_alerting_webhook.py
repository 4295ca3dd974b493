"""Calls of a webhook, over real sockets."""

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerting.webhook import Result, Webhook
from tests.conftest import free_port


class Handler(BaseHTTPRequestHandler):
    """Answers with the status that the path names; `/hang` answers never."""

    def do_POST(self) -> None:
        receiver = self.server
        assert isinstance(receiver, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.requests.append((self.path, self.headers["Host"], json.loads(body)))
        if self.path == "/hang":
            receiver.released.wait(10)
        self.send_response(int(self.path.strip("/").split("?")[0]) if self.path != "/hang" else 200)
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Receiver(ThreadingHTTPServer):
    """Keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, object]] = []
        self.released = threading.Event()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.released.set()
        receiver.shutdown()
        thread.join()


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook(2.0, allow_private=True)
    yield webhook
    await webhook.close()


async def test_a_notification_is_delivered(webhook: Webhook, receiver: Receiver) -> None:
    url = f"http://localhost:{receiver.server_port}/200?token=secret"
    assert await webhook.post(url, b'{"a": 1}') == (Result.DELIVERED, "")
    assert receiver.requests == [("/200?token=secret", f"localhost:{receiver.server_port}", {"a": 1})]


@pytest.mark.parametrize("status", [302, 307, 400, 404, 500, 503])
async def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(
    webhook: Webhook, receiver: Receiver, status: int
) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/{status}"
    assert await webhook.post(url, b"{}") == (Result.FAILED, f"status {status}")
    assert len(receiver.requests) == 1


async def test_a_receiver_that_hangs_is_left_after_the_timeout(receiver: Receiver) -> None:
    webhook = Webhook(0.2, allow_private=True)
    began = time.monotonic()
    assert (await webhook.post(f"http://127.0.0.1:{receiver.server_port}/hang", b"{}"))[0] is Result.FAILED
    assert time.monotonic() - began < 2
    await webhook.close()


async def test_a_receiver_that_is_not_there_is_a_failure_whose_reason_hides_the_url(webhook: Webhook) -> None:
    result, problem = await webhook.post(f"http://127.0.0.1:{free_port()}/hook?token=secret", b"{}")
    assert result is Result.FAILED
    assert problem == "ConnectError"


async def test_a_private_address_is_refused_before_any_connection(receiver: Receiver) -> None:
    webhook = Webhook(2.0, allow_private=False)
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        result, problem = await webhook.post(f"http://{host}:{receiver.server_port}/200", b"{}")
        assert result is Result.REFUSED
        assert "ALERTING_ALLOW_PRIVATE_WEBHOOKS" in problem
    assert receiver.requests == []
    await webhook.close()


async def test_a_name_with_one_private_address_among_others_is_refused() -> None:
    async def look_up(_: str, __: int) -> list[str]:
        return ["1.1.1.1", "10.0.0.1"]

    webhook = Webhook(2.0, allow_private=False, look_up=look_up)
    assert (await webhook.post("http://rebinding.example/", b"{}"))[0] is Result.REFUSED


async def test_the_call_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    asked = []

    async def look_up(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    webhook = Webhook(2.0, allow_private=True, look_up=look_up)
    url = f"http://no-such-host.invalid:{receiver.server_port}/200"
    assert await webhook.post(url, b"{}") == (Result.DELIVERED, "")
    assert asked == ["no-such-host.invalid"]
    assert receiver.requests[0][1] == f"no-such-host.invalid:{receiver.server_port}"
    await webhook.close()


async def test_a_name_that_does_not_resolve_is_a_failure(webhook: Webhook) -> None:
    assert (await webhook.post("http://no-such-host.invalid/", b"{}"))[0] is Result.FAILED
