"""An identity provider: it signs tokens, and serves its keys over HTTP on a free port."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from contracts.times import SECOND
from tests.unit.devices_api.conftest import NOW

ISSUER = "https://login.example/realms/plant"
AUDIENCE = "sensorium"
NOW_S = NOW // SECOND

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey


class Provider(ThreadingHTTPServer):
    """Serves `keys` as a key set, or `answer` if that is set."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.keys: dict[str | None, tuple[str, PrivateKey]] = {}
        self.answer: tuple[int, bytes] | None = None
        self.asked = 0

    @property
    def url(self) -> str:
        """Say where the keys are."""
        return f"http://127.0.0.1:{self.server_address[1]}/keys"

    def add(self, kid: str | None, key: PrivateKey | None = None) -> None:
        """Sign with one key more, of the elliptic curve P-256 if none is given."""
        key = key or generate_private_key(SECP256R1())
        names = {Ed25519PrivateKey: "EdDSA", RSAPrivateKey: "RS256"}
        algorithm = next((name for kind, name in names.items() if isinstance(key, kind)), "ES256")
        self.keys[kid] = algorithm, key

    def key_set(self) -> bytes:
        """Give the public keys."""
        return json.dumps({"keys": [_public(kid, key) for kid, (_, key) in self.keys.items()]}).encode()

    def token(self, kid: str | None = "first", signer: str | None = None, **claims: Any) -> str:  # noqa: ANN401 - JSON
        """Sign a token for anna that is good for an hour; a claim that is None is left out.

        `signer`: the id of the key that signs, if it is not the one that is named.
        """
        algorithm, key = self.keys[signer or kid]
        return jwt.encode(told(**claims), key, algorithm, headers=None if kid is None else {"kid": kid})


def told(**claims: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Give the claims of a token."""
    all_ = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": NOW_S + 3600, "scope": "openid sensorium:read"}
    return {name: value for name, value in (all_ | claims).items() if value is not None}


def part(content: bytes | dict[str, Any]) -> str:
    """Write a part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _public(kid: str | None, key: PrivateKey) -> dict[str, Any]:
    match key:
        case Ed25519PrivateKey():
            jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case RSAPrivateKey():
            jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return dict(jwk) | ({} if kid is None else {"kid": kid}) | {"use": "sig"}


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body = self.server.answer or (200, self.server.key_set())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # whoever asked wants no more
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def provider(port: int = 0) -> Iterator[Provider]:
    """Run a provider until the block is left."""
    with Provider(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
