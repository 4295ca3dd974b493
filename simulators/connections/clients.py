"""The clients by which devices may be connected, by the names that a scenario calls them."""

from collections.abc import Callable
from random import Random

from contracts.logs import Log
from simulators.connections import native, paho
from simulators.connections.outlet import Connect, Line
from simulators.connections.parties import Broker, Login, Options

_USUAL = Options()


def clients(
    broker: Broker,
    *,
    login: Callable[[Line], Login | None],
    now: Callable[[], int],
    rng: Random,
    log: Log,
    options: Options = _USUAL,
) -> dict[str, Connect]:
    """Give what makes connections to `broker`, by each client; `login` is asked for each connection."""
    return {
        name: client.connecting(broker, login=login, now=now, rng=rng, log=log, options=options)
        for name, client in (("native", native), ("paho", paho))
    }
