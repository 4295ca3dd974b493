"""Addresses of radios, made of the numbers of devices."""


def mac(number: int, maker: int = 0xC25E) -> str:
    """Give a MAC address, upper case with colons; `maker` are its first two bytes."""
    digits = f"{maker:04X}{number:08X}"
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
