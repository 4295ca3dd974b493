"""What can go wrong here."""


class UnavailableError(Exception):
    """Something that the answer needs is away for now; the message names it."""
