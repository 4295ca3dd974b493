"""Sends notifications as mail, to an SMTP server at an address that was checked."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from email.utils import formatdate

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from alerting.notify.messages import body, line
from alerting.notify.outcome import Outcome, Result
from alerting.notify.receivers import EmailReceiver
from alerting.notify.webhook import NOT_PUBLIC, Addresses
from contracts.alerts import Notification

_PERMANENT = 500


class Mail:
    """A connection for each notification."""

    def __init__(
        self,
        timeout: float,
        addresses: Addresses,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._timeout, self._addresses, self._tls = timeout, addresses, tls

    async def send(self, receiver: EmailReceiver, notification: Notification, tries: int) -> Outcome:
        """Deliver a notification. `tries` as in Webhook.post. Raises TemplateFailedError."""
        message = mail_of(receiver, notification)
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await self._addresses.of(receiver.host, receiver.port)
                if addresses is None:
                    return NOT_PUBLIC
                async with self._session(receiver, addresses[tries % len(addresses)]) as session:
                    refused, _ = await session.send_message(message)
        except TimeoutError:
            return Outcome(Result.FAILED, f"no answer within {self._timeout:g} s")
        except SMTPException as error:
            return _outcome(error)
        except (OSError, UnicodeError, ValueError) as error:
            return Outcome(Result.FAILED, type(error).__name__)
        return Outcome(Result.DELIVERED, f"{len(refused)} of {len(receiver.to)} addresses refused" if refused else "")

    @contextlib.asynccontextmanager
    async def _session(self, receiver: EmailReceiver, address: str) -> AsyncIterator[SMTP]:
        tls = None if receiver.tls == "none" else self._tls()
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (address, receiver.port))
        except BaseException:
            connection.close()
            raise
        session = SMTP(  # it closes the connection
            hostname=receiver.host,  # whose name the certificate has to have
            sock=connection,
            use_tls=receiver.tls == "tls",
            start_tls=receiver.tls == "starttls",
            tls_context=tls,
            username=receiver.username or None if receiver.password else None,
            password=receiver.password,
            timeout=self._timeout,
        )
        try:
            await session.connect()
            yield session
            with contextlib.suppress(SMTPException):  # it has the message
                await session.quit()
        finally:
            session.close()


def mail_of(receiver: EmailReceiver, notification: Notification) -> EmailMessage:
    """Write the mail: every try has the same Message-ID, and a group's mails refer to one thread."""
    message = EmailMessage()
    domain = receiver.sender.rpartition("@")[2]
    message["From"] = receiver.sender
    message["To"] = ", ".join(receiver.to)
    message["Subject"] = line(receiver.subject, notification)
    message["Date"] = formatdate(notification.created_at / 1e9)
    message["Message-ID"] = f"<{notification.id}@{domain}>"
    message["References"] = f"<{notification.group_key}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body(receiver.body, notification))
    return message


def _outcome(error: SMTPException) -> Outcome:
    """Judge what an SMTP server, or the way to it, said; its text is left out, for it may repeat what it was told."""
    codes = [one.code for one in error.recipients] if isinstance(error, SMTPRecipientsRefused) else []
    if isinstance(error, SMTPResponseException):
        codes = [error.code]
    name = type(error).__name__
    if not codes:
        return Outcome(Result.FAILED, name)
    if min(codes) < _PERMANENT:
        return Outcome(Result.FAILED, f"{name} {min(codes)}", min(codes))
    about_us = isinstance(error, SMTPAuthenticationError) or not isinstance(error, SMTPDataError)
    return Outcome(Result.MISCONFIGURED if about_us else Result.REJECTED, f"{name} {codes[0]}", codes[0])
