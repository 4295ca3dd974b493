"""What is said to whoever sets up an identity provider wrongly."""

import pytest
from pydantic import ValidationError

from contracts.settings import explain
from devices_api.settings import Settings

GOOD = {"ISSUER": "https://login.example", "AUDIENCE": "sensorium", "JWKS": "https://login.example/keys"}


def said(monkeypatch: pytest.MonkeyPatch, **given: str) -> str:
    """Give what is wrong with these settings; nothing if they are taken."""
    monkeypatch.setenv("DEVICES_API_KEY", "k" * 16)
    for name in GOOD:
        monkeypatch.delenv(f"DEVICES_API_OIDC_{name}", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(f"DEVICES_API_OIDC_{name}", value)
    try:
        Settings()
    except ValidationError as error:
        return "\n".join(explain(Settings, error))
    return ""


@pytest.mark.parametrize("jwks", [GOOD["JWKS"], "http://127.0.0.1:8180/keys", "http://[::1]/keys", "/etc/keys.json"])
def test_keys_come_from_a_url_or_a_file(monkeypatch: pytest.MonkeyPatch, jwks: str) -> None:
    assert said(monkeypatch, **GOOD | {"JWKS": jwks}) == ""
    assert said(monkeypatch) == ""


@pytest.mark.parametrize("lacking", GOOD)
def test_issuer_audience_and_keys_go_together(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    assert f"go together: DEVICES_API_OIDC_{lacking} not set" in said(monkeypatch, **GOOD | {lacking: ""})
    alone = said(monkeypatch, **{lacking: GOOD[lacking]})
    assert alone.startswith("DEVICES_API_OIDC_JWKS is ")
    assert all(name == lacking or f"DEVICES_API_OIDC_{name}" in alone for name in GOOD)


@pytest.mark.parametrize(
    ("jwks", "why"),
    [
        ("http://login.example/keys", "it has to be https"),
        ("ftp://login.example/keys", "it has to be an https URL or a file"),
        ("https:///keys", "it has to be an https URL or a file"),
        ("https://me:secret@login.example/keys", "no name or password"),
    ],
)
def test_keys_are_not_taken_from_where_they_could_be_anybody_s(
    monkeypatch: pytest.MonkeyPatch, jwks: str, why: str
) -> None:
    answer = said(monkeypatch, **GOOD | {"JWKS": jwks})
    assert why in answer
    assert "secret" not in answer.partition("(")[0]
