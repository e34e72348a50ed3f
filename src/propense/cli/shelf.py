"""`propense shelf`: list, promote, roll back and sign bundles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.errors import SettingsError

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
    that none of its keys signed.

    Parameters
    ----------
    version
        Name of the bundle, see `propense shelf list`.
    reason
        Override the gate, and record why.
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.shelf import promote

    output = open_output(common)
    folder = _folder(shelf, common)
    promote(folder, version, reason, now(), _required_keys(shelf, common))
    output.result({"shelf": folder, "serving": version, "reason": reason}, f"{version} now serves")


def rollback_bundle(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Roll back to the previous bundle.

    Parameters
    ----------
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.shelf import rollback

    output = open_output(common)
    folder = _folder(shelf, common)
    version = rollback(folder, now(), _required_keys(shelf, common))
    output.result({"shelf": folder, "serving": version}, f"{version} now serves")


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
    from propense.inference.artifact.manifest import read_manifest
    from propense.inference.shelf import find_version
    from propense.security.signing import sign_bundle

    output = open_output(common)
    bundle = find_version(_folder(shelf, common), version)
    if key is None:
        settings = load_settings(common)
        if settings.pack.signing_key is None:
            raise SettingsError(
                "there is no key to sign with; pass --key FILE or set [pack] signing_key; "
                "make one with: propense shelf keygen FILE"
            )
        key = Path(settings.folder) / settings.pack.signing_key
    read_manifest(bundle)
    sign_bundle(bundle, key)
    output.result({"bundle": bundle, "key": key}, f"{version} is signed")


def now() -> str:
    """The current time, for the record of promotions."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _folder(shelf: Path | None, common: Common) -> Path:
    if shelf is not None:
        return shelf
    settings = load_settings(common)
    return Path(settings.folder) / settings.pack.shelf


def _required_keys(shelf: Path | None, common: Common) -> tuple[bytes, ...]:
    """Public keys, one of which must have signed a bundle; none without a settings file."""
    from propense.security.signing import trusted_keys

    has_settings = shelf is None or common.settings.is_file()
    return trusted_keys(load_settings(common)) if has_settings else ()
