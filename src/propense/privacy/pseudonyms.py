"""Keyed hashes of customer ids: for suppressed customers, and pseudonyms instead of ids."""

from __future__ import annotations

import base64
import hmac
from typing import Final

from propense.history.records import VERIFY_PREFIX
from propense.security.secrets import Secrets

N_BYTES: Final = 16


class Pseudonyms:
    """Without the service's secret neither can be told from random bytes, nor made for a guessed
    id."""

    def __init__(self, secrets: Secrets) -> None:
        self._suppression = secrets.key("suppression")
        self._pseudonyms = secrets.key("pseudonyms")

    def suppression_hash(self, user_id: str) -> bytes:
        """The 16 bytes that a store keeps of a suppressed id; they do not reveal it."""
        return _keyed(self._suppression, user_id)

    def pseudonym(self, user_id: str) -> str:
        """The text that is stored instead of the id if [serve] pseudonyms is true.

        The same id always gives the same text. Ids of integration tests name nobody and stay as
        they are.
        """
        if user_id.startswith(VERIFY_PREFIX):
            return user_id
        text = base64.urlsafe_b64encode(_keyed(self._pseudonyms, user_id)).decode()
        return "p-" + text.rstrip("=")


def _keyed(key: bytes, user_id: str) -> bytes:
    # JSON escapes can hold lone surrogates; they are valid ids.
    return hmac.digest(key, user_id.encode("utf-8", "surrogatepass"), "sha256")[:N_BYTES]
