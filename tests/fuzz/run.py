"""Every fuzz target for a while, two at a time: `python -m tests.fuzz.run [--seconds 5] [NAME …]`.

Exits with 1 if any of them found something, and names the file that repeats it. Inputs that reach new code are kept in
build/fuzz, and are where the next run begins.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ingest import formats

ROOT = Path(__file__).parents[2]
START_S = 120
"""How long a target may take beside the time that it is given."""


def fuzz(name: str, seconds: int, folder: Path, program: tuple[str, ...] = ("-m", "tests.fuzz.target")) -> str | None:
    """Run one target; None if it found nothing, else the end of what it said."""
    corpus = folder / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        *program,
        name,
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder / name}/",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=65536",
        "-verbosity=0",
        str(corpus),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + START_S,
        check=False,
    )
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-4_000:]


def main() -> None:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="targets; all of them if left out")
    parser.add_argument("--seconds", type=int, default=5, help="for each target")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz", help="for inputs and what was found")
    given = parser.parse_args()
    names = given.names or ["topics", *formats.NAMES]
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, said in zip(
            names, pool.map(lambda name: fuzz(name, given.seconds, given.folder), names), strict=True
        ):
            if said is not None:
                failed += 1
                sys.stdout.write(f"{name}: FOUND something\n{said}\n")
                sys.stdout.write(f"repeat it: python -m tests.fuzz.target {name} FILE of {given.folder / name}\n")
    sys.stdout.write(f"{len(names)} targets of {given.seconds} s each: {len(names) - failed} passed, {failed} failed\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
