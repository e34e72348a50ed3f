"""Write the MovieLens 100k atomic files as plain CSV."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write ratings.csv, users.csv and films.csv to `out`, without the types in the headers."""
    out.mkdir(parents=True, exist_ok=True)
    for name, file in (("ratings", "inter.gz"), ("users", "user"), ("films", "item")):
        table = csv.read_csv(
            data / f"ml-100k.{file}",
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types={"zip_code:token": pa.string()}),
        )
        plain = [column.split(":")[0] for column in table.column_names]
        csv.write_csv(table.rename_columns(plain), out / f"{name}.csv")


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "ml-100k", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
