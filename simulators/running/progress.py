"""How far a fleet is."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Counts of messages, those sent wrong on purpose included; what devices say when they come or go is not.

    `planned` are due by now or soon; `published` have left for the broker; `acked` are acknowledged by it. `began` and
    `ended` are ns since 1970: the start of the schedule, and the last moment at which something was sent. `behind_s` is
    how late the last message left, `worst_behind_s` the latest of all.
    """

    planned: int = 0
    published: int = 0
    acked: int = 0
    faulty: int = 0
    reconnects: int = 0
    began: int = 0
    ended: int = 0
    behind_s: float = 0.0
    worst_behind_s: float = 0.0
