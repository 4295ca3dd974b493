"""The stack's secrets."""

import stat
from pathlib import Path

from deploy.local.keys import load_or_make


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    secret = load_or_make(path)
    assert len(secret) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make(path) == secret


def test_no_two_secrets_are_the_same(tmp_path: Path) -> None:
    assert load_or_make(tmp_path / "one") != load_or_make(tmp_path / "two")


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    path.touch()
    assert len(load_or_make(path)) >= 32
