"""A bundle's manifest: its files, and proof that none was changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from propense.errors import BundleError
from propense.security.signing import SIGNATURE, check_signature, read_plain

FORMAT: Final = 8
FILE: Final = "manifest.json"
_ADVICE: Final = "restore the bundle from a copy or pack it again"
MANIFEST_BYTES: Final = 16_000_000
"""Largest manifest; a bundle has tens of files, not a hundred thousand."""


class Manifest(msgspec.Struct, frozen=True):
    """Written last. `content` is the same for the same content, whenever it was made."""

    format: int
    propense: str
    content: str
    """SHA-256 over every file's name and digest."""
    files: dict[str, str]
    """Path within the bundle -> SHA-256."""
    made: str
    """UTC, outside the hashed content."""
    items_read: int = 0
    """When the catalogue was read, microseconds UTC: later item updates are newer."""


def write_manifest(folder: Path, version: str, made: str, items_read: int = 0) -> Manifest:
    """Hash every file below `folder` and write manifest.json.

    Raises BundleError where there is anything but plain files and folders.
    """
    files = {name: digest_of(folder / name) for name in sorted(_files(folder))}
    manifest = Manifest(FORMAT, version, _content(files), files, made, items_read)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / FILE).write_bytes(text)
    return manifest


def read_manifest(folder: Path, verify: bool = True, public_keys: Sequence[bytes] = ()) -> Manifest:
    """The manifest of a bundle, every file checked against it.

    With `public_keys` (raw Ed25519 keys, see `signing.trusted_keys`) one of them must have signed
    the manifest; that is checked before anything in it is used.
    Raises BundleError naming the file that is missing, changed or not listed.
    """
    manifest = decode_manifest(folder, public_keys)
    if manifest.format != FORMAT:
        raise BundleError(format_error(folder, manifest))
    if verify:
        try:
            _verify(folder, manifest)
        except OSError as error:
            raise BundleError(
                f"bundle {str(folder)!r} cannot be read: {error}; {_ADVICE}"
            ) from error
    return manifest


def format_error(folder: Path, manifest: Manifest) -> str:
    """Why a bundle of another format cannot serve, and the remedy; empty for this format."""
    if manifest.format == FORMAT:
        return ""
    remedy = (
        "make it again with: propense run"
        if manifest.format < FORMAT
        else "install that version, or make the bundle again with: propense run"
    )
    return (
        f"bundle {str(folder)!r} was written by propense {manifest.propense} in format "
        f"{manifest.format}, this version reads format {FORMAT}; {remedy}"
    )


def decode_manifest(folder: Path, public_keys: Sequence[bytes] = ()) -> Manifest:
    """The manifest of a bundle of any format, its files not looked at.

    Raises BundleError where there is none, it cannot be read, or none of `public_keys` signed it.
    """
    try:
        content = read_plain(folder / FILE, MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise BundleError(
            f"{str(folder)!r} is not a bundle: it has no {FILE}; make one with: propense run"
        ) from error
    except OSError as error:
        raise BundleError(
            f"{FILE} of bundle {str(folder)!r} cannot be read: {error}; {_ADVICE}"
        ) from error
    if public_keys:
        check_signature(folder, content, public_keys)
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BundleError(
            f"{FILE} of bundle {str(folder)!r} cannot be read: {error}; {_ADVICE}"
        ) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(folder: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        if not _is_within(name):
            raise BundleError(
                f"{FILE} of bundle {str(folder)!r} names {name[:200]!r}, which is not a path "
                f"within the bundle; {_ADVICE}"
            )
    if _content(manifest.files) != manifest.content:
        raise BundleError(f"{FILE} of bundle {str(folder)!r} was changed; {_ADVICE}")
    present = set(_files(folder))
    for name in sorted(present - manifest.files.keys()):
        raise BundleError(
            f"bundle {str(folder)!r} holds {name!r}, which {FILE} does not list; {_ADVICE}"
        )
    for name, digest in manifest.files.items():
        if name not in present:
            raise BundleError(f"bundle {str(folder)!r} lacks {name!r}; {_ADVICE}")
        actual = digest_of(folder / name)
        if actual != digest:
            raise BundleError(
                f"{name!r} of bundle {str(folder)!r} was changed: its SHA-256 is "
                f"{actual[:12]}..., the manifest says {digest[:12]}...; {_ADVICE}"
            )


def _files(folder: Path) -> Iterator[str]:
    """Path within the bundle of every file but manifest and signature.

    Raises BundleError on links, devices and empty folders: only hashed files may be opened, and the
    presence of a folder has a meaning.
    """
    waiting = [""]
    while waiting:
        within = waiting.pop()
        n_entries = 0
        with os.scandir(folder / within) as entries:
            for entry in entries:
                n_entries += 1
                name = f"{within}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                elif not entry.is_file(follow_symlinks=False):
                    kind = "a link" if entry.is_symlink() else "neither a file nor a folder"
                    raise BundleError(
                        f"bundle {str(folder)!r} holds {name!r}, which is {kind}; a bundle has "
                        f"plain files only: restore it from a copy or pack it again"
                    )
                elif name not in (FILE, SIGNATURE):
                    yield name
        if not n_entries and within:
            raise BundleError(
                f"bundle {str(folder)!r} holds {within!r}, an empty folder that {FILE} does not "
                f"list; {_ADVICE}"
            )


def _is_within(name: str) -> bool:
    """Whether a name is the canonical path of a file below the bundle."""
    path = PurePosixPath(name)
    plain = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return plain and str(path) == name and "\0" not in name and "\\" not in name


def _content(files: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\n".encode())
    return digest.hexdigest()
