"""Net money is the truth to the cent, on drawn shops with refunds, returns, void orders, totals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.proof import Proof
from propense.tables.engine.engine import connect
from tests.support.shops import draw_shop, net_money

KIND = "quality"
CLAIM = "the account's net money equals the truth to the cent"
SHOPS = 400


def prove() -> Proof:
    """Shops of four kinds, each from its own seed; wrong ones are named by it."""
    wrong, kinds = [], Counter[str]()
    for seed in range(SHOPS):
        shop = draw_shop(seed)
        kinds[shop.kind] += 1
        with TemporaryDirectory() as name:
            engine = connect("duckdb", Path(name) / "scratch")
            account = net_money(shop, Path(name) / "shop", engine)
            engine.con.disconnect()
        if account.money is None or round(account.money * 100) != shop.net:
            wrong.append(seed)
    drawn = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    figure = f"{drawn}: {len(wrong)} wrong" + (f" (seeds {wrong[:10]})" if wrong else "")
    return Proof(CLAIM, KIND, "fail" if wrong else "pass", figure, "none wrong")
