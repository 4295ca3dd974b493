"""The clients by which devices may be connected, by the names that a scenario calls them."""

from collections.abc import Callable
from random import Random

from contracts.logs import Log
from simulators.connections import native, paho
from simulators.connections.outlet import Connect, Line
from simulators.connections.parties import USUAL, Broker, Login, Options

CLIENTS = {"native": native.connecting, "paho": paho.connecting}
"""What makes the connections of each."""


def clients(
    broker: Broker,
    *,
    login: Callable[[Line], Login | None],
    now: Callable[[], int],
    rng: Random,
    log: Log,
    options: Options = USUAL,
) -> dict[str, Connect]:
    """Give what makes connections to `broker`, by each client; `login` is asked for each connection."""
    return {
        name: connecting(broker, login=login, now=now, rng=rng, log=log, options=options)
        for name, connecting in CLIENTS.items()
    }
