"""Decides for a broker who may connect, and on which topics they may speak."""

import asyncio
import contextlib
from collections.abc import Callable

from devices_api.access import Principal, Scope
from devices_api.credentials import certificates
from devices_api.credentials.accounts import Accounts
from devices_api.credentials.authorities import Authorities, Authority
from devices_api.credentials.broker_rules import Action, Who, may, may_connect, named
from devices_api.credentials.certificates import Certificate
from devices_api.credentials.credential_repository import CredentialRepository, Login
from devices_api.credentials.credentials import Credential, Entropy, Kind, digest, new_id, same
from devices_api.credentials.logins import Attempt, Verdict
from devices_api.credentials.passwords import Passwords
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics

USED_AGAIN_NS = 60 * 10**9
"""`last_used` moves at most once in so long: a device that comes again and again costs no write each time."""
_WRITE_EVERY_S = 1.0
MOST_USED = 100_000
"""Uses that wait to be written."""


class Broker:
    """What the hooks of brokers ask. `now` gives ns since 1970 UTC, `limit` is of auto-registered devices."""

    def __init__(  # noqa: PLR0913 - what it looks things up in, and what it needs
        self,
        credentials: CredentialRepository,
        authorities: Authorities,
        accounts: Accounts,
        passwords: Passwords,
        metrics: Metrics,
        *,
        now: Callable[[], int],
        entropy: Entropy,
        registered: Callable[[], None],
        limit: int,
    ) -> None:
        self._credentials, self._authorities, self._accounts = credentials, authorities, accounts
        self._passwords, self._metrics, self._now, self._entropy = passwords, metrics, now, entropy
        self._registered, self._limit = registered, limit
        self._stopping = asyncio.Event()
        self._used: tuple[dict[str, int], dict[str, int]] = {}, {}

    async def authenticate(self, attempt: Attempt) -> Verdict:
        """Decide about a login. Raises UnavailableError if that cannot be done now."""
        try:
            verdict = await self._verdict(attempt)
        except UnavailableError:
            self._metrics.broker_logins.labels("busy").inc()
            raise
        self._metrics.broker_logins.labels(verdict.outcome).inc()
        return verdict

    async def authorize(self, username: str, client_id: str, action: Action, topic: str) -> bool:
        """Decide about a topic to publish to, or a filter to subscribe to."""
        who = named(username)
        allowed = who is not None and may(who, client_id, action, topic) and await self.is_on(who)
        self._metrics.broker_topics.labels(action, "allowed" if allowed else "denied").inc()
        return allowed

    async def is_on(self, who: Who) -> bool:
        """Whether a device is registered and enabled, or a service has an account."""
        match who.kind:
            case "device":
                return await self._credentials.is_on(who.id)
            case "service":
                return await self._accounts.get(who.id) is not None
            case "provision":
                return True

    def finish(self) -> None:
        """Let `run` return after it has written what it has."""
        self._stopping.set()

    async def run(self) -> None:
        """Write when credentials were last used, every second, until `finish`."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_EVERY_S):
                    await self._stopping.wait()
            if any(self._used):
                used, self._used = self._used, ({}, {})
                # Where the database is away nobody can log in either: what is lost is a second of this.
                with contextlib.suppress(UnavailableError):
                    await self._credentials.used(*used)
            if self._stopping.is_set():
                return

    async def _verdict(self, attempt: Attempt) -> Verdict:
        who = named(attempt.username or attempt.common_name)
        if who is None:
            return Verdict("unknown")
        if not may_connect(who, attempt.client_id):
            return Verdict("client_id", who)
        match who.kind:
            case "provision":
                return Verdict("allowed", who)
            case "service":
                return await self._service(who, attempt)
            case "device":
                return await self._device(who, attempt)

    async def _service(self, who: Who, attempt: Attempt) -> Verdict:
        account = await self._accounts.get(who.id)
        if account is None:
            return Verdict("unknown", who)
        if not same(digest(attempt.password or ""), account.hash):
            return Verdict("wrong_secret", who)
        self._note(1, who.id, account.last_used)
        return Verdict("allowed", who)

    async def _device(self, who: Who, attempt: Attempt) -> Verdict:
        certificate = None
        if not attempt.password and attempt.certificate:
            certificate = self._read(attempt.certificate)
            if certificate is None:
                return Verdict("certificate", who)
        login = await self._login(who, attempt, certificate)
        if login is None or not login.enabled:
            if attempt.password:
                await self._passwords.waste(attempt.password)
            return Verdict("unknown" if login is None else "disabled", who)
        if attempt.password:
            found = await self._by_secret(who, login, attempt.password)
        else:
            found = await self._by_certificate(who, login, attempt, certificate)
        if found is None:
            return Verdict("wrong_secret" if attempt.password else "certificate", who)
        if not found.valid(self._now()):
            return Verdict("not_valid", who)
        self._note(0, found.id, found.last_used)
        return Verdict("allowed", who, found.expires)

    def _read(self, pem: str) -> Certificate | None:
        """Read a certificate; None if it cannot be read, or is not valid now."""
        try:
            certificate = certificates.read(pem)
        except ValueError:
            return None
        return certificate if certificate.not_before <= self._now() < certificate.expires else None

    async def _login(self, who: Who, attempt: Attempt, certificate: Certificate | None) -> Login | None:
        """Look a device up, and register it if it is one to be registered now."""
        login = await self._credentials.login(who.id)
        if login is not None or attempt.password or not await self._register(who, attempt, certificate):
            return login
        return await self._credentials.login(who.id)

    async def _by_secret(self, who: Who, login: Login, password: str) -> Credential | None:
        """Find the credential that `password` is of: one that is valid before one that is not.

        Tokens, which cost nothing to check, come before passwords. What is wrong takes as long as a wrong password.
        """
        now, hashed = self._now(), digest(password)
        mine = [c for c in login.credentials if who.credential in ("", c.id)]
        tokens = [c for c in mine if c.kind is Kind.TOKEN and same(c.hash, hashed)]
        for found in sorted(tokens, key=lambda c: not c.valid(now)):
            return found
        checked = False
        for candidate in sorted(mine, key=lambda c: not c.valid(now)):
            if candidate.kind is not Kind.PASSWORD or (candidate.over(now) and not who.credential):
                continue  # one that is over costs nobody time, unless it is the one that is meant
            checked = True
            if await self._passwords.match(candidate.hash, password):
                return candidate
        if not checked:
            await self._passwords.waste(password)
        return None

    async def _by_certificate(
        self, who: Who, login: Login, attempt: Attempt, certificate: Certificate | None
    ) -> Credential | None:
        fingerprint = certificate.fingerprint if certificate else attempt.fingerprint.lower().replace(":", "")
        name = certificate.common_name if certificate else attempt.common_name
        mine = [c for c in login.credentials if who.credential in ("", c.id)]
        for candidate in mine:
            if candidate.kind is Kind.CERTIFICATE and fingerprint and same(candidate.hash, fingerprint):
                return candidate
        ours = [c for c in mine if c.kind is Kind.AUTHORITY]
        if name != who.id or not ours:
            return None
        signers = await self._signers(certificate)
        return next((c for c in ours if any(signer.id == c.authority for signer in signers)), None)

    async def _signers(self, certificate: Certificate | None) -> list[Authority]:
        """List the authorities that may have signed it: any, where the broker has shown us no certificate."""
        valid = [authority for authority in await self._authorities.all() if authority.valid(self._now())]
        if certificate is None:
            return valid
        return [authority for authority in valid if certificates.signed(certificate.pem, authority.certificate)]

    async def _register(self, who: Who, attempt: Attempt, certificate: Certificate | None) -> bool:
        """Register a device whose certificate an authority has signed that registers devices by itself."""
        name = certificate.common_name if certificate else attempt.common_name
        if who.credential or name != who.id:
            return False
        signers = await self._signers(certificate)
        if len(signers) != 1 or not signers[0].auto_register:
            return False  # of several, nobody has told which one it was
        signer, now = signers[0], self._now()
        new = Credential(new_id(self._entropy), who.id, Kind.AUTHORITY, signer.name, "", now, now, authority=signer.id)
        by = Principal(f"authority/{signer.id}", frozenset[Scope]())
        if await self._authorities.register(new, signer.gives, by, now, self._limit):
            self._metrics.provisioned.labels("authority").inc()
            self._registered()
        return True

    def _note(self, which: int, id_: str, last: int | None) -> None:
        now = self._now()
        if (last is None or now - last >= USED_AGAIN_NS) and len(self._used[which]) < MOST_USED:
            self._used[which][id_] = now
