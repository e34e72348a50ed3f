"""Keyed names of customers: marks of whom must not come back, pseudonyms instead of ids."""

from __future__ import annotations

import base64
import hmac
from typing import Final

from propense.history.records import VERIFY_PREFIX
from propense.security.secrets import Secrets

N_BYTES: Final = 16


class Pseudonyms:
    """Without the service's secret neither can be told from chance, nor made for a guessed id."""

    def __init__(self, secrets: Secrets) -> None:
        self._suppression = secrets.key("suppression")
        self._pseudonyms = secrets.key("pseudonyms")

    def mark(self, user_id: str) -> bytes:
        """16 bytes that stand for an id among those suppressed; the id cannot be read from them."""
        return _keyed(self._suppression, user_id)

    def pseudonym(self, user_id: str) -> str:
        """What is kept in place of the id where [serve] pseudonyms is true: the same for the same
        id. Ids of an integration test name nobody and stay as they are.
        """
        if user_id.startswith(VERIFY_PREFIX):
            return user_id
        made = base64.urlsafe_b64encode(_keyed(self._pseudonyms, user_id))
        return "p-" + made.decode().rstrip("=")


def _keyed(key: bytes, user_id: str) -> bytes:
    # Lone surrogates come from JSON escapes; they are ids as any other.
    return hmac.digest(key, user_id.encode("utf-8", "surrogatepass"), "sha256")[:N_BYTES]
