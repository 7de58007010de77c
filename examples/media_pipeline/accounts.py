"""Who may do what: demonstration accounts, and the signed tokens they are exchanged for."""

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt

READ: Final = "read"
UPLOAD: Final = "upload"
OPERATE: Final = "operate"

#: What everybody may know. A real service has its accounts elsewhere, and only salted hashes of their passwords.
DEMO_ACCOUNTS: Final = {
    "ada": ("analytical-engine", (READ, UPLOAD, OPERATE)),
    "grace": ("nanoseconds", (READ, UPLOAD)),
    "guest": ("looking-around", (READ,)),
}

_ISSUER: Final = "media-pipeline"
_ALGORITHM: Final = "HS256"
#: So many wrong passwords for one name within so many seconds, and nobody can sign in with it for as long.
_MOST_MISTAKES, _MISTAKES_COUNT_FOR = 5, 60.0


class SignInError(Exception):
    """Nobody was signed in.

    Attributes:
        retry_after: Seconds to wait before the next attempt; None if it may be made at once.
    """

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Session:
    """What a valid token says.

    Attributes:
        user: Who it is.
        scopes: What they may do with it.
    """

    user: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Say whether it has the scope."""
        return scope in self.scopes


class Accounts:
    """Exchanges a name and password for a token, and reads tokens.

    Args:
        key: Signs them.
        lifetime: Of a token.
        accounts: Password and scopes by name.
    """

    def __init__(
        self, key: bytes, lifetime: timedelta, accounts: dict[str, tuple[str, Collection[str]]] | None = None
    ) -> None:
        self.lifetime = lifetime
        self._key = key
        given = DEMO_ACCOUNTS if accounts is None else accounts
        self._accounts = {name: (self._hash(password), tuple(scopes)) for name, (password, scopes) in given.items()}
        self._nobody = self._hash("")
        self._mistakes: dict[str, deque[float]] = {}

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(password.encode(), salt=self._key, n=2**13, r=8, p=1)

    def exchange(self, name: str, password: str, scopes: Collection[str] | None = None) -> tuple[str, Session]:
        """Give a token, and what it says.

        Args:
            name: Of the account.
            password: Its password.
            scopes: Those that are asked for; None for all that the account has. Those it has not are left out.

        Raises:
            SignInError: One of them is wrong, or has been too often.
        """
        known = name if name in self._accounts else ""  # one deque for all names that nobody has
        mistakes = self._mistakes.setdefault(known, deque(maxlen=_MOST_MISTAKES))
        now = time.monotonic()
        if len(mistakes) == _MOST_MISTAKES and (left := mistakes[0] + _MISTAKES_COUNT_FOR - now) > 0:
            raise SignInError("Too many wrong passwords. Wait a minute, then try again.", int(left) + 1)
        expected, allowed = self._accounts.get(name, (self._nobody, ()))
        # Hashed for unknown names as well, so that the time it takes does not tell which names there are.
        if not hmac.compare_digest(self._hash(password), expected) or not known:
            mistakes.append(now)
            raise SignInError("The user name or the password is wrong.")
        mistakes.clear()
        granted = [scope for scope in allowed if scopes is None or scope in scopes]
        begins = datetime.now(UTC)
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "sub": name,
            "scope": " ".join(granted),
            "iat": begins,
            "exp": begins + self.lifetime,
        }
        return jwt.encode(claims, self._key, _ALGORITHM), Session(name, frozenset(granted))

    def read(self, token: str) -> Session | None:
        """Give what a token says; None if it is not ours, or over, or of somebody who has no account any more."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_ISSUER,
                issuer=_ISSUER,
                options={"require": ["exp", "sub", "scope"]},
            )
        except jwt.InvalidTokenError:
            return None
        if claims["sub"] not in self._accounts:
            return None
        return Session(claims["sub"], frozenset(claims["scope"].split()))
