"""Logs: what is in them, and what never is."""

import json

import pytest

from contracts import logs


def test_an_exception_is_logged_with_its_frames_and_without_their_variables(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.configure("test", "info")
    url = "https://hooks.example/" + "secret"
    try:
        [][len(url)]
    except IndexError:
        log.exception("call.failed")
    entry = json.loads(capsys.readouterr().err)
    assert entry["exception"][0]["frames"][0]["name"].startswith("test_an_exception")
    assert "secret" not in json.dumps(entry)
