"""Rows that have more cells than their header."""

from __future__ import annotations

import pytest

from propense.errors import SourceError
from propense.tables.sources.text.headers import head_rows, refuse_cut_decimals


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (["id,sku,amount", "1,P1,120,00", "2,P2,37,50", "3,P3,4,95"], True),
        (["id,price,sum", "1,120,00,5,00", "2,37,50,9,05", "3,4,95,1,10"], True),
        (["id,sku,amount", "1,P1,120.00", "2,P2,37.50", "3,P3,4.95"], False),
        (["sku,age,sum", "1,P1,34,12", "2,P2,35,13", "3,P3,36,14"], False),
        (["1,P1,120,00", "2,P2,37,50", "3,P3,4,95", "4,P3,4,95"], False),
    ],
)  # fmt: skip
def test_a_comma_that_is_delimiter_and_decimal_sign(lines: list[str], refused: bool) -> None:
    rows = head_rows("\n".join(lines).encode(), ",", quoted=True)
    if refused:
        with pytest.raises(SourceError, match="the delimiter is the decimal sign too"):
            refuse_cut_decimals(rows, "log.csv")
    else:
        refuse_cut_decimals(rows, "log.csv")
