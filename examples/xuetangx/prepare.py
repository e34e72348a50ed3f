"""Write the KDD Cup 2015 enrolments as events, profiles and dated labels."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write events.parquet, users.csv and labels.csv to `out`, of the enrolments with daily events.

    A day's count of one type is one event at the start of the day; an enrolment's label is as of
    30 days after its first day.
    """
    out.mkdir(parents=True, exist_ok=True)
    days = pq.read_table(data / "daily_events.parquet")
    days = days.set_column(0, "user_id", days["enrollment_id"].cast(pa.int64()))
    days = days.drop_columns("course").append_column("course", days["course"].cast(pa.string()))
    kinds = [name for name in days.column_names if name.startswith("event_")]
    pq.write_table(pa.concat_tables(of_one_kind(days, kind) for kind in kinds),
                   out / "events.parquet")  # fmt: skip

    first = days.group_by("user_id").aggregate([("time", "min"), ("course", "min")])
    first = first.rename_columns({"time_min": "first_day", "course_min": "course"})
    enrolled = [data / "enrollTime_train.csv.gz", data / "enrollTime_test.csv.gz"]
    users = joined(first, enrolled, {"time": "enrolled"})
    starts = [data / "enrollment_course_start_time.csv.gz"]
    users = joined(users, starts, {"course_start_time": "course_start"})
    late = pc.subtract(users["enrolled"].cast("int64"), users["course_start"].cast("int64"))
    users = users.append_column("enrolled_days_after_start", pc.divide(late.cast("double"), 86_400))
    users = users.select(["user_id", "course", "enrolled", "enrolled_days_after_start"])
    csv.write_csv(users.sort_by("user_id"), out / "users.csv")

    labels = joined(first, [data / "truth_train.csv.gz"], {"label": "dropout"})
    month = pa.scalar(30 * 86_400_000_000, pa.duration("us"))
    labels = labels.append_column("as_of", pc.add(labels["first_day"], month))
    labels = labels.select(["user_id", "as_of", "dropout"]).sort_by("user_id")
    csv.write_csv(labels, out / "labels.csv")


def of_one_kind(days: pa.Table, kind: str) -> pa.Table:
    """The days with any event of the kind, as events with a count."""
    some = days.filter(pc.greater(days[kind], 0))
    action = pa.array([kind.removeprefix("event_")] * some.num_rows, pa.string())
    columns = [some["user_id"], action, some["time"], some[kind]]
    return pa.table(columns, names=["user_id", "action", "event_time", "count"])


def joined(left: pa.Table, paths: list[Path], names: dict[str, str]) -> pa.Table:
    """`left` with columns of files, keyed by enrollment_id and renamed."""
    right = pa.concat_tables(csv.read_csv(path) for path in paths)
    right = right.rename_columns({"enrollment_id": "user_id", **names})
    return left.join(right, "user_id", join_type="left outer")


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "xuetangx", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
