"""Addresses of radios, made of the numbers of devices."""

from functools import lru_cache


@lru_cache(maxsize=65_536)
def mac(number: int, maker: int = 0xC25E) -> str:
    """Give a MAC address, upper case with colons; `maker` are its first two bytes."""
    digits = f"{maker:04X}{number:08X}"
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
