"""A receipt says what it said when it was signed, and who signed it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.privacy.receipts import Receipt, Trace, public_key, sign, verify_receipt
from propense.security.secrets import Secrets

SECRETS, OTHERS = Secrets(bytes(range(32))), Secrets(bytes(32))
RECEIPT = Receipt(
    id="r1", time=1_700_000_000_000_000, subject="ab" * 16,
    removed={"live events": 12, "clean/events": 9},
    traces=(Trace(version="v0001", content="c" * 64, made="2025-01-01", until="next training"),),
    outside=("logs/app/*.jsonl.gz",),
)  # fmt: skip


def test_a_signed_receipt_is_true_also_after_a_journey_as_json():
    signed = sign(RECEIPT, SECRETS)
    assert verify_receipt(signed, public_key(SECRETS))
    arrived = msgspec.json.decode(msgspec.json.encode(signed), type=Receipt)
    assert arrived == signed and verify_receipt(arrived, public_key(SECRETS))
    assert sign(signed, SECRETS) == signed


def test_who_did_not_sign_is_not_believed():
    signed = sign(RECEIPT, SECRETS)
    assert not verify_receipt(signed, public_key(OTHERS))
    assert not verify_receipt(RECEIPT, public_key(SECRETS))
    forged = sign(RECEIPT, OTHERS)
    assert not verify_receipt(forged, public_key(SECRETS))
    claimed = msgspec.structs.replace(forged, key=public_key(SECRETS).hex())
    assert not verify_receipt(claimed, public_key(SECRETS))


@given(st.data())
def test_any_other_word_voids_it(data):
    signed = sign(RECEIPT, SECRETS)
    field = data.draw(st.sampled_from(signed.__struct_fields__))
    kinds = {
        "time": st.integers(), "removed": st.dictionaries(st.text(), st.integers(0, 9)),
        "traces": st.just(()), "outside": st.tuples(st.text()),
    }  # fmt: skip
    value = data.draw(kinds.get(field, st.text()))
    changed = msgspec.structs.replace(signed, **{field: value})
    assert verify_receipt(changed, public_key(SECRETS)) == (changed == signed)


@pytest.mark.parametrize("signature", ["", "zz", "00" * 64, "00" * 63])
def test_a_signature_may_be_anything(signature):
    assert not verify_receipt(
        msgspec.structs.replace(sign(RECEIPT, SECRETS), signature=signature), public_key(SECRETS)
    )
