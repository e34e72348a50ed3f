"""What the doctor found about columns, kept in the run folder and obeyed by the later stages."""

from __future__ import annotations

import msgspec

from propense.files import replace_file
from propense.schemas import RunFolder, SplitPlan
from propense.settings import Settings
from propense.tables.doctor.leaks.checks import ColumnFindings, refuse_leaks

_FILE = "columns.json"


def record_columns(
    run: RunFolder, plan: SplitPlan, columns: ColumnFindings, settings: Settings
) -> SplitPlan:
    """Write the findings beside the parts; the plan has their warnings, and what no model reads.

    Raises LeakError if a column knows the future and the settings do not affirm it.
    """
    content = msgspec.json.format(msgspec.json.encode(columns), indent=2)
    replace_file(run.parts / _FILE, content, private=False)
    refuse_leaks(columns, settings)
    plan = msgspec.structs.replace(
        plan, left_out=columns.left_out, warnings=[*plan.warnings, *columns.warnings]
    )
    content = msgspec.json.format(msgspec.json.encode(plan), indent=2)
    replace_file(run.parts / "split.json", content, private=False)
    return plan
