"""Verbs of the shelf of bundles."""

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
    """Every bundle of the shelf, newest last, and which one serves.

    Parameters
    ----------
    shelf
        Folder of the shelf; without it the one of the settings.
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
    output.result(versions, "\n".join(lines) or f"shelf {folder} is empty; fill it: propense pack")


def promote_bundle(
    version: str,
    /,
    *,
    reason: str = "",
    shelf: ShelfFolder = None,
    common: Common = DEFAULTS,
) -> None:
    """Let a bundle serve from now on.

    Refused if it is worse than the one that serves now, or worse than a plain
    rival, beyond the interval; a reason overrules that and is written down.
    Refused too if a file was changed, or if [pack] public_key is set and none of
    its keys signed the bundle.

    Parameters
    ----------
    version
        The bundle's name, as `propense shelf list` shows it.
    reason
        Why it should serve although it is worse.
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.shelf import promote

    output = open_output(common)
    folder = _folder(shelf, common)
    promote(folder, version, reason, now(), _trusted(shelf, common))
    output.result({"shelf": folder, "serving": version, "reason": reason}, f"{version} serves now")


def rollback_bundle(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Let the bundle serve again that served before this one.

    Parameters
    ----------
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.shelf import rollback

    output = open_output(common)
    folder = _folder(shelf, common)
    version = rollback(folder, now(), _trusted(shelf, common))
    output.result({"shelf": folder, "serving": version}, f"{version} serves now")


def make_key(file: Path, /, *, common: Common = DEFAULTS) -> None:
    """Make the pair of keys that bundles are signed and checked with.

    FILE becomes the private key, for [pack] signing_key where bundles are made;
    FILE.pub the public one, for [pack] public_key where bundles are served.

    Parameters
    ----------
    file
        Where the private key goes; an existing file is never written over.
    """
    from propense.security.signing import make_signing_key

    output = open_output(common)
    public = make_signing_key(file)
    output.result(
        {"signing_key": file, "public_key": public},
        f"signing key  {file}   (keep it secret: [pack] signing_key)\n"
        f"public key   {public}   (give it to who serves: [pack] public_key)",
    )


def sign(
    version: str,
    /,
    *,
    key: Annotated[Path | None, Parameter(show_default=False)] = None,
    shelf: ShelfFolder = None,
    common: Common = DEFAULTS,
) -> None:
    """Sign a bundle, after every file of it was checked against its manifest.

    Parameters
    ----------
    version
        The bundle's name, as `propense shelf list` shows it.
    key
        File of the private key; without it that of [pack] signing_key.
    shelf
        Folder of the shelf; without it the one of the settings.
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
                "no key to sign with: give --key FILE, or set [pack] signing_key; "
                "make one with: propense shelf keygen FILE"
            )
        key = Path(settings.folder) / settings.pack.signing_key
    read_manifest(bundle)
    sign_bundle(bundle, key)
    output.result({"bundle": bundle, "key": key}, f"{version} is signed")


def now() -> str:
    """This moment, for the record of what served when."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _folder(shelf: Path | None, common: Common) -> Path:
    if shelf is not None:
        return shelf
    settings = load_settings(common)
    return Path(settings.folder) / settings.pack.shelf


def _trusted(shelf: Path | None, common: Common) -> tuple[bytes, ...]:
    """Whose signature a bundle needs: as the settings say, where there are any."""
    from propense.security.signing import trusted_keys

    told = shelf is None or common.settings.is_file()
    return trusted_keys(load_settings(common)) if told else ()
