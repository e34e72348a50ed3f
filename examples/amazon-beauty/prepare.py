"""Write the Amazon Beauty sequences as a table of events in order, and the items' attributes."""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write events.csv and items.csv to `out`; attributes become tokens such as "a12|a7"."""
    out.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with (
        gzip.open(data / "Beauty.txt.gz", "rt", encoding="utf-8") as sequences,
        (out / "events.csv").open("w", encoding="utf-8") as events,
    ):
        events.write("user_id,item_id\n")
        for line in sequences:
            user, *items = line.split()
            seen.update(items)
            events.writelines(f"{user},{item}\n" for item in items)
    with gzip.open(data / "Beauty_item2attributes.json.gz", "rt", encoding="utf-8") as stream:
        attributes: dict[str, list[int]] = json.load(stream)
    with (out / "items.csv").open("w", encoding="utf-8") as table:
        table.write("item_id,attributes\n")
        for item in sorted(seen, key=int):
            tokens = "|".join(f"a{attribute}" for attribute in attributes.get(item, []))
            table.write(f"{item},{tokens}\n")


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "amazon-beauty", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
