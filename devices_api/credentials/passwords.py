"""Passwords as argon2id, hashed in threads of their own: one takes tens of milliseconds, on purpose."""

import asyncio
import contextlib
import hashlib
import hmac
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from devices_api.credentials.credentials import Entropy
from devices_api.errors import UnavailableError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

_NAME = "password check"

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
"""What OWASP names as the least for argon2id: 19 MiB, 2 passes, 1 lane."""

THREADS = 2
MOST_WAITING = 512
"""Checks that wait for a thread; of what comes beyond, a broker is told to ask again."""

MOST_OF_ONE = 8
"""Of these, checks against one hash: who guesses at a device's password does not keep all others waiting."""

_NOBODYS = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""A hash of no password that anybody knows."""

REMEMBERED_S = 10.0
MOST_REMEMBERED = 20_000


class Passwords:
    """Hashes passwords and checks them.

    That a password was right is remembered for REMEMBERED_S, under a key of this process: a device that comes again
    and again costs one check. What is remembered belongs to the hash, so that a new password ends it.
    """

    def __init__(self, clock: Callable[[], float], entropy: Entropy) -> None:
        self._clock = clock
        self._secret = entropy(32)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._waiting_for: Counter[str] = Counter()
        self._right: OrderedDict[bytes, float] = OrderedDict()

    async def hash(self, password: str) -> str:
        """Encode a password with its salt and parameters."""
        return await self._run(lambda: _hasher().hash(password.encode("utf-8", "surrogatepass")))

    async def match(self, encoded: str, password: str) -> bool:
        """Whether `password` is the one that was encoded. Raises UnavailableError when too many checks wait.

        So it does when too many wait that are against this hash.
        """
        key = hmac.digest(self._secret, f"{encoded}\0{password}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        now = self._clock()
        if now < self._right.get(key, now):
            return True
        if self._waiting_for[encoded] >= MOST_OF_ONE:
            raise UnavailableError(_NAME)
        self._waiting_for[encoded] += 1
        try:
            right = await self._run(lambda: _check(encoded, password))
        finally:
            self._waiting_for[encoded] -= 1
            self._waiting_for += Counter()  # lets go of those that are 0
        if not right:
            return False
        self._right[key] = self._clock() + REMEMBERED_S
        self._right.move_to_end(key)
        while len(self._right) > MOST_REMEMBERED or next(iter(self._right.values())) <= now:
            self._right.popitem(last=False)
        return True

    async def waste(self, password: str) -> None:
        """Take as long as `match` with a wrong password, so that nobody is told by that what there is to match.

        Where many do so at once, it takes no time.
        """
        with contextlib.suppress(UnavailableError):
            await self.match(_NOBODYS, password)

    def close(self) -> None:
        """End the threads; checks that have not begun are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise UnavailableError(_NAME)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415 - only who has passwords needs it

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _check(encoded: str, password: str) -> bool:
    from argon2.exceptions import VerificationError  # noqa: PLC0415 - as above

    try:
        return _hasher().verify(encoded, password.encode("utf-8", "surrogatepass"))
    except VerificationError:
        return False
