"""Customers who are there twice, as the split found them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.columns import DUPLICATE_GROUP, USER_ID
from propense.schemas import RunFolder, SplitPlan
from propense.tables.doctor.findings import Finding
from propense.tables.splitting.duplicates import NOTICED

_SHOWN: Final = 3


def check_duplicates(run: RunFolder, plan: SplitPlan) -> list[Finding]:
    """A finding about the duplicates in `run.parts`, a warning where they are many."""
    if not plan.duplicates:
        return []
    users = pq.read_table(run.parts / "users.parquet", columns=[USER_ID, DUPLICATE_GROUP])
    groups = users.filter(pc.is_valid(users[DUPLICATE_GROUP])).sort_by(
        [(DUPLICATE_GROUP, "ascending"), (USER_ID, "ascending")]
    )
    numbers = pc.unique(groups[DUPLICATE_GROUP])
    examples = []
    for number in numbers.slice(0, _SHOWN):
        ids = groups.filter(pc.equal(groups[DUPLICATE_GROUP], number))[USER_ID]
        examples.append(" = ".join(pa.concat_arrays(ids.chunks).slice(0, 4).to_pylist()))
    many = plan.duplicates >= NOTICED * users.num_rows
    return [
        Finding(
            code="duplicate_customers", severity="warning" if many else "ok", table="users",
            column=USER_ID, count=plan.duplicates,
            sentence=f"{plan.duplicates:,} of {users.num_rows:,} customers are there twice: they "
            f"equal another one in all features and events ({len(numbers):,} groups)",
            remedy="give one person one id ([identities], or before the export); until then a "
            "split by user keeps them in one part ([split] keep_duplicates_together)",
            examples=examples,
        )
    ]  # fmt: skip
