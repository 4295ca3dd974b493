"""`python -m tests.again`: run the tests that failed in the last run once more, one after the other.

Continuous integration does it where machines are shared: what else runs there may hold up a server for longer than a
test waits. It names them, and more than three it does not run again: then something is broken. Exits as pytest does.
"""

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Run them; 1 if there are none, or too many."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 1 <= len(failed) <= MOST:
        return 1
    sys.stdout.write("\n".join(["", "Failed beside others, and run once more alone:", *failed, ""]))
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
