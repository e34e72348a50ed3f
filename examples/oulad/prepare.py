"""Write the Open University's records as students-in-a-presentation with dated events."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

STARTS = {"B": (2, 1), "J": (10, 1)}
PLACE = ["code_module", "code_presentation"]
PERSON = [*PLACE, "id_student"]

HERE = Path(__file__).resolve().parent


def prepare(data: Path, out: Path) -> None:
    """Write events.csv, users.csv and items.csv to `out`.

    Days count from the start of a presentation, which is set to 1 February (B) or 1 October (J) of
    its year. Submissions carried over from an earlier presentation (is_banked) are left out.
    """
    out.mkdir(parents=True, exist_ok=True)
    students = csv.read_csv(data / "student.csv.gz")
    registered = csv.read_csv(data / "student_registration.csv.gz").join(
        csv.read_csv(data / "course.csv"), PLACE
    )
    assessments = csv.read_csv(data / "assessment.csv")
    submitted = csv.read_csv(data / "student_assessment.csv.gz").join(assessments, "id_assessment")
    submitted = submitted.filter(pc.invert(submitted["is_banked"]))
    registered = registered.append_column("day_0", pa.array([0] * registered.num_rows, pa.int64()))

    left = registered["date_unregistration"]
    stayed = pc.is_null(left)
    began = pc.or_(stayed, pc.greater(pc.fill_null(left, 1), 0))
    events = pa.concat_tables(
        [
            dated(registered, "register", "date_registration"),
            dated(registered.filter(began), "start", "day_0"),
            dated(registered, "withdraw", "date_unregistration"),
            dated(registered.filter(stayed), "end", "module_presentation_length"),
            dated(submitted, "submit", "date_submitted"),
        ]
    )
    csv.write_csv(events.sort_by([("event_time", "ascending"), ("user_id", "ascending")]),
                  out / "events.csv")  # fmt: skip
    users = students.drop_columns("final_result").append_column("user_id", user_ids(students))
    csv.write_csv(users, out / "users.csv")
    csv.write_csv(assessments.rename_columns({"id_assessment": "item_id"}), out / "items.csv")


def user_ids(table: pa.Table) -> pa.ChunkedArray:
    """ "AAA/2013J/11391": a customer is a student in one presentation of one module."""
    return pc.binary_join_element_wise(*(table[name].cast("string") for name in PERSON), "/")


def dated(table: pa.Table, action: str, day: str) -> pa.Table:
    """Events on the column `day`, rows without it left out."""
    table = table.filter(pc.is_valid(table[day]))
    starts = {
        name: datetime(int(name[:4]), *STARTS[name[4]])
        for name in table["code_presentation"].unique().to_pylist()
    }
    first = pa.array([starts[name] for name in table["code_presentation"].to_pylist()],
                     pa.timestamp("s"))  # fmt: skip
    passed = pc.multiply(table[day].cast("int64"), 86_400).cast(pa.duration("s"))
    submits = action == "submit"
    nothing = pa.nulls(table.num_rows, pa.int64())
    columns = {
        "user_id": user_ids(table),
        "action": pa.array([action] * table.num_rows, pa.string()),
        "event_time": pc.add(first, passed),
        "item_id": table["id_assessment"] if submits else nothing,
        "points": pc.add(table["score"].cast("int64"), 1) if submits else nothing,
    }
    return pa.table(columns)


def main() -> None:
    near = HERE.parent.parent.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--out", type=Path, default=HERE / "data")
    chosen = parser.parse_args()
    prepare(chosen.data / "oulad", chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
