"""Tokens of an identity provider that serves its keys over HTTP, or in a file, to a devices_api over ASGI."""

import asyncio
import hmac
import json
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from contracts import logs
from devices_api.access import Principal
from devices_api.errors import UnavailableError
from devices_api.keys.oidc import Claims
from devices_api.keys.oidc_keys import AGAIN_S, FRESH_S, KEPT_S, MOST_BYTES, RETRY_S, KeySet
from devices_api.keys.oidc_tokens import OidcTokens
from devices_api.metrics import Metrics
from devices_api.repository import Repository
from tests.conftest import free_port
from tests.integration.oidc_provider import AUDIENCE, ISSUER, NOW_S, Provider, part, provider, told
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, open_registry, problem

CLAIMS = Claims(prefix="sensorium:")


class Guarded(Service):
    """The API, which takes tokens of the provider whose keys are at `source`."""

    def __init__(self, registry: Repository, store: StoreFile, source: str) -> None:
        self.read = Metrics(lambda: True)
        keys = KeySet(source, self.read, logs.quiet(), lambda: self.clock.passed)
        tokens = OidcTokens(ISSUER, AUDIENCE, keys, CLAIMS, now=self._now)
        super().__init__(registry, store, tokens=tokens)

    def _now(self) -> int:
        return self.clock.now()

    async def status(self, token: str) -> int:
        async with self.asking(token) as client:
            answer = await client.get("/me")
        assert answer.status_code == 200 or problem(answer) in {(401, "unauthorized"), (503, "unavailable")}
        return answer.status_code

    def readings(self, outcome: str) -> float:
        name, labels = "devices_api_oidc_key_readings_total", {"outcome": outcome}
        return self.read.registry.get_sample_value(name, labels) or 0.0


async def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; fails, naming `what`, after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


@pytest.fixture
def login() -> Iterator[Provider]:
    with provider() as login:
        login.add("first")
        yield login


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Repository]:
    registry = await open_registry(tmp_path / "registry.sqlite3")
    yield registry
    await registry.close()


@pytest.fixture
async def service(registry: Repository, tmp_path: Path, login: Provider) -> AsyncIterator[Guarded]:
    service = Guarded(registry, StoreFile(tmp_path / "none.sqlite3"), login.url)
    yield service
    await service.client.aclose()
    await service.timeseries.close()


async def test_a_token_proves_who_has_it(service: Guarded, login: Provider) -> None:
    async with service.asking(login.token(scope="openid sensorium:read write", groups=["north", "/north", 5])) as anna:
        me = (await anna.get("/me")).json()
        assert problem(await anna.post("/devices", json={"id": "pump-7"})) == (403, "scope-missing")
    assert me == {
        "name": "oidc:anna",
        "scopes": ["read"],
        "groups": ["north"],
        "expires": "2026-01-01T01:00:00.000000000Z",
    }
    assert login.asked == 1


async def test_what_it_changes_is_its_owner_s_in_the_audit_log(service: Guarded, login: Provider) -> None:
    await service.client.post("/groups", json={"id": "north", "name": "North"})
    async with service.asking(login.token(scope=["sensorium:write"], groups="north")) as anna:
        made = await anna.post("/devices", json={"id": "pump-7", "groups": ["north"]})
    assert made.status_code == 201, made.text
    assert (await service.get("/audit", who="oidc:anna"))["items"][0]["target"] == "device/pump-7"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW_S - 31},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": NOW_S + 31},
        {"aud": "another"},
        {"aud": None},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"sub": None},
        {"sub": "with\0nul"},
    ],
)
async def test_a_token_that_is_not_in_force_or_not_for_us_proves_nobody(
    service: Guarded, login: Provider, claims: dict[str, Any]
) -> None:
    assert await service.status(login.token(**claims)) == 401


async def test_clocks_may_be_half_a_minute_apart(service: Guarded, login: Provider) -> None:
    for claims in ({"exp": NOW_S - 29}, {"nbf": NOW_S + 29}, {"exp": 1e300}, {"aud": ["other", AUDIENCE]}):
        assert await service.status(login.token(**claims)) == 200, claims


async def test_a_token_that_is_not_signed_by_the_provider_s_key_proves_nobody(
    service: Guarded, login: Provider
) -> None:
    good, key = login.token(), login.keys["first"][1]
    assert isinstance(key, EllipticCurvePrivateKey)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = f"{part({'alg': 'none', 'kid': 'first'})}.{part(told())}."
    symmetric = f"{part({'alg': 'HS256', 'kid': 'first', 'typ': 'JWT'})}.{part(told())}"
    forged = [f"{symmetric}.{part(hmac.digest(secret, symmetric.encode(), 'sha256'))}" for secret in (pem, b"")]
    header, payload, signature = good.split(".")
    login.add("stranger")
    stranger = login.token("first", signer="stranger")
    changed = f"{header}.{part(told(scope='sensorium:admin'))}.{signature}"
    no_json = f"{part(b'x')}.{payload}.{signature}"
    for token in (unsigned, *forged, changed, stranger, no_json, good[:-4], f"{good}AAAA", f"{header}.{payload}."):
        assert await service.status(token) == 401, token
    assert await service.status(good) == 200
    assert login.asked == 1


async def proved(login: Provider, source: str, **claims: Any) -> Principal | None:  # noqa: ANN401 - JSON
    """Tell whom a token of `login` proves where the keys are at `source`, and nothing is known yet."""
    keys = KeySet(source, Metrics(lambda: True), logs.quiet(), lambda: 0.0)
    return await OidcTokens(ISSUER, AUDIENCE, keys, CLAIMS, now=lambda: NOW).prove(login.token(**claims))


async def test_keys_may_be_in_a_file_and_are_used_only_as_they_say(login: Provider, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    [key] = json.loads(login.key_set())["keys"]
    for more, good in (({}, True), ({"alg": "ES256"}, True), ({"alg": "ES384"}, False), ({"use": "enc"}, False)):
        file.write_text(json.dumps({"keys": [key | more, key | {"kid": "other"}]}))
        assert (await proved(login, str(file)) is not None) == good, more
    file.unlink()
    with pytest.raises(UnavailableError):
        await proved(login, str(file))


async def test_tokens_are_signed_with_curves_and_with_rsa_and_name_their_key_or_there_is_but_one() -> None:
    weak, strong = (generate_private_key(65537, bits) for bits in (1024, 2048))
    for key, good in ((Ed25519PrivateKey.generate(), True), (strong, True), (weak, False)):
        with provider() as login, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the one who signs is told that the key is weak
            login.add(None, key)
            assert (await proved(login, login.url, kid=None) is not None) == good
            login.add("second", key)
            assert (await proved(login, login.url, kid="second") is not None) == good


async def test_all_who_need_the_keys_wait_for_one_reading(service: Guarded, login: Provider) -> None:
    token = login.token()
    assert await asyncio.gather(*(service.status(token) for _ in range(20))) == [200] * 20
    assert login.asked == 1


async def test_keys_are_read_again_for_an_unknown_one_but_not_too_often(service: Guarded, login: Provider) -> None:
    old = login.token()
    assert await service.status(old) == 200
    login.keys = {}
    login.add("second")
    new, made_up = login.token("second"), login.token("third", signer="second")
    assert [await service.status(token) for token in (new, made_up)] == [401, 401]
    assert login.asked == 1
    service.clock.passed = AGAIN_S
    assert [await service.status(token) for token in (made_up, new, old, made_up)] == [401, 200, 401, 401]
    assert login.asked == 2


async def test_while_the_provider_is_away_its_keys_are_good_for_a_day(service: Guarded, login: Provider) -> None:
    good = login.token(exp=NOW_S + 2 * int(KEPT_S))
    unknown = login.token("second", signer="first", exp=NOW_S + 2 * int(KEPT_S))
    assert await service.status(good) == 200
    login.answer = 500, b""
    service.clock.passed = FRESH_S
    assert await service.status(good) == 200
    await wait(lambda: service.readings("failed") == 1, "a reading in the background")
    service.clock.passed = KEPT_S - 1
    assert [await service.status(token) for token in (good, unknown)] == [200, 503]
    service.clock.passed = KEPT_S + AGAIN_S
    assert await service.status(good) == 503
    login.answer = None
    service.clock.passed += RETRY_S
    assert await service.status(good) == 200


async def test_without_keys_nobody_can_tell_until_the_provider_comes(registry: Repository, tmp_path: Path) -> None:
    port = free_port()
    service = Guarded(registry, StoreFile(tmp_path / "none.sqlite3"), f"http://127.0.0.1:{port}/keys")
    with provider() as elsewhere:
        elsewhere.add("first")
        token = elsewhere.token()
        assert await service.status(token) == 503
        with provider(port) as login:
            login.keys = elsewhere.keys
            assert await service.status(token) == 503  # not asked again yet
            service.clock.passed = RETRY_S
            assert await service.status(token) == 200
    await service.client.aclose()
    await service.timeseries.close()


@pytest.mark.parametrize(
    "answer",
    [
        (200, b'{"keys": [' + b" " * MOST_BYTES + b"]}"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}'),
        (200, b"[" * 100_000),
        (302, b""),
        (404, b""),
    ],
)
async def test_what_is_no_key_set_or_too_large_is_not_taken(
    service: Guarded, login: Provider, answer: tuple[int, bytes]
) -> None:
    token, login.answer = login.token(), answer
    assert await service.status(token) == 503
    assert service.readings("failed") == 1
