"""Ports of the stack: the ones that people use are fixed and checked, the inner ones are any that are free."""

import socket


class PortInUseError(Exception):
    """A port that was asked for is taken; the message names it, and the option that changes it."""


def check(host: str, port: int, option: str) -> None:
    """Raise PortInUseError if nothing can listen on `host`:`port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on port {port} of {host} ({error.strerror}): choose another with {option} PORT"
            ) from error


def free(host: str, count: int) -> list[int]:
    """Return `count` different ports of `host` that were free a moment ago."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def preferred_or_free(host: str, port: int) -> int:
    """Return `port` if it is free, or else one that is."""
    try:
        check(host, port, "")
    except PortInUseError:
        return free(host, 1)[0]
    return port
