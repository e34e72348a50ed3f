"""Net money is the truth to the cent, on drawn shops with refunds, returns, void orders, totals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from benchmarks.harness.live_service import bundle_folder, serving
from benchmarks.proof import BIN, Proof, measure
from propense.tables.engine.engine import connect
from tests.support.shops.files import draw_shop, net_money
from tests.support.shops.messages import OTHER, RATE, draw_messages

KIND = "quality"
CLAIM = (
    "the account's net money equals the truth to the cent, or a question is asked: from files, "
    "and through the service"
)
SHOPS = 400
LIVE_SHOPS = 200
_CENT = 10_000
"""Micro-units."""
_SETTINGS = f"""
run = "runs/live"
currency = "EUR"
exchange_rates = {{ {OTHER} = {RATE} }}
[sources.live]
events = "live"
"""


def prove() -> Proof:
    """Shops of four kinds from files, then shops of messages; seeds name those that are wrong."""
    wrong, figure = _from_files()
    lost, live = _through_the_service()
    status = "fail" if wrong or lost else "pass"
    return Proof(CLAIM, KIND, status, f"{figure}; {live}", "none wrong")


def _from_files() -> tuple[list[int], str]:
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
    return wrong, f"files: {drawn}: {_wrong(wrong)}"


def _through_the_service() -> tuple[list[int], str]:
    """Messages over HTTP into the live store, which `propense clean` then reads as a source."""
    truth: dict[int, int] = {}
    with bundle_folder() as folder:
        words = ["--set", "currency=EUR", "--set", f"exchange_rates.{OTHER}={RATE}"]
        with serving(folder, *words) as service:
            for seed in range(LIVE_SHOPS):
                batch, truth[seed] = draw_messages(seed)
                status, answer = service.ask("POST", "/v1/batch", {"batch": batch})
                if status != 200:
                    return [seed], f"a batch was refused: {answer}"
        (folder / "live.toml").write_text(_SETTINGS)
        done = measure(
            str(BIN / "propense"), "clean", "--json", "--settings", str(folder / "live.toml")
        )
        if done.code:
            return [0], f"propense clean of the live source failed: {done.tail}"
        account = json.loads(done.output[done.output.index("{") :])
        rows = pq.read_table(folder / "runs/live/clean/events", columns=["user_id", "value"])
    net: Counter[int] = Counter()
    for row in rows.to_pylist():
        net[int(row["user_id"].split("-")[0].removeprefix("shop"))] += row["value"] or 0
    wrong = [seed for seed, cents in truth.items() if net[seed] != cents * _CENT]
    if round(account["money"] * 100) != sum(truth.values()):
        wrong.append(-1)
    return wrong, f"service: {len(truth)} shops, {len(rows):,} events: {_wrong(wrong)}"


def _wrong(seeds: list[int]) -> str:
    return f"{len(seeds)} wrong" + (f" (seeds {seeds[:10]})" if seeds else "")
