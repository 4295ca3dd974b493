"""Gives up a decoder that does not come to an end, so that one message cannot hold up the others."""

import signal
import threading
from types import FrameType
from typing import ClassVar


class TooSlowError(BaseException):
    """Raised inside a decoder that took too long. No `except Exception` on the way may take it for its own."""


class Patience:
    """Interrupts what it is `minding` once that has used `seconds` of CPU time, and at the latest after twice as much.

    It rests on the timer of the process's own CPU time and its signal, which Python hands to the main thread alone. All
    instances of a process share the timer; the shortest patience sets it. In another thread nothing is interrupted.
    """

    _all: ClassVar[list["Patience"]] = []

    def __init__(self, seconds: float) -> None:
        self.minding: object = None
        self._seconds = seconds
        self._before: object = None

    def begin(self) -> None:
        """Start the timer."""
        if threading.current_thread() is threading.main_thread() and self not in self._all:
            self._all.append(self)
            signal.signal(signal.SIGVTALRM, _tick)
            self._set()

    def end(self) -> None:
        """Stop it; a second time does nothing."""
        if self in self._all:
            self._all.remove(self)
            self._set()

    def _set(self) -> None:
        seconds = min((one._seconds for one in self._all), default=0.0)  # noqa: SLF001 - of its own kind
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)

    def look(self) -> None:
        """Raise TooSlowError if what was minded a tick ago is minded still, and again at each tick until it is not.

        Once might not be enough: what is raised in a finalizer, or a library's `except:`, goes no further.
        """
        before, self._before = self._before, self.minding
        if self.minding is not None and self.minding is before:
            raise TooSlowError


def _tick(_: int, __: FrameType | None) -> None:
    for one in Patience._all:  # noqa: SLF001 - this is its timer
        one.look()
