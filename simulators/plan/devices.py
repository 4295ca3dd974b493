"""The devices of a fleet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """One device: `number`, below 2^31 and its alone in the fleet, is what its randomness is keyed by; it is no index.

    `id` is its name, such as `env-001`; what the pipeline calls it is for its format to say. `part` is the number of
    the fleet's part that it belongs to. `via` is the number of the gateway by whose connection it publishes, or its
    own.
    """

    number: int
    id: str
    part: int
    via: int
