"""The stack's own secrets: made once, at random, in files that only their owner can read."""

import os
import secrets
from pathlib import Path


def load_or_make(path: Path) -> str:
    """Return the secret in `path`, after making one there (mode 0600) if there is none."""
    if path.exists() and (secret := path.read_text().strip()):
        return secret
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        secret = secrets.token_urlsafe(32)
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)  # whole, or not at all: an empty secret would let everyone in
    return secret
