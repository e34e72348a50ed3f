"""The one secret of a service, and the keys derived from it.

It comes from the environment (PROPENSE_SECRET) or from the file `secret` of the data folder,
which is made on first use. Keys for single purposes are derived by HKDF-SHA256 (RFC 5869), so
that one that leaks says nothing about the others.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from propense.errors import MissingExtraError, ServeError
from propense.files import locked, private_folder, rename, replace_file, sync, write_new

FILE: Final = "secret"
KEY_ID: Final = "secret.key_id"
"""File with the id of the secret that the data were written with."""
_OLD_KEY_ID: Final = "secret.fingerprint"
"""The same file, as version 0.1 named it."""
_LOCK: Final = "secret.lock"
_LOG_BEGAN: Final = "audit"
"""The second line of that file once the audit log began."""
VARIABLE: Final = "PROPENSE_SECRET"
N_BYTES: Final = 32

Purpose = Literal["keys", "suppression", "pseudonyms", "audit", "webhooks", "receipts"]
_ADVICE = f"make one with: python -c 'import secrets; print(secrets.token_hex({N_BYTES}))'"


class Roll(msgspec.Struct, frozen=True):
    """The last time that the key of a purpose was rolled."""

    generation: int = 0
    """How often it was."""
    at: int = 0
    """Microseconds UTC."""
    until: int = 0
    """Before this time the key before stays valid."""


class Secrets:
    """Keys derived from one root secret of 32 bytes; the same root gives the same keys."""

    def __init__(self, root: bytes) -> None:
        """Nothing is rolled until `follow` says so."""
        if len(root) != N_BYTES:
            raise ValueError(f"the root secret must have {N_BYTES} bytes, got {len(root)}")
        self._root = root
        self._rolls: dict[str, Roll] = {}

    def __repr__(self) -> str:
        return "Secrets(...)"

    def key(self, purpose: Purpose) -> bytes:
        """The 32-byte key of one purpose, of its present generation."""
        return self.of_generation(purpose, self.roll_of(purpose).generation)

    def keys(self, purpose: Purpose, now: int) -> tuple[bytes, ...]:
        """The present key, and the one before it as long as that stays valid beside it."""
        roll = self.roll_of(purpose)
        both = roll.generation > 0 and now < roll.until
        present = roll.generation
        return tuple(self.of_generation(purpose, one) for one in (present, present - 1)[: 1 + both])

    def all_keys(self, purpose: Purpose) -> tuple[bytes, ...]:
        """The keys of every generation, the present one first."""
        present = self.roll_of(purpose).generation
        return tuple(self.of_generation(purpose, one) for one in range(present, -1, -1))

    def of_generation(self, purpose: Purpose, generation: int) -> bytes:
        """The key of one generation; 0 is the first."""
        suffix = f" {generation}" if generation else ""
        return derive(self._root, f"propense {purpose}{suffix}".encode())

    def roll_of(self, purpose: Purpose) -> Roll:
        """The last roll of a purpose."""
        return self._rolls.get(purpose, Roll())

    def follow(self, rolls: Mapping[str, Roll]) -> None:
        """Take over what was rolled, here or by another process."""
        self._rolls = dict(rolls)

    @property
    def key_id(self) -> str:
        """16 hexadecimal digits that identify the root without revealing it."""
        return derive(self._root, b"propense fingerprint")[:8].hex()


def open_secrets(folder: Path, environ: Mapping[str, str] = os.environ) -> Secrets:
    """The secrets of the service with the data folder `folder`; made on first use.

    Raises ServeError where others can open the folder, where the secret is not 32 bytes, can be
    read by others, or differs from the one that the data were written with: keys, suppressed
    customers and the audit log depend on it.
    """
    private_folder(folder)
    text = environ.get(VARIABLE, "")
    secrets = Secrets(_decode(text, VARIABLE) if text else _read_or_make(folder / FILE))
    _rename_old_key_id(folder)
    file = folder / KEY_ID
    try:
        write_new(file, f"{secrets.key_id}\n".encode())
    except FileExistsError:
        expected = read_key_id(file)
        if expected and expected != secrets.key_id:
            raise ServeError(
                f"the secret is not the one that {str(folder)!r} was written with (key id "
                f"{secrets.key_id}, expected {expected[:16]}): its API keys, suppressed customers "
                f"and audit log would be void; put the old secret into {VARIABLE} or the file "
                f"{FILE!r}, or remove {str(file)!r} to go on without them"
            ) from None
    return secrets


def key_id_file(folder: Path) -> Path:
    """The file with the key id in a data folder or a backup, also where version 0.1 wrote it."""
    file, old = folder / KEY_ID, folder / _OLD_KEY_ID
    return old if old.exists() and not file.exists() else file


def read_key_id(file: Path) -> str:
    """The key id in a file; empty where it has none."""
    return file.read_text("ascii", "replace").partition("\n")[0].strip()


def log_began(folder: Path) -> bool:
    """Whether the service of this data folder has had an audit log: the key id file outlives it."""
    file = key_id_file(folder)
    return file.exists() and _LOG_BEGAN in file.read_text("ascii", "replace").splitlines()[1:]


def note_log(folder: Path) -> None:
    """Note that the audit log began, if there is a key id and it is not noted."""
    file = folder / KEY_ID
    if file.exists() and not log_began(folder):
        replace_file(file, f"{read_key_id(file)}\n{_LOG_BEGAN}\n".encode())


def _rename_old_key_id(folder: Path) -> None:
    """Give the file that version 0.1 wrote its present name."""
    if key_id_file(folder).name == _OLD_KEY_ID:
        with locked(folder / _LOCK):
            if key_id_file(folder).name == _OLD_KEY_ID:
                rename(folder / _OLD_KEY_ID, folder / KEY_ID)


def derive(root: bytes, info: bytes, salt: bytes = b"", n_bytes: int = N_BYTES) -> bytes:
    """HKDF-SHA256 of RFC 5869: `n_bytes` (at most 8,160) for the purpose `info`.

    Raises MissingExtraError without `cryptography`.
    """
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ModuleNotFoundError as error:
        raise MissingExtraError("serve", "cryptography") from error
    return HKDF(SHA256(), n_bytes, salt, info).derive(root)


def _read_or_make(file: Path) -> bytes:
    if not file.exists() and not file.is_symlink():
        fresh = file.with_name(f"{FILE}.{os.getpid()}.unfinished")
        fresh.unlink(missing_ok=True)
        write_new(fresh, f"{os.urandom(N_BYTES).hex()}\n".encode())
        try:
            os.link(fresh, file)  # the file appears whole; of two processes only one makes it
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync(file.parent)
    return _decode(_read_private(file), str(file))


def _read_private(file: Path) -> str:
    """The text of a file that only its owner can read."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ServeError(
            f"the secret {str(file)!r} cannot be read: {error.strerror}; it must be a regular "
            f"file of the user that runs the service; restore it from a backup"
        ) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise ServeError(
                f"the secret {str(file)!r} is not a regular file of the user that runs the "
                f"service (uid {os.geteuid()}, the file's {status.st_uid}); run: "
                f"chown {os.geteuid()} {file}"
            )
        if status.st_mode & 0o077:
            raise ServeError(
                f"the secret {str(file)!r} has mode {stat.S_IMODE(status.st_mode):04o}, so others "
                f"can read it; run: chmod 600 {file}, and change the secret if it may be known"
            )
        return os.read(handle, 1024).decode("ascii", "replace")
    finally:
        os.close(handle)


def _decode(text: str, where: str) -> bytes:
    """32 bytes from hex or base64, in the plain or the URL alphabet."""
    text = text.strip()
    try:
        if len(text) == 2 * N_BYTES:
            return bytes.fromhex(text)
        plain = text.replace("-", "+").replace("_", "/").rstrip("=")
        root = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        root = b""
    if len(root) != N_BYTES:
        raise ServeError(
            f"the secret in {where} is not {N_BYTES} bytes as hex or base64 (it has "
            f"{len(text)} characters); {_ADVICE}"
        )
    return root
