"""The least bundle of a signed shelf: an older one serves only when somebody with the right asks.

Whoever can write the shelf could otherwise point it at any bundle that was ever signed. The number
is in the store, which writing the shelf does not change.
"""

from __future__ import annotations

from typing import Final

import msgspec

from propense.errors import BundleError
from propense.history.controls import Controls
from propense.inference.artifact.manifest import number_of

KIND: Final = "shelf"
_KEY: Final = "least"


class LeastBundle:
    """The number of the newest bundle that has served. Methods block."""

    def __init__(self, controls: Controls, signed: bool) -> None:
        """Without signatures (`signed` False) names prove nothing, and all is allowed."""
        self._controls = controls
        self._signed = signed

    def check(self, version: str) -> None:
        """Raises BundleError for a bundle that is older than the newest that has served."""
        least = self._read()
        if number_of(version) < least:
            raise BundleError(
                f"bundle {version[:80]!r} is older than number {least}, which has served, and "
                f"nobody with the right to it asked for it: current.json was changed by hand; "
                f"to go back use: propense shelf rollback, or propense shelf promote {version[:80]}"
            )

    def allow(self, version: str) -> None:
        """Let exactly this bundle, and newer ones, serve from now on."""
        if self._signed:
            self._controls.put(KIND, _KEY, msgspec.json.encode(number_of(version)))

    def rise(self, version: str) -> None:
        """Note that a bundle serves."""
        if not self._signed or number_of(version) <= self._read():
            return

        def larger(before: bytes | None) -> bytes:
            least = 0 if before is None else msgspec.json.decode(before, type=int)
            return msgspec.json.encode(max(least, number_of(version)))

        self._controls.update(KIND, _KEY, larger)

    def _read(self) -> int:
        record = self._controls.get(KIND, _KEY) if self._signed else None
        return 0 if record is None else msgspec.json.decode(record.value, type=int)
