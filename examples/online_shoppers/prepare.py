"""Give the sessions of the UCI Online Shoppers table an id."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write sessions.csv to `out`: the table in `data` with a session_id before its columns."""
    out.mkdir(parents=True, exist_ok=True)
    lines = (data / "online_shoppers_intention.csv").read_text(encoding="utf-8").splitlines()
    header, *rows = (line.replace(";", ",") for line in lines)
    numbered = [f"session_id,{header}", *(f"s{i:05d},{row}" for i, row in enumerate(rows))]
    (out / "sessions.csv").write_text("\n".join(numbered) + "\n", encoding="utf-8")


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "online_shoppers", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
