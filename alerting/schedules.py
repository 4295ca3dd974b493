"""When something holds: hours of weekdays in a time zone, and calendars of days. Pure."""

from pydantic import BaseModel, ConfigDict


class Schedule(BaseModel):
    """Times of the week at which something holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
