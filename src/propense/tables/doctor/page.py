"""A diagnosis as a page for the terminal."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from propense.schemas import Account, SplitPlan
from propense.tables.cleaning.clean import LIVE_RULE
from propense.tables.cleaning.duplicates import EQUAL_ROWS, ORDER_NUMBERS
from propense.tables.doctor.cost import duration
from propense.tables.doctor.findings import (
    SEVERITIES,
    Cost,
    Diagnosis,
    Finding,
    GoalCheck,
    TableSize,
    worst_first,
)
from propense.tables.splitting.cuts import written

STYLE: Final = {"error": "bold red", "warning": "yellow", "info": "cyan", "ok": "green"}
SYMBOL: Final = {"error": "✗", "warning": "!", "info": "·", "ok": "✓"}


def render(diagnosis: Diagnosis) -> RenderableType:
    """Findings worst first, then sizes, what cleaning will do, the parts, goals and cost.

    Severity shows as colour and as a mark, so that it is read without colour too.
    """
    parts: list[RenderableType] = [_summary(diagnosis), Text()]
    parts.append(_findings(worst_first(diagnosis.findings)))
    if diagnosis.sizes:
        parts += [Text(), _sizes(diagnosis.sizes)]
    if any(account.rules for account in diagnosis.accounts):
        parts += [Text(), _accounts(diagnosis.accounts)]
    if diagnosis.plan is not None:
        parts += [Text(), _plan(diagnosis.plan)]
    if diagnosis.goals:
        parts += [Text(), _goals(diagnosis.goals)]
    if diagnosis.cost is not None:
        parts += [Text(), _cost(diagnosis.cost)]
    return Group(*parts)


def _summary(diagnosis: Diagnosis) -> Text:
    counts = {severity: len(diagnosis.of(severity)) for severity in SEVERITIES}
    words = {
        "error": "must be corrected first",
        "warning": "is usable, but see the warnings",
        "info": "is usable",
        "ok": "is usable",
    }
    text = Text("The data ", style="bold")
    text.append(words[diagnosis.worst], style=STYLE[diagnosis.worst])
    shown = ", ".join(
        f"{n} {severity if severity in ('ok', 'info') else severity + 's' * (n != 1)}"
        for severity, n in counts.items() if n
    )  # fmt: skip
    text.append(f": {shown or 'no findings'}")
    return text


def _table(title: str, *headings: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i in right else "left", overflow="fold")
    return table


def _findings(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for finding in findings:
        style = STYLE[finding.severity]
        body = Text(finding.sentence)
        if finding.remedy:
            body.append(f"\n→ {finding.remedy}", style="italic")
        if finding.examples:
            body.append(f"\n  {'; '.join(finding.examples[:5])}", style="dim")
        where = finding.table + (f".{finding.column}" if finding.column else "")
        table.add_row(Text(SYMBOL[finding.severity], style=style), Text(where, style=style), body)
    return table


def _sizes(sizes: list[TableSize]) -> Table:
    table = _table("Tables", "table", "rows", "after cleaning", "columns", right=(1, 2, 3))
    for size in sizes:
        table.add_row(
            escape(size.table), f"{size.rows:,}", f"{size.rows_clean:,}", f"{size.columns}"
        )
    return table


def _accounts(accounts: list[Account]) -> Table:
    table = _table("What cleaning will do", "table", "rule", "set aside", "corrected", "note",
                   right=(2, 3))  # fmt: skip
    for account in accounts:
        for rule in account.rules:
            remarked = rule.name in (LIVE_RULE, EQUAL_ROWS, ORDER_NUMBERS)
            if rule.dropped or rule.mended or rule.added or remarked:
                table.add_row(
                    escape(account.table), escape(rule.name), f"{rule.dropped:,}",
                    f"{rule.mended:,}", escape(rule.note),
                )  # fmt: skip
        table.add_row(
            escape(account.table), f"{account.n_in:,} rows in, {account.n_out:,} out",
            f"{account.dropped:,}", "", "balances" if account.balances else "DOES NOT BALANCE",
            style="dim", end_section=True,
        )  # fmt: skip
    return table


def _plan(plan: SplitPlan) -> Table:
    title = f"Parts, by {plan.by.replace('_', ' ')}"
    if plan.validation_from is not None and plan.test_from is not None:
        title += f": validation from {written(plan.validation_from)[:10]}"
        title += f", test from {written(plan.test_from)[:10]}"
    table = _table(title, "part", "events", "customers", "rows", right=(1, 2, 3))
    for count in plan.counts:
        table.add_row(
            escape(count.part), f"{count.events:,}", f"{count.users:,}", f"{count.rows:,}"
        )
    return table


def _goals(goals: list[GoalCheck]) -> Table:
    parts = list(goals[0].rows)
    table = _table("Goals: positives of rows", "goal", *parts, "share",
                   right=tuple(range(1, len(parts) + 2)))  # fmt: skip
    for goal in goals:
        cells = [f"{goal.positives[part]:,} of {goal.rows[part]:,}" for part in parts]
        table.add_row(escape(goal.goal), *cells, f"{goal.share:.1%}")
        table.add_row(Text(goal.sentence, style="dim"), *[""] * (len(parts) + 1))
    return table


def _cost(cost: Cost) -> Text:
    text = Text("Estimated cost: ", style="bold")
    text.append(cost.sentence)
    stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in cost.seconds.items())
    text.append(f"\n  {stages}", style="dim")
    return text
