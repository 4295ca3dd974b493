"""How many connections this process may have."""

import resource

_OTHERS = 256
"""Files that are open beside connections: the ledger, logs, libraries, whatever else runs in the process."""


class ConnectionsLimitError(ValueError):
    """The system allows fewer connections than are asked for."""


def allow_connections(count: int) -> None:
    """Let this process have `count` connections. Raises ConnectionsLimitError if the system does not."""
    need = count + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise ConnectionsLimitError(
            f"{count} connections need {need} open files, and a process here may have {hard} (ulimit -Hn): "
            "raise that, or let devices share connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
