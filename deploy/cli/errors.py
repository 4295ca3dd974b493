"""What can go wrong with a command. It is apart from what asks the API, which takes long to import."""


class ApiError(Exception):
    """The API is away, or refuses what was asked; the message says why, in one line."""
