"""Ways in which a bundle may have been damaged or forged, for tests and for a proof.

Each function changes the bundle in `folder` by chance, and returns whether it could. Files are
written as a new file, never changed: a folder may be made of hard links.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from propense import __version__
from propense.inference.artifact.manifest import write_manifest
from propense.security.signing import make_signing_key, sign_bundle

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"

Mutation = Callable[[Path, random.Random], bool]


def link_copy(bundle: Path, folder: Path) -> None:
    """A copy whose files are links to the same content."""
    shutil.copytree(bundle, folder, copy_function=os.link)


def flip_bits(folder: Path, rng: random.Random) -> bool:
    """One to eight bits of one file."""
    file = _any_file(folder, rng)
    content = bytearray(file.read_bytes())
    if not content:
        return False
    for bit in {rng.randrange(8 * len(content)) for _ in range(rng.randint(1, 8))}:
        content[bit // 8] ^= 1 << bit % 8
    return _write(file, bytes(content))


def flip_manifest_bit(folder: Path, rng: random.Random) -> bool:
    """One bit of the manifest."""
    content = bytearray((folder / MANIFEST).read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return _write(folder / MANIFEST, bytes(content))


def flip_signature_bit(folder: Path, rng: random.Random) -> bool:
    """One bit of the signature."""
    content = bytearray((folder / SIGNATURE).read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return _write(folder / SIGNATURE, bytes(content))


def truncate(folder: Path, rng: random.Random) -> bool:
    """The end of a file, manifest or signature."""
    file = rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE])
    content = file.read_bytes()
    return bool(content) and _write(file, content[: rng.randrange(len(content))])


def lengthen(folder: Path, rng: random.Random) -> bool:
    """Bytes behind the end of a file, manifest or signature."""
    file = rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE])
    return _write(file, file.read_bytes() + rng.randbytes(rng.randint(1, 100)))


def add_file(folder: Path, rng: random.Random) -> bool:
    """A file nobody listed; also by the manifest's own name in a lower folder."""
    where = rng.choice([folder, *(path for path in folder.rglob("*") if path.is_dir())])
    name = rng.choice(["extra.json", MANIFEST, SIGNATURE, "notes.json", ".hidden", "model.onnx"])
    return not (where / name).exists() and _write(where / name, rng.randbytes(20))


def add_folder(folder: Path, rng: random.Random) -> bool:
    """An empty folder; the names of some mean something."""
    name = rng.choice(["item_rival", "extra", "encoder/more", "refreshed/x/y"])
    made = folder / name
    if made.exists():
        return False
    made.mkdir(parents=True)
    return True


def remove_file(folder: Path, rng: random.Random) -> bool:
    rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE]).unlink()
    return True


def rename_file(folder: Path, rng: random.Random) -> bool:
    file = _any_file(folder, rng)
    file.rename(file.with_name(rng.choice([file.name + "~", "x" + file.name, file.name.upper()])))
    return True


def swap_files(folder: Path, rng: random.Random) -> bool:
    """Two files under each other's name."""
    one, two = rng.sample(_files(folder), 2)
    first, second = one.read_bytes(), two.read_bytes()
    if first == second:
        return False
    return _write(one, second) and _write(two, first)


def link_file(folder: Path, rng: random.Random) -> bool:
    """A link in a file's place, to the same content, to something else, or to nothing."""
    file = rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE])
    aside = folder.with_name(folder.name + ".kept")
    shutil.move(file, aside)
    target = rng.choice([aside, Path("/etc/hostname"), folder / "nowhere", Path("/dev/zero")])
    file.symlink_to(target)
    return True


def link_folder(folder: Path, rng: random.Random) -> bool:
    """A link in a folder's place, to the same content."""
    inner = rng.choice([path for path in folder.iterdir() if path.is_dir()])
    aside = folder.with_name(folder.name + ".kept")
    shutil.move(inner, aside)
    inner.symlink_to(aside, target_is_directory=True)
    return True


def folder_for_file(folder: Path, rng: random.Random) -> bool:
    """A folder in a file's place, empty or not."""
    file = rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE])
    file.unlink()
    file.mkdir()
    if rng.random() < 0.5:
        (file / "inner").write_bytes(b"x")
    return True


def pipe_for_file(folder: Path, rng: random.Random) -> bool:
    """A pipe, which would keep a reader waiting for ever."""
    file = rng.choice([*_files(folder), folder / MANIFEST, folder / SIGNATURE])
    file.unlink()
    os.mkfifo(file)
    return True


def edit_manifest(folder: Path, rng: random.Random) -> bool:
    """A field of the manifest changed, dropped, or of another kind."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    name = rng.choice(sorted(manifest))
    if rng.random() < 0.3:
        del manifest[name]
    else:
        other: list[Any] = [None, 0, -1, 10**400, "x", [], {}, True, 1.5, {"a": 1}, "\ud800"]
        other = [value for value in other if value != manifest[name]]
        manifest[name] = rng.choice(other)
    return _write(folder / MANIFEST, json.dumps(manifest).encode())


def edit_digest(folder: Path, rng: random.Random) -> bool:
    """A digest of the manifest, with a file to fit or not."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    name = rng.choice(sorted(manifest["files"]))
    manifest["files"][name] = rng.choice(["", "0" * 64, None, "x" * 10_000, 7])
    return _write(folder / MANIFEST, json.dumps(manifest).encode())


def lead_outside(folder: Path, rng: random.Random) -> bool:
    """A name in the manifest that leads out of the bundle, or is no name."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    names = [
        "../secret", "/etc/passwd", "a/../../b", "", ".", "..", "a//b", "./a", "a/", "a\\b",
        "\0", "a\0b", "x" * 5_000, "encoder/../../../etc/passwd", MANIFEST, SIGNATURE, "~/x",
    ]  # fmt: skip
    old = rng.choice(sorted(manifest["files"]))
    manifest["files"][rng.choice(names)] = manifest["files"].pop(old)
    return _write(folder / MANIFEST, json.dumps(manifest).encode())


def bury_manifest(folder: Path, rng: random.Random) -> bool:
    """A manifest that is no manifest: too large, too deep, no JSON, other letters."""
    content = rng.choice([
        b"", b"null", b"[]", b"{", b"[" * 100_000, b'{"files":' * 50_000, b"\xff\xfe\x00",
        b" " * 17_000_000, json.dumps({"format": 1}).encode(), b'{"format": NaN}', b"\0" * 1000,
    ])  # fmt: skip
    return _write(folder / MANIFEST, content)


def forge(folder: Path, rng: random.Random) -> bool:
    """A changed file with a manifest to fit, under the old signature."""
    if not rng.choice([flip_bits, swap_files, rename_file, lengthen_file])(folder, rng):
        return False
    _restate(folder)
    return True


def forge_with_another_key(folder: Path, rng: random.Random) -> bool:
    """A changed file with a manifest to fit, signed by somebody else."""
    if not forge(folder, rng):
        return False
    key = folder.with_name(folder.name + ".key")
    make_signing_key(key)
    sign_bundle(folder, key)
    return True


def forge_without_signature(folder: Path, rng: random.Random) -> bool:
    """A changed file with a manifest to fit, and no signature."""
    if not forge(folder, rng):
        return False
    (folder / SIGNATURE).unlink()
    return True


def lengthen_file(folder: Path, rng: random.Random) -> bool:
    file = _any_file(folder, rng)
    return _write(file, file.read_bytes() + b"\n")


MUTATIONS: Final[tuple[Mutation, ...]] = (
    flip_bits, flip_manifest_bit, flip_signature_bit, truncate, lengthen, add_file, add_folder,
    remove_file, rename_file, swap_files, link_file, link_folder, folder_for_file, pipe_for_file,
    edit_manifest, edit_digest, lead_outside, bury_manifest, forge, forge_with_another_key,
    forge_without_signature,
)  # fmt: skip
SEEN_BY_SIGNATURE_ALONE: Final = (
    flip_signature_bit, forge, forge_with_another_key, forge_without_signature,
)  # fmt: skip


def _files(folder: Path) -> list[Path]:
    own = (folder / MANIFEST, folder / SIGNATURE)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in own)


def _any_file(folder: Path, rng: random.Random) -> Path:
    return rng.choice(_files(folder))


def _write(file: Path, content: bytes) -> bool:
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    return True


def _restate(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    write_manifest(folder, __version__, "2025-01-01T00:00:00+00:00")
