"""Whether a packed bundle is promoted: the gate is asked once for every bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from propense.errors import BundleError, SettingsError, SourceError
from propense.files import replace_file
from propense.inference.shelf import read_current
from propense.serving.operations.promotion import promote
from propense.settings import Settings

_FILE: Final = "promotion.json"
ACTOR: Final = "run"
"""The actor that the audit log names where a run promotes."""


class Promoted(msgspec.Struct, frozen=True):
    """The gate's answer to a bundle."""

    version: str
    outcome: Literal["promoted", "refused"]
    reason: str
    """Why it was refused: what is worse, and by how much."""


def promote_packed(
    settings: Settings, bundle: Path, folder: Path, made: str
) -> tuple[Promoted | None, bool]:
    """Ask the shelf's gate about a bundle; the answer is stored in `folder`, the pack stage's.

    Returns the answer, and whether it was asked in this call. The answer is None for a bundle
    that has served before: it may have been rolled back since, which was somebody's decision.
    """
    file = folder / _FILE
    try:
        earlier = msgspec.json.decode(file.read_bytes(), type=Promoted)
    except (FileNotFoundError, msgspec.DecodeError):
        earlier = None
    if earlier is not None and earlier.version == bundle.name:
        return earlier, False
    if bundle.name in [entry.version for entry in read_current(bundle.parent).history]:
        return None, False
    try:
        promote(settings, bundle.name, None, made, ACTOR)
        answer = Promoted(bundle.name, "promoted", "")
    except (BundleError, SettingsError, SourceError) as error:
        answer = Promoted(bundle.name, "refused", str(error))
    replace_file(file, msgspec.json.encode(answer), private=False)
    return answer, True
