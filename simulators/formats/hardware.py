"""Addresses of radios, made of the numbers of devices."""


def mac(number: int, maker: int = 0xC25E00) -> str:
    """Give a MAC address, upper case with colons; `maker` are its first three bytes."""
    digits = f"{maker:06X}{number:06X}"
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
