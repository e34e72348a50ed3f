"""`propense shelf`: list, promote, roll back and sign bundles."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.errors import SettingsError

if TYPE_CHECKING:
    from propense.inference.new_items import Misfit
    from propense.settings import Settings

MOST_NAMED = 20
"""Items set aside that a promotion prints."""

ShelfFolder = Annotated[Path | None, Parameter(name="--shelf", show_default=False)]


def list_bundles(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """List the bundles, newest last, and mark the serving one.

    Parameters
    ----------
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.shelf import list_versions

    output = open_output(common)
    folder = _folder(shelf, common)
    versions = list_versions(folder)
    lines = [
        f"{'* ' if version.serving else '  '}{version.name:<10}{version.made:<28}"
        f"{version.content[:12]}{'  cannot serve: ' * bool(version.error)}{version.error}"
        for version in versions
    ]
    output.result(
        versions, "\n".join(lines) or f"shelf {folder} is empty; pack a bundle with: propense pack"
    )


def promote_bundle(
    version: str,
    /,
    *,
    reason: Annotated[str, Parameter(show_default=False)] = "",
    shelf: ShelfFolder = None,
    common: Common = DEFAULTS,
) -> None:
    """Serve a bundle from now on.

    The gate refuses a bundle that is significantly worse than the serving one or
    than a simple rival; a reason overrides the gate and is recorded. A bundle with
    a changed file is always refused. If [pack] public_key is set, so is a bundle
    that none of its keys signed. It is first opened as the service will open it;
    items that were sent and that do not fit it are named.

    Parameters
    ----------
    version
        Name of the bundle, see `propense shelf list`.
    reason
        Override the gate, and record why.
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    output = open_output(common)
    settings = _settings(shelf, common)
    misfits: tuple[Misfit, ...] = ()
    if settings is None:
        from propense.inference.shelf import promote

        promote(_folder(shelf, common), version, reason, now())
    else:
        from propense.serving.operations import promotion

        misfits = promotion.promote(settings, version, reason, now(), ACTOR)
    for item_id, why in misfits[:MOST_NAMED]:
        output.message(f"item {item_id!r} was sent and is set aside: {why}")
    output.result(
        {
            "shelf": _folder(shelf, common), "serving": version, "reason": reason,
            "items_set_aside": [item_id for item_id, _ in misfits],
        },
        f"{version} now serves"
        + (f"; {len(misfits)} items that were sent are set aside" if misfits else ""),
    )  # fmt: skip


def rollback_bundle(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Roll back to the previous bundle.

    Parameters
    ----------
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    output = open_output(common)
    settings = _settings(shelf, common)
    if settings is None:
        from propense.inference.shelf import rollback

        version = rollback(_folder(shelf, common), now())
    else:
        from propense.serving.operations import promotion

        version = promotion.roll_back(settings, now(), ACTOR)
    output.result({"shelf": _folder(shelf, common), "serving": version}, f"{version} now serves")


def prune_bundles(*, keep: int, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Delete old bundles from the shelf.

    The serving bundle, the one a rollback would return to, and the one named by
    [serve] shadow are always kept.

    Parameters
    ----------
    keep
        How many of the newest bundles to keep.
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.pruning import prune

    output = open_output(common)
    settings = load_settings(common) if shelf is None or common.settings.is_file() else None
    if shelf is None:
        assert settings is not None
        shelf = Path(settings.folder) / settings.pack.shelf
    shadow = settings.serve.shadow if settings is not None else None
    also = () if shadow is None else (shadow,)
    if settings is None:
        removed = prune(shelf, keep, also)
    else:
        from propense.serving.operations.promotion import logged

        with logged(settings, ACTOR, "shelf.prune", f"all but the newest {keep}"):
            removed = prune(shelf, keep, also)
    text = f"deleted {', '.join(removed)}" if removed else "nothing to delete"
    output.result({"shelf": shelf, "removed": removed}, text)


def make_key(file: Path, /, *, common: Common = DEFAULTS) -> None:
    """Make a key pair for signing bundles.

    FILE is the private key: name it in [pack] signing_key where bundles are packed.
    FILE.pub is the public key: name it in [pack] public_key where they are served.

    Parameters
    ----------
    file
        File of the private key; it must not exist yet.
    """
    from propense.security.signing import make_signing_key

    output = open_output(common)
    public = make_signing_key(file)
    output.result(
        {"signing_key": file, "public_key": public},
        f"signing key  {file}   (keep it secret: [pack] signing_key)\n"
        f"public key   {public}   (where bundles are served: [pack] public_key)",
    )


def sign(
    version: str,
    /,
    *,
    key: Annotated[Path | None, Parameter(show_default=False)] = None,
    shelf: ShelfFolder = None,
    common: Common = DEFAULTS,
) -> None:
    """Sign a bundle after checking every file against its manifest.

    Parameters
    ----------
    version
        Name of the bundle, see `propense shelf list`.
    key
        File of the private key; default: [pack] signing_key.
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.artifact import manifest
    from propense.inference.shelf import find_version

    output = open_output(common)
    bundle = find_version(_folder(shelf, common), version)
    settings = load_settings(common) if key is None else _settings(shelf, common)
    if key is None:
        assert settings is not None
        if settings.pack.signing_key is None:
            raise SettingsError(
                "there is no key to sign with; pass --key FILE or set [pack] signing_key; "
                "make one with: propense shelf keygen FILE"
            )
        key = Path(settings.folder) / settings.pack.signing_key
    with ExitStack() as stack:
        if settings is not None:
            from propense.serving.operations.promotion import logged

            stack.enter_context(logged(settings, ACTOR, "shelf.sign", version))
        manifest.sign(bundle, key, None if settings is None else settings.name)
    output.result({"bundle": bundle, "key": key}, f"{version} is signed")


def now() -> str:
    """The current time, for the record of promotions."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _folder(shelf: Path | None, common: Common) -> Path:
    if shelf is not None:
        return shelf
    settings = load_settings(common)
    return Path(settings.folder) / settings.pack.shelf


def _settings(shelf: Path | None, common: Common) -> Settings | None:
    """The settings, with `shelf` in the place of their shelf; None where there is no file and none
    is needed."""
    if shelf is not None and not common.settings.is_file():
        return None
    settings = load_settings(common)
    if shelf is None:
        return settings
    pack = msgspec.structs.replace(settings.pack, shelf=str(shelf.resolve()))
    return msgspec.structs.replace(settings, pack=pack)
