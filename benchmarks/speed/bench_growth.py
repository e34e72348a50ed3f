"""Seconds and memory from 10^4 to 10^7 events: `make bench-growth`.

    python -m benchmarks.speed.bench_growth
    python -m benchmarks.speed.bench_growth --sizes 10000 100000

Each size is generated, then cleaned, split and encoded in a process of its own, then trained for
one pass (size base, one network; a pass is at most 2,000,000 events and moments, so that larger
data is learned from by random shares). Written to build/bench/growth.json, growth.md, growth.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.result_tables import format_machine, machine, markdown, write_json
from benchmarks.proof import BIN, ROOT, Measured, measure
from propense.worlds.scaling import generate_events

OUT = ROOT / "build" / "bench"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
TABLES, TRAIN = ("clean", "split", "encode"), "one pass of training"
FOLDERS = {"clean": "clean", "split": "parts", "encode": "encoded"}
COLOURS = {"clean": "#3b6ea8", "split": "#7a9a01", "encode": "#b8860b", TRAIN: "#a83b3b"}
ONE_PASS = ("--set", "train.max_epochs=1", "--set", "model.ensemble=1")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 360, 60, 16, 150, 44


def main() -> None:
    """Measure every size, then write table and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    rows = [measure_size(size) for size in sorted(parser.parse_args().sizes)]
    write_json(OUT / "growth.json", {"machine": machine(), "rows": rows})
    (OUT / "growth.svg").write_text(picture(rows), encoding="utf-8")
    (OUT / "growth.md").write_text(page(rows, machine()), encoding="utf-8")
    print((OUT / "growth.md").read_text())


def measure_size(size: int) -> dict[str, Any]:
    """One size's seconds by stage and largest memory. Raises RuntimeError if a stage fails."""
    world = OUT / "work" / f"growth-{size}"
    shutil.rmtree(world, ignore_errors=True)
    generate_events(world, size)
    tables = _propense(world, "encode")
    stages = {
        name: json.loads((world / "runs" / "main" / folder / "done.json").read_bytes())["seconds"]
        for name, folder in FOLDERS.items()
    }
    trained = _propense(world, "train", *ONE_PASS)
    customer_model = json.loads(
        (world / "runs" / "main" / "training" / "customer_model.json").read_bytes()
    )
    (one,) = customer_model["trainings"]
    stages[TRAIN] = one["curves"][0]["seconds"]
    shutil.rmtree(world)
    return {
        "events": size, "seconds": stages, "rows_learned_from": customer_model["n_rows"],
        "tables_mb": tables.peak_mb, "train_mb": trained.peak_mb,
    }  # fmt: skip


def _propense(world: Path, *words: str) -> Measured:
    done = measure(BIN / "propense", *words, "--quiet", cwd=world)
    if done.code:
        raise RuntimeError(f"propense {words[0]} in {world} ended with {done.code}: {done.tail}")
    return done


def page(rows: Sequence[dict[str, Any]], of: dict[str, Any]) -> str:
    """The table, and how time grows over the last tenfold step."""
    stages = (*TABLES, TRAIN)
    head = ["events", *(f"{name}, s" for name in stages), "events/s of tables",
            "MB of tables", "MB of training"]  # fmt: skip
    cells = [
        [
            f"{row['events']:,}",
            *(round(row["seconds"][name], 1) for name in stages),
            round(row["events"] / sum(row["seconds"][name] for name in TABLES)),
            round(row["tables_mb"]),
            round(row["train_mb"]),
        ]
        for row in rows
    ]
    growth = ""
    if len(rows) > 1:
        last, before = rows[-1], rows[-2]
        times = last["events"] / before["events"]
        grown = sum(last["seconds"][name] for name in TABLES) / sum(
            before["seconds"][name] for name in TABLES
        )
        growth = (
            f"\n\nFrom {before['events']:,} to {last['events']:,} events, {times:.0f} times as "
            f"many, cleaning, splitting and encoding take {grown:.1f} times as long."
        )
    return f"# Growth\n\n{format_machine(of)}.\n\n{markdown(head, cells)}{growth}\n"


def picture(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds against events, both by powers of ten."""
    seconds = [max(value, 0.01) for row in rows for value in row["seconds"].values()]
    low_x, high_x = (math.log10(end) for end in (rows[0]["events"], rows[-1]["events"]))
    low_y, high_y = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))

    def at(events: float, value: float) -> tuple[float, float]:
        x = (math.log10(events) - low_x) / max(high_x - low_x, 1e-9)
        y = (math.log10(max(value, 0.01)) - low_y) / max(high_y - low_y, 1e-9)
        return LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)

    elements = []
    for power in range(low_y, high_y + 1):
        _, y = at(rows[0]["events"], 10.0**power)
        elements.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ccc"/>')
        elements.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    for row in rows:
        x, _ = at(row["events"], 10.0**low_y)
        elements.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{row["events"]:,}</text>'
        )
    for world, (name, colour) in enumerate(COLOURS.items()):
        points = [at(row["events"], row["seconds"][name]) for row in rows]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        elements.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        elements += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points
        ]
        y = TOP + 14 + 18 * world
        elements.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}">{name}</text>')
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    elements.append(f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">events</text>')
    elements.append(f'<text x="6" y="{TOP - 2}">seconds</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="Seconds against events">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{"".join(elements)}</svg>\n'
    )


if __name__ == "__main__":
    main()
