"""The stack's own secrets: made once, at random, in files that only their owner can read."""

import os
import secrets
from pathlib import Path


def load_or_make(path: Path) -> str:
    """Return the secret in `path`, after making one there (mode 0600) if there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = secrets.token_urlsafe(32)
        file.write(secret + "\n")
    return secret
