"""Checks passwords against bcrypt hashes, without delaying scrapes during an attack.

bcrypt is slow by design. So a correct password is remembered, as a keyed digest in memory, and
others are checked one at a time, clients with the fewest requests first.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

from exporter.web.fair_queue import BusyError, FairQueue

LONGEST_PASSWORD = 72
"""bcrypt ignores bytes of a password after these."""

MAX_REMEMBERED = 1024


class Verdict(enum.Enum):
    """Result of a check."""

    RIGHT = enum.auto()
    WRONG = enum.auto()
    BUSY = enum.auto()


class Passwords:
    """The users; for one event loop.

    Args:
        users: bcrypt hashes by name, at least one.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in users.items()}
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[bool]] = {}
        self._queue = FairQueue()

    async def verdict(self, authorization: str, client: str) -> Verdict:
        """Check the header of a request; clients are identified by address."""
        said = _credentials(authorization)
        if said is None:
            return Verdict.WRONG
        digest = self._digest(*said)
        if digest in self._right:
            self._right.move_to_end(digest)
            return Verdict.RIGHT
        check = self._checks.get(digest)
        if check is None:
            check = asyncio.get_running_loop().create_task(self._check(digest, client, *said))
            self._checks[digest] = check
        try:
            return Verdict.RIGHT if await asyncio.shield(check) else Verdict.WRONG
        except BusyError:
            return Verdict.BUSY

    async def _check(self, digest: bytes, client: str, user: bytes, password: bytes) -> bool:
        try:
            is_right = await self._queue.run(client, partial(self._compare, user, password))
        finally:
            del self._checks[digest]
        if is_right:
            self._right[digest] = None
            if len(self._right) > MAX_REMEMBERED:
                self._right.popitem(last=False)
        return is_right

    def _compare(self, user: bytes, password: bytes) -> bool:
        import bcrypt  # noqa: PLC0415 - needed only with users

        hashed = self._hashes.get(user, self._stand_in(user))
        matches = bcrypt.checkpw(password[:LONGEST_PASSWORD], hashed)
        return matches and user in self._hashes

    def _stand_in(self, user: bytes) -> bytes:
        """Some user's hash, the same for each name: an unknown user takes as long."""
        hashes = list(self._hashes.values())
        return hashes[int.from_bytes(self._digest(user, b""), "big") % len(hashes)]

    def _digest(self, user: bytes, password: bytes) -> bytes:
        # A user name has no colon.
        return hmac.digest(self._key, user + b":" + password, hashlib.sha256)


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """User and password of a header, as bytes; None if it has none."""
    scheme, _, text = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):  # the latter for characters outside ASCII
        return None
    user, colon, password = pair.partition(b":")
    return (user, password) if colon else None
