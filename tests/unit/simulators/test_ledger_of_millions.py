"""A ledger of any size is written and verified in memory that does not grow with it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MOST_MB = 320


def measured(points: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.ledger", str(points)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert found.returncode == 0, found.stderr
    result: dict[str, Any] = json.loads(found.stdout)
    assert result["ok"], result
    assert result["bytes_a_point"] < 8, result
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_thousand_points_are_kept_in_little_and_all_verified() -> None:
    measured(100_000, 60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_twenty_million_points_need_no_more_memory_than_one() -> None:
    result = measured(20_000_000, 1700)
    assert result["memory_writing_mb"] < MOST_MB, result
    assert result["memory_verifying_mb"] < MOST_MB, result
