"""Which dead letters are meant, by what they say of themselves. Pure."""

from dataclasses import dataclass

from contracts.deadletters import DeadLetter, Reason
from contracts.streams import deadletter_subjects


@dataclass(frozen=True)
class Selection:
    """Dead letters that have everything given here; `start` <= received < `end`, in ns since 1970 UTC."""

    reason: Reason | None = None
    device: str | None = None
    start: int | None = None
    end: int | None = None
    route: str | None = None
    decoder: str | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is given, so that all are meant."""
        return self == Selection()

    @property
    def subjects(self) -> list[str]:
        """Subjects on which they are, perhaps with others."""
        return [*deadletter_subjects(self.reason or "*", self.device)]

    def takes(self, letter: DeadLetter) -> bool:
        """Whether `letter` is one of them."""
        return (
            (self.reason is None or letter.reason == self.reason)
            and (self.device is None or letter.device == self.device)
            and (self.start is None or letter.received >= self.start)
            and (self.end is None or letter.received < self.end)
            and (self.route is None or letter.route == self.route)
            and (self.decoder is None or letter.decoder == self.decoder)
        )
