"""A bundle's manifest: its files, and proof that none was changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from propense.errors import BundleError
from propense.files import replace_file
from propense.security.signing import (
    ANY_SIGNER,
    SIGNATURE,
    Signers,
    check_signature,
    read_plain,
    sign_bundle,
)

FORMAT: Final = 10
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
    name: str = ""
    """Its name on the shelf. Like the two below it is outside the hashed content, and signed."""
    project: str = ""
    """The project's name in the settings."""
    counter: int = 0
    """The number in its name: a shelf never gives a number twice, so a smaller one is older."""


def write_manifest(folder: Path, version: str, made: str, items_read: int = 0) -> Manifest:
    """Hash every file below `folder` and write manifest.json; the bundle has the folder's name.

    Raises BundleError where there is anything but plain files and folders.
    """
    files = {name: digest_of(folder / name) for name in sorted(_files(folder))}
    manifest = Manifest(
        FORMAT, version, _content(files), files, made, items_read, folder.name,
        counter=number_of(folder.name),
    )  # fmt: skip
    _write(folder, manifest)
    return manifest


def name_bundle(folder: Path, name: str, project: str | None = None) -> None:
    """State the bundle's name and project in its manifest; None: the project that is there."""
    manifest = decode_manifest(folder)
    named = msgspec.structs.replace(
        manifest, name=name, counter=number_of(name),
        project=manifest.project if project is None else project,
    )  # fmt: skip
    if named != manifest:
        _write(folder, named)


def sign(folder: Path, key: Path, project: str | None = None) -> None:
    """Sign the bundle in `folder` under the folder's name and for `project` (None: the one that it
    names already), with the private key in the file `key`. Every file is checked first.

    Raises BundleError where a file was changed, SettingsError if the key cannot be used.
    """
    read_manifest(folder)
    name_bundle(folder, folder.name, project)
    sign_bundle(folder, key)


def number_of(name: str) -> int:
    """The number in the name of a bundle; 0 for a name without one.

    >>> number_of("v0012")
    12
    """
    return int(name[1:]) if name[:1] == "v" and name[1:].isdecimal() else 0


def _write(folder: Path, manifest: Manifest) -> None:
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    replace_file(folder / FILE, content, private=False)


def read_manifest(folder: Path, verify: bool = True, signers: Signers = ANY_SIGNER) -> Manifest:
    """The manifest of a bundle, every file checked against it.

    What `signers` demands is checked before anything in the manifest is used.
    Raises BundleError naming the file that is missing, changed or not listed.
    """
    manifest = decode_manifest(folder, signers)
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


def decode_manifest(folder: Path, signers: Signers = ANY_SIGNER) -> Manifest:
    """The manifest of a bundle of any format, its files not looked at.

    Raises BundleError where there is none, it cannot be read, or `signers` refuses it: nobody
    signed it, or it was signed under another name or for another project.
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
    if signers.required:
        check_signature(folder, content, signers.keys)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BundleError(
            f"{FILE} of bundle {str(folder)!r} cannot be read: {error}; {_ADVICE}"
        ) from error

    if signers.required:
        _check_name(folder, manifest, signers.project)
    return manifest


def _check_name(folder: Path, manifest: Manifest, project: str | None) -> None:
    """Raises BundleError unless the signed manifest is that of this name and project: an old
    signed bundle must not pass for another one."""
    remedy = f"if it is right here, sign it again with: propense shelf sign {folder.name}"
    if not manifest.name:
        raise BundleError(
            f"the signature of bundle {str(folder)!r} is by an earlier version of propense and "
            f"does not cover its name; {remedy}"
        )
    number = number_of(manifest.name)
    if manifest.name != folder.name or manifest.counter != number:
        raise BundleError(
            f"bundle {str(folder)!r} was signed as {manifest.name[:40]!r}, number "
            f"{manifest.counter}, so it is a copy or was renamed; {remedy}"
        )
    if project is not None and manifest.project != project:
        raise BundleError(
            f"bundle {str(folder)!r} was signed for the project {manifest.project[:80]!r}, the "
            f"settings are of {project[:80]!r}; {remedy}"
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_states(folder: Path, manifest: Manifest) -> list[tuple[int, ...]]:
    """What differs once any file of the bundle was written to or replaced. Raises BundleError."""
    try:
        stats = [os.stat(folder / name) for name in manifest.files]
    except OSError as error:
        raise BundleError(f"bundle {str(folder)!r} cannot be read: {error}; {_ADVICE}") from error
    return [(one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in stats]


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
