"""Link the IBM Telco customer churn table into ./data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Link customers.csv in `out` to the table in `data`."""
    out.mkdir(parents=True, exist_ok=True)
    link = out / "customers.csv"
    link.unlink(missing_ok=True)
    link.symlink_to((data / "WA_Fn-UseC_-Telco-Customer-Churn.csv").resolve())


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "telco_churn", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
