"""The base of all settings records.

Durations are words like "30d", "12h", "15m"; they are kept as text and read by `seconds`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all settings records: an unknown key is an error."""
