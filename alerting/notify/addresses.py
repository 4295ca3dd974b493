"""Which URLs and addresses a webhook may have. Pure: whoever resolves names asks here about the results."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

MAX_URL = 2000

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER_PUBLIC = [IPv6Network(net) for net in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")]
"""IPv6 networks that Python takes for global: two old ways to hold an IPv4 address, local NAT64, and site-local."""


def url_problem(url: str) -> str | None:
    """Why `url` cannot be a webhook's, as the rest of a sentence that begins with the URL; None if it can."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "contains a character that has to be percent-encoded"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    problems = {
        f"is longer than {MAX_URL} characters": len(url) > MAX_URL,
        "has to start with http:// or https://": parts.scheme not in ("http", "https"),
        "must not carry credentials (user:password@)": "@" in parts.netloc,
        "names no host": not parts.hostname,
        "has port 0": port == 0,
    }
    return next((problem for problem, found in problems.items() if found), None)


def is_public(address: str) -> bool:
    """Whether the IP `address` is reachable by anyone: not loopback, private, link-local, multicast or reserved.

    An IPv6 address that stands for an IPv4 address is judged by that.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and any(ip in network for network in _NEVER_PUBLIC):
        return False
    inner = _embedded(ip) if isinstance(ip, IPv6Address) else None
    judged = ip if inner is None else inner
    return judged.is_global and not judged.is_multicast


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo is not None else None)


def origin(url: str) -> str:
    """Give the part of `url` that may be logged: paths and queries of webhooks are often secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
