"""Signed receipts of erasures: what was removed, and where a trace stays for how long.

A receipt names the customer only by the suppression hash of their id. With the id and the
service's secret the company can show whose receipt it is.
"""

from __future__ import annotations

import msgspec

from propense.security.secrets import Secrets
from propense.security.signing import is_signed, sign_with_seed


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was trained on data with the customer.

    It has nothing of this customer alone: item vectors and counts are sums over all customers.
    """

    version: str
    content: str
    """The hash of the bundle's content."""
    made: str
    until: str
    """When the trace ends: "the next training", or the time of the one that ended it."""


class BackupTrace(msgspec.Struct, frozen=True, kw_only=True):
    """The backups that were made before the erasure; it does not reach them."""

    n: int
    first: str
    last: str
    """When the first and the last of them were made."""
    until: str
    """When the last of them ends, or why none does."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a customer was erased."""

    id: str
    time: int
    """When it was erased, in microseconds UTC."""
    subject: str
    """The suppression hash of the customer's id, hex."""
    removed: dict[str, int] = {}
    """File or part of the store -> rows, events or values removed from it."""
    traces: tuple[Trace, ...] = ()
    backups: BackupTrace | None = None
    """None where none is known, and in receipts of earlier versions."""
    outside: tuple[str, ...] = ()
    """The company's own files and tables, from which the company must remove the customer."""
    key: str = ""
    """The raw public key of the signature, hex."""
    signature: str = ""
    """Ed25519 over the receipt without its signature, hex; see `signed_content`."""


def signed_content(receipt: Receipt) -> bytes:
    """The signed bytes: the receipt as JSON with sorted keys, an empty signature, and without
    backups where there are none."""
    content = msgspec.to_builtins(msgspec.structs.replace(receipt, signature=""))
    if receipt.backups is None:
        del content["backups"]
    return msgspec.json.encode(content, order="sorted")


def sign(receipt: Receipt, secrets: Secrets) -> Receipt:
    """The receipt with the service's signature. Raises MissingExtraError without `cryptography`."""
    seed = secrets.key("receipts")
    _, public = sign_with_seed(b"", seed)
    named = msgspec.structs.replace(receipt, key=public.hex())
    signature, _ = sign_with_seed(signed_content(named), seed)
    return msgspec.structs.replace(named, signature=signature.hex())


def public_key(secrets: Secrets) -> bytes:
    """The raw public key (32 bytes) that verifies the service's receipts of today."""
    return public_keys(secrets)[0]


def public_keys(secrets: Secrets) -> tuple[bytes, ...]:
    """The raw public keys of all receipts that the service ever signed, the present one first."""
    return tuple(sign_with_seed(b"", seed)[1] for seed in secrets.all_keys("receipts"))


def verify_receipt(receipt: Receipt, public_key: bytes) -> bool:
    """Whether the service with this public key signed exactly this receipt.

    The key in the receipt itself is not trusted.
    """
    try:
        signature = bytes.fromhex(receipt.signature)
    except ValueError:
        return False
    return receipt.key == public_key.hex() and is_signed(
        signed_content(receipt), signature, public_key
    )
