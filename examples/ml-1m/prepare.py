"""Write the MovieLens 1M sequences as a table of events in order, and the films; for the people
whose times are known also their timed ratings and profiles, for `timed.toml`."""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent


PROFILE = ("user_id", "gender", "age", "occupation")


def prepare(data: Path, out: Path) -> None:
    """Write the four tables to `out`; in events.csv a customer's rows keep their order."""
    out.mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(data / "ml-1m_sas_sequences.txt.gz", "rt", encoding="utf-8") as sequences,
        (out / "events.csv").open("w", encoding="utf-8") as events,
    ):
        events.write("user_id,item_id\n")
        for line in sequences:
            user, *items = line.split()
            events.writelines(f"{user},{item}\n" for item in items)
    pairs = (data / "sas_to_original_items.txt").read_text(encoding="utf-8").split()
    number = dict(zip(pairs[1::2], pairs[::2], strict=True))
    with (
        (data / "movies.dat").open(encoding="latin-1") as films,
        (out / "films.csv").open("w", encoding="utf-8", newline="") as table,
    ):
        rows = csv.writer(table)
        rows.writerow(["item_id", "title", "year", "genres"])
        for line in films:
            film, title, genres = line.rstrip("\n").split("::")
            dated = re.fullmatch(r"(.*?) ?\((\d{4})\)", title)
            name, year = dated.groups() if dated else (title, "")
            if film in number:
                rows.writerow([number[film], name, year, genres])
    timed = set()
    with (
        gzip.open(data / "ratings_users1-2999_with_time.dat.gz", "rt", encoding="utf-8") as ratings,
        (out / "timed.csv").open("w", encoding="utf-8") as events,
    ):
        events.write("user_id,item_id,timestamp\n")
        for line in ratings:
            user, film, _, second = line.strip().split("::")
            timed.add(user)
            if film in number:
                events.write(f"{user},{number[film]},{second}\n")
    with (
        (data / "users.dat").open(encoding="utf-8") as people,
        (out / "users.csv").open("w", encoding="utf-8", newline="") as table,
    ):
        rows = csv.writer(table)
        rows.writerow(PROFILE)
        for line in people:
            row = line.strip().split("::")[: len(PROFILE)]
            if row[0] in timed:
                rows.writerow(row)


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
