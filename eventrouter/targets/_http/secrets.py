"""Secrets: resolved when something is sent, and kept out of whatever is told about it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote, quote_plus

from eventrouter.errors import DeliveryError, InvalidRuleError, PermanentDeliveryError

#: A secret, or a function that is asked for it each time something is sent. It is called in the event loop, so it must
#: not block: let it look into a cache.
Secret: TypeAlias = str | Callable[[], str]

_HIDDEN = "***"


def check_secret(name: str, secret: object, *, may_be_empty: bool = False) -> None:
    """Refuse what is no secret, without showing it.

    Raises:
        InvalidRuleError: It is neither text nor a function.
    """
    if not callable(secret) and not (isinstance(secret, str) and (secret or may_be_empty)):
        raise InvalidRuleError(
            f"{name} is {'empty' if secret == '' else f'of type {type(secret).__name__}'}",
            hint="use a string, or a function without arguments that returns one",
        )


class Secrets:
    """The secrets that one attempt has used."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def resolve(self, name: str, secret: Secret) -> str:
        """Give the secret's value, which is known from then on.

        Raises:
            DeliveryError: The function that gives it failed. Its text is not told, as it may be about the secret.
            PermanentDeliveryError: It gave something else.
        """
        if isinstance(secret, str):
            return self.add(secret)
        try:
            value = secret()
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything
            failure = type(error).__name__
        else:
            if not isinstance(value, str) or not value:
                raise PermanentDeliveryError(f"The function that gives {name} returned no text.")
            return self.add(value)
        raise DeliveryError(f"The function that gives {name} raised {failure}.")

    def add(self, value: str) -> str:
        """Know a secret, in the forms that it takes when it is sent or repeated."""
        forms = {value, quote(value, safe=""), quote(value), quote_plus(value), html.escape(value)}
        forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        forms.add(base64.b64encode(value.encode()).decode())
        self._known |= forms - {""}
        return value

    def redact(self, text: str, *, is_whole: bool = True) -> str:
        """Replace every known secret in *text*.

        Args:
            text: The text.
            is_whole: False for one that was cut off: then its end, which could be the first half of a secret, goes too.
        """
        known = sorted(self._known, key=len, reverse=True)  # a secret may contain another
        for secret in known:
            text = text.replace(secret, _HIDDEN)
        if known and not is_whole:
            text = text[: -len(known[0])]
        return text
