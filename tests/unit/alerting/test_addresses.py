"""Where a webhook may go."""

import pytest

from alerting.notify.addresses import is_public, origin, url_problem


@pytest.mark.parametrize(
    "url",
    ["http://example.org", "https://example.org:8443/a/b?token=secret", "http://[2001:db8::1]/", "http://10.0.0.1/x"],
)
def test_a_webhook_is_any_http_url(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://example.org", "has to start with http:// or https://"),
        ("file:///etc/passwd", "has to start with"),
        ("example.org", "has to start with"),
        ("http://user:password@example.org", "must not carry credentials"),
        ("http://user@example.org", "must not carry credentials"),
        ("http:///path", "names no host"),
        ("http://example.org:0/", "has port 0"),
        ("http://example.org:99999/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://example.org/a b", "has to be percent-encoded"),
        ("http://example.org/\n", "has to be percent-encoded"),
        ("http://example.org/" + "a" * 2000, "is longer than"),
    ],
)
def test_what_cannot_be_a_webhook_is_explained(url: str, problem: str) -> None:
    assert problem in str(url_problem(url))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fec0::1",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_only_the_origin_of_a_url_is_logged() -> None:
    assert origin("https://example.org:8443/hooks/secret?token=secret") == "https://example.org:8443"
