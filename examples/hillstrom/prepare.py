"""Copy Hillstrom's e-mail experiment into ./data, a customer a row, with numbers as names."""

from __future__ import annotations

import argparse
import csv
import gzip
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write customers.csv in `out`: the rows of `data`, in their order, with a `customer_id`."""
    out.mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(data / "hillstrom.csv.gz", "rt", encoding="utf-8", newline="") as source,
        (out / "customers.csv").open("w", encoding="utf-8", newline="") as target,
    ):
        rows, writer = csv.reader(source), csv.writer(target)
        writer.writerow(["customer_id", *next(rows)])
        writer.writerows([number, *row] for number, row in enumerate(rows, start=1))


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "hillstrom", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
