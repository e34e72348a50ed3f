"""Link the UCI Online Retail lines, and write the articles and customers they tell of."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Link lines.csv.gz in `out` to `data`; write items.csv and users.csv from the lines."""
    out.mkdir(parents=True, exist_ok=True)
    raw = data / "online_retail.csv.gz"
    link = out / "lines.csv.gz"
    link.unlink(missing_ok=True)
    link.symlink_to(raw.resolve())
    names = ("StockCode", "Description", "CustomerID", "Country")
    lines = csv.read_csv(
        raw,
        convert_options=csv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
        ),
    )
    csv.write_csv(most_frequent(lines, "StockCode", "Description"), out / "items.csv")
    csv.write_csv(most_frequent(lines, "CustomerID", "Country"), out / "users.csv")


def most_frequent(lines: pa.Table, key: str, word: str) -> pa.Table:
    """One row a `key`: the `word` most of its lines have, of equals the first in the alphabet."""
    pairs = lines.select([key, word]).drop_null()
    counted = pairs.group_by([key, word]).aggregate([([], "count_all")])
    ranked = counted.sort_by([(key, "ascending"), ("count_all", "descending"), (word, "ascending")])
    best = ranked.group_by(key, use_threads=False).aggregate([(word, "first")])
    return best.rename_columns({f"{word}_first": word}).sort_by(key)


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "online_retail", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
