"""Mail over SMTP: a real server with TLS and a login, and servers that refuse."""

import asyncio
import contextlib
import email.policy
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from alerting.notify.mail import Mail
from alerting.notify.outcome import DELIVERED, Outcome, Result
from alerting.notify.receivers import EmailReceiver
from alerting.notify.webhook import Addresses
from tests.conftest import free_port
from tests.integration.certificates import certify
from tests.integration.ways import NOTIFICATION

PASSWORD = "mail-password"


@dataclass
class Mailbox:
    """Takes mail, with the answers that it was told to give; `mails` is what it has."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(  # noqa: N802 - the server's name for it
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        assert session.peer
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("250"):
            self.mails.append(message)
        return answer

    def login(self, *told: Any) -> AuthResult:  # noqa: ANN401 - as the server calls it
        given = told[4]
        assert isinstance(given, LoginPassword)
        self.logins.append(given.login.decode())
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@contextlib.asynccontextmanager
async def smtp(tls: ssl.SSLContext | None = None, *, at_once: bool = False) -> AsyncIterator[Mailbox]:
    """Serve on a free port; with `tls` only after STARTTLS and a login, or in TLS from the start if `at_once`."""
    box, sessions = Mailbox(), list[SMTP]()
    login: dict[str, Any] = {
        "tls_context": tls,
        "require_starttls": True,
        "authenticator": box.login,
        "auth_required": True,
    }

    def session() -> SMTP:
        sessions.append(SMTP(box, hostname="localhost", **({} if tls is None or at_once else login)))
        return sessions[-1]

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls if at_once else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        async with asyncio.timeout(30):
            while any(one.transport is not None for one in sessions):  # until it has seen that the client is gone
                await asyncio.sleep(0.005)


@dataclass
class Certified:
    """A server's certificate for localhost, and the authority behind it."""

    server: ssl.SSLContext
    authority: Path

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    directory = tmp_path_factory.mktemp("mail")
    certify(directory, "authority", "authority")
    certify(directory, "authority", "server", alternative="DNS:localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    return Certified(context, directory / "authority.pem")


def receiver(port: int, **more: Any) -> EmailReceiver:  # noqa: ANN401 - any field
    fields = {"type": "email", "host": "localhost", "port": port, "tls": "none", "sender": "alerts@farm.example"}
    return EmailReceiver.model_validate(fields | {"to": ["a@farm.example", "b@farm.example"]} | more)


def mail(**more: Any) -> Mail:  # noqa: ANN401 - as Mail takes it
    return Mail(5.0, Addresses(allow_private=True), **more)


async def test_a_mail_arrives_over_starttls_with_a_login(certified: Certified) -> None:
    async with smtp(certified.server) as box:
        to = receiver(box.port, tls="starttls", username="alerts", password=PASSWORD)
        assert await mail(tls=certified.trusting).send(to, NOTIFICATION, 0) == DELIVERED
        assert box.logins == ["alerts"]
        (got,) = box.mails
        assert (got["To"], got["Message-ID"]) == ("a@farm.example, b@farm.example", "<n1@farm.example>")
        assert got["Subject"] == "[FIRING:1] 1 alerts"
        assert "FIRING critical: too hot, device silo-3" in got.get_content()


async def test_a_mail_arrives_over_tls_from_the_start(certified: Certified) -> None:
    async with smtp(certified.server, at_once=True) as box:
        outcome = await mail(tls=certified.trusting).send(receiver(box.port, tls="tls"), NOTIFICATION, 0)
        assert outcome == DELIVERED
        assert len(box.mails) == 1


async def test_a_password_that_is_not_accepted_is_the_receiver_s_fault(certified: Certified) -> None:
    async with smtp(certified.server) as box:
        to = receiver(box.port, tls="starttls", username="alerts", password="wrong-password")
        outcome = await mail(tls=certified.trusting).send(to, NOTIFICATION, 0)
        assert outcome == Outcome(Result.MISCONFIGURED, "SMTPAuthenticationError 535", 535)
        assert box.mails == []


async def test_a_server_that_nobody_vouches_for_gets_no_password(certified: Certified) -> None:
    async with smtp(certified.server) as box:
        to = receiver(box.port, tls="starttls", username="alerts", password=PASSWORD)
        assert (await mail().send(to, NOTIFICATION, 0)).result is Result.FAILED
        assert (box.logins, box.mails) == ([], [])


async def test_a_server_without_starttls_gets_no_mail_where_it_is_wanted() -> None:
    async with smtp() as box:
        assert (await mail().send(receiver(box.port, tls="starttls"), NOTIFICATION, 0)).result is Result.FAILED
        assert box.mails == []


@pytest.mark.parametrize(
    ("answers", "result", "status"),
    [
        ({"DATA": "554 no such talk here"}, Result.REJECTED, 554),
        ({"DATA": "452 full"}, Result.FAILED, 452),
        ({"a@farm.example": "550 who", "b@farm.example": "550 who"}, Result.MISCONFIGURED, 550),
        ({"a@farm.example": "550 who", "b@farm.example": "450 later"}, Result.FAILED, 450),
    ],
)
async def test_what_a_server_refuses_is_told_by_its_code(answers: dict[str, str], result: Result, status: int) -> None:
    async with smtp() as box:
        box.answers = answers
        outcome = await mail().send(receiver(box.port), NOTIFICATION, 0)
        assert (outcome.result, outcome.status) == (result, status)
        assert box.mails == []


async def test_one_address_that_is_refused_does_not_keep_a_mail_from_the_others() -> None:
    async with smtp() as box:
        box.answers = {"a@farm.example": "550 who"}
        outcome = await mail().send(receiver(box.port), NOTIFICATION, 0)
        assert outcome == Outcome(Result.DELIVERED, "1 of 2 addresses refused")
        assert len(box.mails) == 1


async def test_a_server_that_says_nothing_is_left_after_the_timeout() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    to = receiver(server.sockets[0].getsockname()[1])
    outcome = await Mail(0.3, Addresses(allow_private=True)).send(to, NOTIFICATION, 0)
    assert outcome == Outcome(Result.FAILED, "no answer within 0.3 s")
    server.close()
    await left.wait()


async def test_a_server_that_is_not_there_or_at_a_private_address_gets_no_mail() -> None:
    assert (await mail().send(receiver(free_port()), NOTIFICATION, 0)).result is Result.FAILED
    async with smtp() as box:
        guarded = Mail(5.0, Addresses(allow_private=False))
        assert (await guarded.send(receiver(box.port), NOTIFICATION, 0)).result is Result.REFUSED
        assert box.mails == []
