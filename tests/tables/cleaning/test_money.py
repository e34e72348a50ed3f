"""The net of the account is the truth to the cent, whatever is returned, refunded or void."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.tables.engine.engine import TableEngine
from tests.support.shops.files import draw_shop, net_money


@pytest.mark.few(4)
@pytest.mark.parametrize("seed", range(12))
def test_net_money_is_the_truth(duckdb_engine: TableEngine, tmp_path: Path, seed: int) -> None:
    shop = draw_shop(seed)
    account = net_money(shop, tmp_path, duckdb_engine)
    assert account.balances and account.money is not None
    assert round(account.money * 100) == shop.net, shop.kind
