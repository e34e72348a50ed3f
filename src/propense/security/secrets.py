"""The one secret of a service, and the keys derived from it.

It stands in the environment (PROPENSE_SECRET) or in the file `secret` of the data folder, made
on first use. Keys for single purposes are derived by HKDF-SHA256 (RFC 5869), so that what one of
them reveals says nothing about the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from propense.errors import ServeError
from propense.files import sync, write_new

FILE: Final = "secret"
FINGERPRINT: Final = "secret.key_id"
VARIABLE: Final = "PROPENSE_SECRET"
N_BYTES: Final = 32

Purpose = Literal["keys", "suppression", "pseudonyms", "audit", "webhooks", "receipts"]
_ADVICE = f"make one with: python -c 'import secrets; print(secrets.token_hex({N_BYTES}))'"


class Secrets:
    """Keys derived from one root secret of 32 bytes; the same root gives the same keys."""

    def __init__(self, root: bytes) -> None:
        if len(root) != N_BYTES:
            raise ValueError(f"the root secret must have {N_BYTES} bytes, got {len(root)}")
        self._root = root

    def __repr__(self) -> str:
        return "Secrets(...)"

    def key(self, purpose: Purpose) -> bytes:
        """The 32-byte key of one purpose."""
        return derive(self._root, f"propense {purpose}".encode())

    @property
    def fingerprint(self) -> str:
        """Names the root without giving it away."""
        return derive(self._root, b"propense fingerprint")[:8].hex()


def open_secrets(folder: Path, environ: Mapping[str, str] = os.environ) -> Secrets:
    """The secrets of the service whose data stand in `folder`; made on first use.

    Raises ServeError where the secret is no 32 bytes, may be read by others, or is another one
    than the data were written with: keys, suppressed customers and the audit log hang on it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    given = environ.get(VARIABLE, "")
    secrets = Secrets(_decode(given, VARIABLE) if given else _read_or_make(folder / FILE))
    file = folder / FINGERPRINT
    try:
        write_new(file, f"{secrets.fingerprint}\n".encode())
    except FileExistsError:
        known = file.read_text("ascii", "replace").strip()
        if known and known != secrets.fingerprint:
            raise ServeError(
                f"the secret is not the one that {str(folder)!r} was written with (fingerprint "
                f"{secrets.fingerprint}, expected {known[:16]}): its API keys, suppressed "
                f"customers and audit log would be void; give the old secret in {VARIABLE} or in "
                f"the file {FILE!r}, or remove {str(file)!r} to go on without them"
            ) from None
    return secrets


def derive(root: bytes, info: bytes, salt: bytes = b"", n_bytes: int = N_BYTES) -> bytes:
    """HKDF-SHA256 of RFC 5869: `n_bytes` (at most 8,160) for the purpose `info`."""
    size = hashlib.sha256().digest_size
    if not 0 < n_bytes <= 255 * size:
        raise ValueError(f"n_bytes must be in 1 to {255 * size}, got {n_bytes}")
    extracted = hmac.digest(salt or bytes(size), root, "sha256")
    made, block = b"", b""
    for count in range(1, -(-n_bytes // size) + 1):
        block = hmac.digest(extracted, block + info + bytes([count]), "sha256")
        made += block
    return made[:n_bytes]


def _read_or_make(file: Path) -> bytes:
    if not file.exists() and not file.is_symlink():
        fresh = file.with_name(f"{FILE}.{os.getpid()}.unfinished")
        fresh.unlink(missing_ok=True)
        write_new(fresh, f"{os.urandom(N_BYTES).hex()}\n".encode())
        try:
            os.link(fresh, file)  # whole at once; of two processes, one
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync(file.parent)
    return _decode(_read_private(file), str(file))


def _read_private(file: Path) -> str:
    """Text of a file that is its owner's alone."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ServeError(
            f"the secret {str(file)!r} cannot be read: {error.strerror}; it must be a plain file "
            f"of the user that serves; restore it from a backup"
        ) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ServeError(
                f"the secret {str(file)!r} is no plain file of the user that serves "
                f"(uid {os.geteuid()}, the file's {found.st_uid}); run: chown {os.geteuid()} {file}"
            )
        if found.st_mode & 0o077:
            raise ServeError(
                f"the secret {str(file)!r} has mode {stat.S_IMODE(found.st_mode):04o}: others may "
                f"read it; run: chmod 600 {file}, and change the secret if others could see it"
            )
        return os.read(handle, 1024).decode("ascii", "replace")
    finally:
        os.close(handle)


def _decode(text: str, where: str) -> bytes:
    """32 bytes from hex or base64, also of the URL alphabet."""
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
