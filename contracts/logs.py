"""Logs: JSON lines on standard error, constant event names, keyword fields, never a line a reading.

Levels by consequence: ERROR, data is lost or a person must act; WARNING, something failed and nothing is lost;
INFO, a change of state; DEBUG, for developers.
"""

import logging
import sys
from typing import cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

Log = FilteringBoundLogger

# Without the frames' variables, which structlog would show: they hold keys, tokens and URLs.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(service: str, level: str) -> Log:
    """Set up logging for this process and return its logger."""
    threshold = cast("int", getattr(logging, level.upper()))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,  # the request that it is for, where a service names them
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _TRACEBACKS,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    return cast("Log", structlog.get_logger(service=service))


def quiet() -> Log:
    """Return a logger that writes nothing, for tests and for programs that draw on the terminal."""
    return cast(
        "Log",
        structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[_drop],
            wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        ),
    )


def _drop(_: object, __: str, ___: EventDict) -> EventDict:
    raise structlog.DropEvent
