"""Write the MovieLens 1M sequences as a table of events in order."""

from __future__ import annotations

import argparse
import gzip
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write events.csv to `out`; a customer's rows keep their order."""
    out.mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(data / "ml-1m_sas_sequences.txt.gz", "rt", encoding="utf-8") as sequences,
        (out / "events.csv").open("w", encoding="utf-8") as events,
    ):
        events.write("user_id,item_id\n")
        for line in sequences:
            user, *items = line.split()
            events.writelines(f"{user},{item}\n" for item in items)


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "ml-1m", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
