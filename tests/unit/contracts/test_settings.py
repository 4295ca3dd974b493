"""What a person reads who has set a variable wrong."""

import pytest
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from contracts.settings import ServiceSettings, load


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")
    port: int = Field(default=1, ge=0, le=65535, description="Port to listen on")
    key: SecretStr = Field(min_length=16, description="API key")
    colour: str = Field(default="red", description="Colour")

    @field_validator("colour")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("red", "blue"):
            raise ValueError("there are red and blue")
        return value


def complaints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **env: str) -> list[str]:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(Settings)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_a_wrong_value_is_named_with_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = complaints(monkeypatch, capsys, DEMO_PORT="99999", DEMO_KEY="k" * 16)
    assert line == "DEMO_PORT is '99999': Input should be less than or equal to 65535 (Port to listen on)"


def test_what_our_own_check_says_is_all_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = complaints(monkeypatch, capsys, DEMO_COLOUR="green", DEMO_KEY="k" * 16)
    assert line == "DEMO_COLOUR is 'green': there are red and blue (Colour)"


def test_a_missing_value_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaints(monkeypatch, capsys) == ["DEMO_KEY is not set: it is required (API key)"]


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    [line] = complaints(monkeypatch, capsys, DEMO_KEY="too-short")
    assert line.startswith("DEMO_KEY is (hidden): ")
    assert "too-short" not in line


def test_every_wrong_variable_has_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = complaints(monkeypatch, capsys, DEMO_PORT="x", DEMO_LOG_LEVEL="loud", DEMO_DRAIN_SECONDS="0")
    assert {line.split()[0] for line in lines} == {"DEMO_DRAIN_SECONDS", "DEMO_LOG_LEVEL", "DEMO_PORT", "DEMO_KEY"}


def test_good_values_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_KEY", "k" * 16)
    monkeypatch.setenv("DEMO_PORT", "1234")
    assert load(Settings).port == 1234


@pytest.mark.parametrize("value", ["scheme://me:hunter2@host", "scheme://host?token=hunter2"])
def test_a_url_that_may_hold_a_secret_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    [line] = complaints(monkeypatch, capsys, DEMO_COLOUR=value, DEMO_KEY="k" * 16)
    assert line == "DEMO_COLOUR is (hidden): there are red and blue (Colour)"
