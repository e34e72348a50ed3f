"""A bundle's table of contents: what it holds, and proof that nothing was changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import BundleError

FORMAT: Final = 5
FILE: Final = "manifest.json"


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


def write_manifest(folder: Path, version: str, made: str) -> Manifest:
    """Take stock of every file below `folder` and write manifest.json."""
    files = {
        str(path.relative_to(folder)): digest_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE
    }
    manifest = Manifest(FORMAT, version, _content(files), files, made)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / FILE).write_bytes(text)
    return manifest


def read_manifest(folder: Path, verify: bool = True) -> Manifest:
    """The manifest of a bundle, every file checked against it.

    Raises BundleError naming the file that is missing, changed or not listed.
    """
    try:
        manifest = msgspec.json.decode((folder / FILE).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise BundleError(
            f"{str(folder)!r} is no bundle: it has no {FILE}; make one with: propense run"
        ) from error
    except msgspec.DecodeError as error:
        raise BundleError(f"{FILE} of bundle {str(folder)!r} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BundleError(
            f"bundle {str(folder)!r} has format {manifest.format}, this version reads {FORMAT}; "
            f"pack it again"
        )
    if verify:
        _verify(folder, manifest)
    return manifest


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verify(folder: Path, manifest: Manifest) -> None:
    advice = "restore the bundle from a copy or pack it again"
    if _content(manifest.files) != manifest.content:
        raise BundleError(f"{FILE} of bundle {str(folder)!r} was changed; {advice}")
    present = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != FILE
    }
    for name in sorted(present - manifest.files.keys()):
        raise BundleError(f"bundle {str(folder)!r} holds {name!r}, which {FILE} does not list")
    for name, digest in manifest.files.items():
        if name not in present:
            raise BundleError(f"bundle {str(folder)!r} lacks {name!r}; {advice}")
        found = digest_of(folder / name)
        if found != digest:
            raise BundleError(
                f"{name!r} of bundle {str(folder)!r} was changed: its SHA-256 is "
                f"{found[:12]}..., the manifest says {digest[:12]}...; {advice}"
            )


def _content(files: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\n".encode())
    return digest.hexdigest()
