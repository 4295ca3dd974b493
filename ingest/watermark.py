"""Up to when all that the broker had for us is on the stream. Pure; times in ns since 1970 UTC."""

PATIENCE_NS = 3_000_000_000
"""How old a sign that all is well may be. The broker is asked for one each second."""

LEAST_NS = 5_000_000_000
"""For how long after each new connection, at the least, the broker may still be handing over what it had kept."""

MOST_NS = 600_000_000_000
"""For how long at the most."""


class Watermark:
    """Stands still from when something stops until what waited behind it has come, as far as one can tell.

    A sign is a time up to which the broker has answered, and before which nothing that it handed over is unwritten.
    MQTT does not say when the last message has come that a broker had kept, and not every broker keeps them in one
    line. So after signs have failed to come for some time, all has to be well for as long again: it is assumed that a
    broker hands over in no more time what came to it in that time. If it has lost that, devices have had as long to
    send anew. `upto` is where an earlier process left off, 0 if nobody knows.
    """

    def __init__(self, upto: int = 0) -> None:
        self.upto = self._sign = upto
        self._owed = 0
        self._well_since: int | None = None

    def connected(self, now: int, *, session_present: bool) -> None:
        """Note a new connection, and whether the broker has kept the session that there was before."""
        if not self._sign and not session_present:
            self._sign = now  # there was nothing before
        self._owe(max(now - self._sign, LEAST_NS))

    def note(self, sign: int, now: int) -> int:
        """Note the newest sign, 0 for none, and give the watermark."""
        sign = sign or self._sign
        if now - sign > PATIENCE_NS:
            if sign:
                self._owe(now - sign)
            return self.upto
        self._sign = max(self._sign, sign)
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= self._owed:
            self._owed, self.upto = 0, max(self.upto, sign)
        return self.upto

    def _owe(self, time: int) -> None:
        self._owed, self._well_since = min(max(self._owed, time), MOST_NS), None
