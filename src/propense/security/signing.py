"""Ed25519 signatures (RFC 8032) of bundles, which show who packed them.

`manifest.sig` has the 64 bytes of a signature over the bytes of manifest.json, which lists the
SHA-256 of every other file. Keys are PEM files, so that other tools can verify a bundle too:

    openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.sig
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from propense.errors import BundleError, MissingExtraError, SettingsError
from propense.files import replace_file
from propense.settings import Settings

SIGNATURE: Final = "manifest.sig"
SIGNATURE_BYTES: Final = 64
KEY_BYTES: Final = 32
_PEM_BYTES: Final = 65_536
_PUBLIC_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
"""What precedes the 32 bytes of an Ed25519 key in a public key file (RFC 8410)."""


def make_signing_key(file: Path) -> Path:
    """Make a key pair: the private key in `file`, readable by its owner alone, and the public key
    in a file with ".pub" added to the name, which is returned.

    Raises SettingsError if one of them exists already.
    """
    private = _ed25519().Ed25519PrivateKey.generate()
    from cryptography.hazmat.primitives import serialization as forms

    public_file = file.with_name(file.name + ".pub")
    secret = private.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )
    for path, mode, content in (
        (file, 0o600, secret),
        (public_file, 0o644, public_pem(private.public_key().public_bytes_raw())),
    ):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except OSError as error:
            raise SettingsError(
                f"the key {str(path)!r} cannot be made: {error.strerror}; choose another name: an "
                f"existing key is never overwritten"
            ) from error
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
    return public_file


def public_pem(key: bytes) -> bytes:
    """A raw public key of 32 bytes as a PEM file."""
    text = base64.b64encode(_PUBLIC_HEAD + key)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"


def read_public_keys(file: Path) -> tuple[bytes, ...]:
    """The raw public keys of a PEM file, which can have several, old and new.

    Raises SettingsError if it cannot be read, has no key, or one that is not an Ed25519 key.
    """
    try:
        text = read_plain(file, _PEM_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(
            f"the public key {str(file)!r} ([pack] public_key) cannot be read: {error}; "
            f"make a pair with: propense shelf keygen FILE"
        ) from error
    keys = []
    for block in re.findall(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.S):
        try:
            content = base64.b64decode("".join(block.split()), validate=True)
        except binascii.Error:
            content = b""
        if not content.startswith(_PUBLIC_HEAD) or len(content) != len(_PUBLIC_HEAD) + KEY_BYTES:
            raise SettingsError(
                f"{str(file)!r} has a public key that is not an Ed25519 key; "
                f"make a pair with: propense shelf keygen FILE"
            )
        keys.append(content[len(_PUBLIC_HEAD) :])
    if not keys:
        raise SettingsError(
            f"{str(file)!r} ([pack] public_key) has no public key in PEM; use the file that "
            f"ends in .pub, not the private key"
        )
    return tuple(keys)


class Signers(NamedTuple):
    """Who must have signed a bundle before it is used, and for what; without keys nobody."""

    keys: tuple[bytes, ...] = ()
    """Raw public keys, one of which must have signed the manifest."""
    project: str | None = None
    """The project that the manifest must name; None: any."""

    @property
    def required(self) -> bool:
        """Whether a signature is needed at all."""
        return bool(self.keys)


ANY_SIGNER: Final = Signers()


def signers_of(settings: Settings) -> Signers:
    """What [pack] public_key demands of bundles; nothing if it is not set."""
    name = settings.pack.public_key
    if name is None:
        return ANY_SIGNER
    return Signers(read_public_keys(Path(settings.folder) / name), settings.name)


def sign_bundle(folder: Path, key: Path) -> None:
    """Write `manifest.sig` of the bundle in `folder` with the private key in the file `key`.

    Raises SettingsError if the key cannot be used, BundleError if there is no manifest.
    """
    private = _read_private_key(key)
    try:
        content = (folder / "manifest.json").read_bytes()
    except OSError as error:
        raise BundleError(f"{str(folder)!r} cannot be signed: {error}") from error
    replace_file(folder / SIGNATURE, private.sign(content), private=False)


def check_signature(folder: Path, content: bytes, public_keys: Sequence[bytes]) -> None:
    """Raises BundleError unless one of `public_keys` signed `content`, the bundle's manifest."""
    try:
        signature = read_plain(folder / SIGNATURE, SIGNATURE_BYTES)
    except FileNotFoundError as error:
        raise BundleError(
            f"bundle {str(folder)!r} is not signed, but [pack] public_key requires it; sign it "
            f"with: propense shelf sign {folder.name} --key FILE"
        ) from error
    except OSError as error:
        raise BundleError(
            f"{SIGNATURE} of bundle {str(folder)!r} cannot be read: {error}; sign it again"
        ) from error
    if not any(is_signed(content, signature, key) for key in public_keys):
        raise BundleError(
            f"bundle {str(folder)!r} was changed, or signed with a key that is not in [pack] "
            f"public_key; restore it from a copy, or add the key that signed it"
        )


def is_signed(content: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the owner of the raw public key signed exactly this content."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_with_seed(content: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """The signature and the raw public key of the private key `seed` (32 bytes)."""
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
    return private.sign(content), private.public_key().public_bytes_raw()


def _read_private_key(file: Path) -> Any:
    kind = _ed25519().Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_plain(file, _PEM_BYTES, private=True), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            f"the signing key {str(file)!r} cannot be used: {error}; it must be a PEM file "
            f"without a password; make one with: propense shelf keygen FILE"
        ) from error
    if not isinstance(key, kind):
        raise SettingsError(
            f"the signing key {str(file)!r} is not an Ed25519 key; "
            f"make one with: propense shelf keygen FILE"
        )
    return key


def read_plain(file: Path, most: int, private: bool = False) -> bytes:
    """The content of a regular file (not a link) of at most `most` bytes. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("it is not a regular file")
        if private and mode & 0o077:
            raise OSError(f"others can read it (mode {stat.S_IMODE(mode):04o}); chmod 600 {file}")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            content = stream.read(most + 1)
    finally:
        os.close(handle)
    if len(content) > most:
        raise OSError(f"it has more than {most} bytes")
    return content


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise MissingExtraError("serve", "cryptography") from error
    return ed25519
