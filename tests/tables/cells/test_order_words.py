"""What the words of a status say, in the languages of shops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.tables.cells.order_words import order_state, status_columns, status_question

PAID = (
    "paid completed processing shipped delivered succeeded wc-completed bezahlt Versendet payé "
    "pagado pagato betaald 已支付 交易成功 卖家已发货 支払済み partially_refunded Awaiting_Shipment"
).split()
OUT = (
    "pending offen open unpaid on-hold awaiting draft 待付款 未支付 abandoned expired declined "
    "denied チャージバック voided cancelled failed storniert refunded not_paid unbezahlt annulé "
    "交易关闭 等待买家付款 chargeback"
).split()


@pytest.mark.parametrize("word", PAID)
def test_what_is_paid(word: str) -> None:
    assert order_state(word) == "paid"


@pytest.mark.parametrize("word", OUT)
def test_what_is_not_paid(word: str) -> None:
    assert order_state(word) in ("void", "returned")


@given(
    st.sets(st.sampled_from(PAID), min_size=1), st.sets(st.sampled_from(OUT), min_size=1),
    st.sets(st.sampled_from(("gold", "xyz", "zz9")), max_size=1),
    st.sampled_from(("Zahlungsstatus", "col7", "状态", "Bemerkung")),
)  # fmt: skip
def test_the_offered_rows_are_paid_and_every_word_is_listed(
    paid: set[str], out: set[str], unknown: set[str], column: str
) -> None:
    words = paid | out | unknown
    assert status_columns({column: words, "city": {"Rome", "Oslo"}}) == [column]
    question = status_question("sources.s.where", column, dict.fromkeys(words, (2, 10.0)))
    assert question is not None
    assert question.choices[0].value == {column: sorted(paid)}
    assert all(repr(word) in question.sentence for word in words)
    assert question.choices[-1].value == {}
    for word in unknown:
        assert f"not known: {word!r}" in question.sentence


def test_a_column_without_unpaid_orders_is_no_question() -> None:
    assert status_columns({"status": {"paid", "shipped"}, "kind": {"view", "open"}}) == []
