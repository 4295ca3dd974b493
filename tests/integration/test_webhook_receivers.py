"""Calls of webhooks over real sockets: what arrives, and what comes of receivers that fail, hang and lie."""

import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alerting.notify.apprises import Apprises
from alerting.notify.bodies import SIGNATURE
from alerting.notify.outcome import DELIVERED, Outcome, Result
from alerting.notify.receivers import AppriseReceiver, WebhookReceiver
from alerting.notify.webhook import Addresses, Webhook
from contracts.alerts import read_notification
from tests.conftest import free_port
from tests.integration.certificates import certify
from tests.integration.http_receiver import HttpReceiver, http_receiver
from tests.integration.ways import NOTIFICATION, ways


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook(5.0, Addresses(allow_private=True))
    yield webhook
    await webhook.close()


async def post(webhook: Webhook, receiver: HttpReceiver, path: str) -> Outcome:
    return await webhook.post(f"http://127.0.0.1:{receiver.port}{path}", b'{"a": 1}', {})


async def test_a_plain_webhook_gets_a_notification_that_it_can_check(receiver: HttpReceiver) -> None:
    channels = ways()
    hook = WebhookReceiver(
        type="webhook",
        url=f"http://localhost:{receiver.port}/200?token=t",
        bearer="b",
        hmac_key="key",
        headers={"X-Farm": "north"},
    )
    assert (await channels.send(hook, NOTIFICATION)).result is Result.DELIVERED
    (request,) = receiver.requests
    assert request.path == "/200?token=t"
    assert request.headers["host"] == f"localhost:{receiver.port}"
    assert (request.headers["authorization"], request.headers["x-farm"]) == ("Bearer b", "north")
    assert read_notification(json.loads(request.body)) == NOTIFICATION
    at, _, made = request.headers[SIGNATURE.lower()].removeprefix("t=").partition(",v1=")
    assert hmac.new(b"key", f"{at}.".encode() + request.body, hashlib.sha256).hexdigest() == made
    await channels.close()


async def test_a_webhook_that_knows_alertmanager_gets_its_body(receiver: HttpReceiver) -> None:
    channels = ways()
    hook = WebhookReceiver(type="webhook", url=f"http://127.0.0.1:{receiver.port}/200", format="alertmanager")
    assert (await channels.send(hook, NOTIFICATION)).result is Result.DELIVERED
    body = json.loads(receiver.requests[0].body)
    assert (body["version"], body["alerts"][0]["labels"]["device"]) == ("4", "silo-3")
    await channels.close()


@pytest.mark.parametrize(
    ("status", "result"),
    [(302, "misconfigured"), (400, "rejected"), (404, "misconfigured"), (500, "failed"), (503, "failed")],
)
async def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(
    webhook: Webhook, receiver: HttpReceiver, status: int, result: str
) -> None:
    outcome = await post(webhook, receiver, f"/{status}")
    assert outcome == Outcome(Result(result), f"status {status}", status, 7.0)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("path", ["/hang", "/slow-head"])
async def test_a_receiver_that_does_not_come_to_an_end_is_left_after_the_timeout(
    receiver: HttpReceiver, path: str
) -> None:
    webhook = Webhook(0.3, Addresses(allow_private=True))
    began = time.monotonic()
    assert await post(webhook, receiver, path) == Outcome(Result.FAILED, "no answer within 0.3 s")
    assert time.monotonic() - began < 3
    await webhook.close()


@pytest.mark.parametrize("path", ["/close", "/garbage"])
async def test_what_is_no_answer_is_a_failure(webhook: Webhook, receiver: HttpReceiver, path: str) -> None:
    assert (await post(webhook, receiver, path)).result is Result.FAILED


@pytest.mark.parametrize("path", ["/cut", "/endless"])
async def test_a_status_counts_whatever_comes_behind_it(webhook: Webhook, receiver: HttpReceiver, path: str) -> None:
    began = time.monotonic()
    assert await post(webhook, receiver, path) == Outcome(Result.DELIVERED, status=200)
    assert time.monotonic() - began < 3


async def test_a_receiver_that_is_not_there_is_a_failure_whose_problem_hides_the_url(webhook: Webhook) -> None:
    outcome = await webhook.post(f"http://127.0.0.1:{free_port()}/hook?token=secret", b"{}", {})
    assert outcome == Outcome(Result.FAILED, "ConnectError")


async def test_a_certificate_of_another_or_of_nobody_that_is_trusted_is_a_failure(
    webhook: Webhook, tmp_path: Path
) -> None:
    certify(tmp_path, "authority", "authority")
    certify(tmp_path, "authority", "hooks.example", alternative="DNS:hooks.example")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "hooks.example.pem", tmp_path / "hooks.example.key")
    async with http_receiver(tls) as receiver:
        outcome = await webhook.post(f"https://localhost:{receiver.port}/200", b"{}", {})
        assert outcome == Outcome(Result.FAILED, "ConnectError")
        assert receiver.requests == []


async def test_a_private_address_is_refused_before_any_connection(receiver: HttpReceiver) -> None:
    webhook = Webhook(2.0, Addresses(allow_private=False))
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        outcome = await webhook.post(f"http://{host}:{receiver.port}/200", b"{}", {})
        assert outcome.result is Result.REFUSED
        assert "ALERTING_ALLOW_PRIVATE_WEBHOOKS" in outcome.problem
    assert receiver.requests == []
    await webhook.close()


async def test_a_name_with_one_private_address_among_others_is_refused() -> None:
    async def look_up(_: str, __: int) -> list[str]:
        return ["1.1.1.1", "10.0.0.1"]

    webhook = Webhook(2.0, Addresses(allow_private=False, look_up=look_up))
    assert (await webhook.post("http://rebinding.example/", b"{}", {})).result is Result.REFUSED


async def test_the_call_goes_to_the_address_that_was_checked(receiver: HttpReceiver) -> None:
    asked = []

    async def look_up(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    webhook = Webhook(2.0, Addresses(allow_private=True, look_up=look_up))
    outcome = await webhook.post(f"http://no-such-host.invalid:{receiver.port}/200", b"{}", {})
    assert outcome.result is Result.DELIVERED
    assert asked == ["no-such-host.invalid"]
    assert receiver.requests[0].headers["host"] == f"no-such-host.invalid:{receiver.port}"
    await webhook.close()


async def test_a_name_that_does_not_resolve_is_a_failure(webhook: Webhook) -> None:
    assert (await webhook.post("http://no-such-host.invalid/", b"{}", {})).result is Result.FAILED


async def test_apprise_delivers_follows_no_redirect_and_says_nothing_of_its_url(receiver: HttpReceiver) -> None:
    channels = ways(apprise=True)

    async def send(url: str) -> Outcome:
        return await channels.send(AppriseReceiver(type="apprise", url=url), NOTIFICATION)

    assert await send(f"json://127.0.0.1:{receiver.port}/200") == DELIVERED
    sent = json.loads(receiver.requests[0].body)
    assert sent["title"] == "[FIRING:1] 1 alerts"
    assert "FIRING critical: too hot, device silo-3" in sent["message"]
    for path in ("500", "302"):
        outcome = await send(f"json://127.0.0.1:{receiver.port}/{path}/?token=secret")
        assert outcome == Outcome(Result.FAILED, "the service did not take it")
    assert len(receiver.requests) == 3
    assert (await send("nonsense")).result is Result.MISCONFIGURED
    await channels.close()


async def test_apprise_too_is_refused_the_private_hosts_that_can_be_known(receiver: HttpReceiver) -> None:
    apprises = Apprises(5.0, Addresses(allow_private=False), allowed=True)
    hook = AppriseReceiver(type="apprise", url=f"json://localhost:{receiver.port}/200")
    assert (await apprises.send(hook, NOTIFICATION)).result is Result.REFUSED
    assert receiver.requests == []


async def test_a_service_of_apprise_that_hangs_is_left_after_the_timeout(receiver: HttpReceiver) -> None:
    apprises = Apprises(0.5, Addresses(allow_private=True), allowed=True)
    hook = AppriseReceiver(type="apprise", url=f"json://127.0.0.1:{receiver.port}/hang?rto=3600")
    assert await apprises.send(hook, NOTIFICATION) == Outcome(Result.FAILED, "no answer within 0.5 s")
