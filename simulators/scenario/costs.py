"""What the processes of a stage cost: CPU and memory, over restarts."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from simulators.scenario.report import Usage

FLEET = "simulators"
"""The name of this process among the others."""


@dataclass
class _Seen:
    process: psutil.Process
    before: float
    cpu: float
    memory: int = 0


class Costs:
    """Adds up what was used from the first `look` on; a process that ended is counted as it was last seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], _Seen] = {}

    def look(self, pids: Mapping[str, int]) -> None:
        """Look at the processes, by name, and at this one."""
        for name, pid in {**pids, FLEET: os.getpid()}.items():
            with contextlib.suppress(psutil.Error):
                seen = self._seen.get((name, pid))
                if seen is None:
                    process = psutil.Process(pid)
                    first = not any(known == name for known, _ in self._seen)
                    cpu = _cpu(process)
                    seen = self._seen[name, pid] = _Seen(process, cpu if first else 0.0, cpu)
                seen.cpu = _cpu(seen.process)
                seen.memory = max(seen.memory, seen.process.memory_info().rss)

    def usage(self, seconds: float) -> list[Usage]:
        """Say what each has used in so many seconds, the most first."""
        found: dict[str, list[_Seen]] = {}
        for (name, _), seen in self._seen.items():
            found.setdefault(name, []).append(seen)
        costs = [
            Usage(name, cpu, cpu / seconds if seconds else 0.0, max(one.memory for one in seen), len(seen) - 1)
            for name, seen in found.items()
            for cpu in [sum(one.cpu - one.before for one in seen)]
        ]
        return sorted(costs, key=lambda usage: -usage.cpu_s)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
