"""The model card: what the models are for, how they do, and where they fail, in Markdown.

Sections follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from propense.evaluation.formats import (
    format_count,
    format_day,
    format_duration,
    format_number,
    format_percent,
    format_range,
)
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import GoalReport, Interval, RankingReport, Report
from propense.evaluation.report.page.by_as_of import days
from propense.evaluation.words import metric_name, model_name
from propense.words import format_text


def render_card(report: Report) -> str:
    """The card of a whole report, in English; text of the data is escaped."""
    verdict = report.verdict or overall_verdict(report.goals, report.ranking)
    made = f", made {report.made}" if report.made else ""
    blocks = [
        f"# Model card: {_plain(report.title)}",
        f"propense {_plain(report.version)}{_plain(made)}. {verdict.headline.en}",
        _intended_use(report),
        _data(report),
        _parts(report),
        *(_goal(goal) for goal in report.goals),
        _ranking(report.ranking) if report.ranking is not None else "",
        _limits(report),
        _reproduce(report),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _intended_use(report: Report) -> str:
    lines = ["## Intended use", ""]
    for goal in report.goals:
        lines.append(f"- **{_plain(goal.name)}**: {_plain(goal.sentence.en) or 'as asked'}.")
    if report.ranking is not None:
        n_items = format_count(report.ranking.n_items)
        lines.append(f"- **recommend**: what to show next, out of {n_items} items.")
    lines += [
        "",
        (
            "Meant for choosing whom to address and what to show. Not meant for decisions on "
            "credit, employment, insurance, housing, prices by person, or anything where a wrong "
            "answer harms someone. A propensity is the chance of an outcome; it does not say that "
            "addressing a customer would change it."
        ),
    ]
    return "\n".join(lines)


def _data(report: Report) -> str:
    if not report.accounts:
        return ""
    rows = [
        [
            _plain(account.table),
            format_count(account.n_in),
            format_count(account.dropped),
            format_count(account.n_out),
            "yes" if account.balances else "**no**",
        ]
        for account in report.accounts
    ]
    return "## Data\n\n" + _table(["table", "rows in", "dropped", "kept", "balances"], rows)


def _parts(report: Report) -> str:
    plan = report.plan
    if plan is None:
        return ""
    goals = list(dict.fromkeys(name for count in plan.counts for name in count.positives))
    rows = [
        [
            _plain(count.part),
            *(format_count(n) for n in (count.events, count.users, count.rows)),
            *(format_count(count.positives[g]) if g in count.positives else "–" for g in goals),
        ]
        for count in plan.counts
    ]
    head = ["part", "events", "customers", "rows", *(f"positives: {_plain(g)}" for g in goals)]
    dates = ""
    if plan.validation_from is not None and plan.test_from is not None and plan.end is not None:
        dates = (
            f" Validation from {format_day(plan.validation_from)}, test from "
            f"{format_day(plan.test_from)}, data end {format_day(plan.end)}."
        )
    notes = "".join(f"\n- {_plain(note)}" for note in plan.notes)
    return f"## Parts\n\nDivided by {plan.by}.{dates}\n\n{_table(head, rows)}{notes}"


def _goal(goal: GoalReport) -> str:
    kind = KINDS[goal.kind]
    blocks = [f"## Goal: {_plain(goal.name)}"]
    blocks.append(" ".join([goal.verdict.headline.en, *(s.en for s in goal.verdict.sentences)]))
    rate = goal.metrics_of(goal.champion.model).get("base_rate", Interval()).value
    share = f" ({format_percent(rate)})" if rate is not None else ""
    blocks.append(
        f"{format_count(goal.n_rows)} test rows of {format_count(goal.n_users)} customers, "
        f"{format_count(goal.n_positives)} "
        f"{format_text(kind.positive_key).en}{share}"
        f"{'' if goal.n_as_of is None else f', at {goal.n_as_of} as-of times'}."
    )
    names = kind.card_metrics
    rows = [
        [
            model_name(entry.model).en + (" ★" if entry.model == goal.champion.model else ""),
            *(_interval(entry.metrics.get(name)) for name in names),
        ]
        for entry in goal.models
    ]
    blocks.append(_table(["model", *(metric_name(name).en for name in names)], rows))
    if goal.confusion is not None:
        confusion = goal.confusion
        blocks.append(
            f"Decisions of the champion at p ≥ {format_number(confusion.threshold.value)}: "
            f"{format_count(confusion.tp)} true and {format_count(confusion.fp)} false positives, "
            f"{format_count(confusion.fn)} false and {format_count(confusion.tn)} true negatives."
        )
    if goal.by_as_of:
        blocks.append("### By as-of time\n\n" + _by_as_of(goal))
    if goal.subgroups:
        blocks.append("### Subgroups\n\n" + _subgroups(goal))
    return "\n\n".join(blocks)


def _by_as_of(goal: GoalReport) -> str:
    models = list(goal.by_as_of[0].criterion)
    criterion = metric_name(goal.champion.criterion).en
    rows = [
        [
            days(stretch),
            format_count(stretch.n_rows),
            format_number(stretch.rate),
            *(format_number(stretch.criterion[model]) for model in models),
        ]
        for stretch in goal.by_as_of
    ]
    names = [f"{criterion}: {model_name(model).en}" for model in models]
    return _table(["as of", "rows", "mean outcome", *names], rows)


def _subgroups(goal: GoalReport) -> str:
    metrics = KINDS[goal.kind].subgroup_metrics
    rows = []
    for entry in goal.subgroups:
        cells = (
            ["too few", *[""] * (len(metrics) - 1)]
            if entry.too_few
            else [_interval(entry.metrics.get(metric)) for metric in metrics]
        )
        rows.append([_plain(entry.column), _plain(entry.group), format_count(entry.n_rows), *cells])
    return _table(["column", "group", "rows", *(metric_name(m).en for m in metrics)], rows)


def _ranking(ranking: RankingReport) -> str:
    k = ranking.criterion.rpartition("_")[2]
    families = ("ndcg", "recall", "mrr", "coverage", "novelty")
    names = [f"{family}_at_{k}" for family in families]
    rows = [
        [
            model_name(entry.model).en + (" ★" if entry.model == ranking.champion.model else ""),
            *(_interval(entry.metrics.get(name)) for name in names),
        ]
        for entry in ranking.models
    ]
    text = " ".join([ranking.verdict.headline.en, *(s.en for s in ranking.verdict.sentences)])
    counts = (
        f"{format_count(ranking.n_rows)} test moments of {format_count(ranking.n_users)} "
        f"customers, each against the full catalogue of {format_count(ranking.n_items)} items."
    )
    table = _table(["model", *(metric_name(name).en for name in names)], rows)
    return f"## What to show next\n\n{text}\n\n{counts}\n\n{table}"


def _limits(report: Report) -> str:
    lines = [
        (
            "- Numbers hold for customers like those of the test part; when behaviour, prices or "
            "the catalogue change, measure again."
        ),
        (
            "- Intervals cover the chance of which customers were seen, not a change of the world. "
            "Only the verdict over all questions is corrected for their number."
        ),
        "- A level verdict is no proof that two models are equal.",
    ]
    warnings = [entry if isinstance(entry, str) else entry.en for entry in report.warnings]
    for goal in report.goals:
        warnings += [f"{goal.name}: {entry.en}" for entry in goal.warnings]
    if report.ranking is not None:
        warnings += [f"recommend: {entry.en}" for entry in report.ranking.warnings]
    lines += [f"- {_plain(entry)}" for entry in warnings]
    return "## Limits\n\n" + "\n".join(lines)


def _reproduce(report: Report) -> str:
    resamples = sorted({goal.resamples for goal in report.goals})
    if report.ranking is not None:
        resamples = sorted({*resamples, report.ranking.resamples})
    counts = ", ".join(map(format_count, resamples)) or "none"
    lines = [
        (
            "`propense run` with the settings kept in report.json. The same settings, data, "
            "versions, thread count and kind of machine give the same content."
        ),
        "",
        f"- propense {_plain(report.version)}",
        f"- bootstrap resamples: {counts}",
    ]
    if report.plan is not None:
        lines.append(f"- split seed: {report.plan.seed}")
    for stage, seconds in report.stage_seconds.items():
        lines.append(f"- {_plain(stage)}: {format_duration(seconds)}")
    return "## How to reproduce\n\n" + "\n".join(lines)


def _interval(interval: Interval | None) -> str:
    if interval is None or interval.value is None:
        return "–"
    ends = format_range(interval)
    return format_number(interval.value) + (f" ({ends})" if ends else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(head), _row(["---"] * len(head)), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    """Text of the data on one line, without the signs Markdown and HTML would read.

    >>> _plain("<b>|x*")
    '&lt;b&gt;\\\\|x\\\\*'
    """
    line = " ".join(text.split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        line = line.replace(sign, safe)
    return "".join("\\" + char if char in "\\|*_`[]#" else char for char in line)
