"""What the registry refuses, as answers."""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote

from contracts.etags import stale
from contracts.problems import Problem
from contracts.versions import StaleError
from devices_api.errors import ExistsError, InUseError, NotEmptyError, OutOfSightError, TreeError, UnknownGroupError


def unknown_device(id_: str) -> Problem:
    """Build the answer to a request about a device that there is not."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown-device", "Unknown device", f"No device {id_!r} is registered.")


def unknown_group(id_: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> Problem:
    """Build the answer to a request about a group that there is not."""
    return Problem(status, "unknown-group", "Unknown group", f"There is no group {id_!r}.")


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn what the registry refuses of a change into the answer."""
    try:
        yield
    except StaleError as error:
        raise stale(error) from error
    except TreeError as error:
        raise Problem(HTTPStatus.CONFLICT, "bad-tree", "The tree cannot be like that", f"{error}.") from error
    except NotEmptyError as error:
        detail = f"There are groups or devices in {str(error)!r}, maybe deleted ones; name with move_to where they go."
        raise Problem(HTTPStatus.CONFLICT, "group-not-empty", "The group is not empty", detail) from error
    except ExistsError as error:
        raise _exists(str(error), deleted=error.deleted) from error
    except InUseError as error:
        detail = f"Devices name the profile {str(error)!r}; give them another one first."
        raise Problem(HTTPStatus.CONFLICT, "profile-in-use", "The profile is in use", detail) from error
    except UnknownGroupError as error:
        raise unknown_group(str(error), HTTPStatus.UNPROCESSABLE_ENTITY) from error
    except OutOfSightError as error:
        detail = "The key is limited to groups; name one of them, or one below it."
        raise Problem(HTTPStatus.FORBIDDEN, "out-of-sight", "The key would not see it afterwards", detail) from error


def _exists(id_: str, *, deleted: bool) -> Problem:
    detail = f"Device {id_!r} is registered already."
    if deleted:
        detail = f"Device {id_!r} was deleted. POST /api/v1/devices/{quote(id_, safe='')}/restore brings it back."
    return Problem(HTTPStatus.CONFLICT, "device-exists", "The device exists", detail)
