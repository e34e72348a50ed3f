"""Receipts of erasures: what was removed, where a trace stays and until when, signed.

A receipt names the customer only by the mark that refuses them from now on; the company can show
whose it is as long as it knows the id and the service's secret.
"""

from __future__ import annotations

import msgspec

from propense.security.secrets import Secrets
from propense.security.signing import is_signed, sign_with_seed


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was trained while the customer was in its data.

    It holds nothing of theirs by itself; item vectors and counts are sums over all customers.
    """

    version: str
    content: str
    """Hash of the bundle's content."""
    made: str
    until: str
    """What ends the trace: "the next training" or the moment of one that ended it."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a customer was erased."""

    id: str
    time: int
    """Of the erasure, in microseconds UTC."""
    subject: str
    """The mark of the customer's id, hex."""
    removed: dict[str, int] = {}
    """Place -> rows, events or values removed there."""
    traces: tuple[Trace, ...] = ()
    outside: tuple[str, ...] = ()
    """Sources outside of what propense keeps: the company's own files and tables, from which
    the customer must be removed by their owner."""
    key: str = ""
    """The raw public key that signed, hex."""
    signature: str = ""
    """Ed25519 over the receipt without signature, hex; see `signed_content`."""


def signed_content(receipt: Receipt) -> bytes:
    """The bytes that are signed: the receipt as JSON with sorted keys and an empty signature."""
    return msgspec.json.encode(msgspec.structs.replace(receipt, signature=""), order="sorted")


def sign(receipt: Receipt, secrets: Secrets) -> Receipt:
    """The receipt with the service's signature. Raises MissingExtraError without `cryptography`."""
    seed = secrets.key("receipts")
    _, public = sign_with_seed(b"", seed)
    named = msgspec.structs.replace(receipt, key=public.hex())
    signature, _ = sign_with_seed(signed_content(named), seed)
    return msgspec.structs.replace(named, signature=signature.hex())


def public_key(secrets: Secrets) -> bytes:
    """The raw public key (32 bytes) that the service's receipts are checked with."""
    return sign_with_seed(b"", secrets.key("receipts"))[1]


def verify_receipt(receipt: Receipt, public_key: bytes) -> bool:
    """Whether the service with this public key signed exactly this receipt.

    The key that the receipt itself names is not believed.
    """
    try:
        signature = bytes.fromhex(receipt.signature)
    except ValueError:
        return False
    return receipt.key == public_key.hex() and is_signed(
        signed_content(receipt), signature, public_key
    )
