"""Keyed names: the same for the same id, and nothing to be learned from them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from propense.privacy.pseudonyms import Pseudonyms
from propense.security.secrets import Secrets

ONE, OTHER = Pseudonyms(Secrets(bytes(32))), Pseudonyms(Secrets(bytes(range(32))))


@given(st.text(), st.text())
def test_names_are_stable_and_apart(one, two):
    for name in (ONE.suppression_hash, ONE.pseudonym):
        assert name(one) == name(one)
        assert (name(one) == name(two)) == (one == two)


def test_shape_and_key():
    assert len(ONE.suppression_hash("u-1")) == 16
    assert re.fullmatch(r"p-[A-Za-z0-9_-]{22}", ONE.pseudonym("u-1"))
    assert ONE.suppression_hash("u-1") != OTHER.suppression_hash("u-1")
    assert ONE.pseudonym("u-1") != OTHER.pseudonym("u-1")


def test_ids_of_an_integration_test_and_lone_surrogates():
    assert ONE.pseudonym("verify:7") == "verify:7"
    assert ONE.pseudonym("\ud800").startswith("p-") and len(ONE.suppression_hash("\ud800")) == 16
