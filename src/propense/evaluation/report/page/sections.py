"""Sections around the goals: data, parts, learning, rankings, examples, rivals, method."""

from __future__ import annotations

from html import escape

import msgspec

from propense.evaluation.formats import (
    format_count,
    format_day,
    format_duration,
    format_number,
    format_percent,
)
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import (
    Example,
    ExampleItem,
    RankingReport,
    Report,
)
from propense.evaluation.report.page.charts import bar_svg, learning_svg
from propense.evaluation.report.page.cuts import cuts_html
from propense.evaluation.report.page.goal import (
    care_html,
    differences_html,
    metrics_html,
    model_kinds,
    panel_html,
    verdict_html,
)
from propense.evaluation.report.page.markup import (
    details_html,
    figure_html,
    section_html,
    table_html,
    text_html,
    words_html,
)
from propense.evaluation.words import both, inside, metric_name, model_name
from propense.schemas import Account, SplitPlan
from propense.words import Text, format_text


def data_section(accounts: list[Account]) -> str:
    """Where every row of every table went."""
    return section_html(
        "data", format_text("data"), "".join(map(_account, accounts)), words_html("data_lead")
    )


def _account(account: Account) -> str:
    share = account.n_out / account.n_in if account.n_in else 1.0
    most = max([rule.dropped for rule in account.rules], default=0) or 1
    rules = []
    for rule in account.rules:
        note = f"<small>{escape(rule.note)}</small>" if rule.note else ""
        counts = []
        if rule.dropped or not rule.mended:
            counts.append(f"{format_count(rule.dropped)} {words_html('rows_dropped')}")
        if rule.mended:
            counts.append(f"{format_count(rule.mended)} {words_html('rows_mended')}")
        label = both(f"{rule.name}: {rule.dropped:,}")
        rules.append(
            f"<div>{escape(rule.name)}{note}</div>"
            f"{bar_svg(rule.dropped / most, 'best', label)}"
            f'<div class="count">{"<br>".join(counts)}</div>'
        )
    balance = (
        words_html("balances")
        if account.balances
        else words_html(
            "unbalanced",
            n_in=format_count(account.n_in),
            n_out=format_count(account.n_out),
            dropped=format_count(account.dropped),
        )
    )
    label = format_text(
        "account_label",
        table=account.table,
        n_out=f"{account.n_out:,}",
        n_in=f"{account.n_in:,}",
    )
    grid = f'<div class="rules">{"".join(rules)}</div>' if rules else ""
    return (
        f'<div class="account"><h3>{escape(account.table)}</h3><p class="sum">'
        f"<span><b>{format_count(account.n_in)}</b> {words_html('rows_in')}</span>"
        f"<span><b>{format_count(account.dropped)}</b> {words_html('rows_dropped')}</span>"
        f"<span><b>{format_count(account.n_out)}</b> {words_html('rows_kept')} "
        f"({format_percent(share)})</span><span>{balance}</span></p>"
        f"{bar_svg(share, 'network', label)}{grid}</div>"
    )


def parts_section(plan: SplitPlan) -> str:
    """The timeline of the split and what each part holds."""
    head = [words_html("part"), words_html("events"), words_html("users"), words_html("rows")]
    goals = list(dict.fromkeys(name for count in plan.counts for name in count.positives))
    head += [words_html("positives_of", name=name) for name in goals]
    total = sum(count.rows for count in plan.counts) or 1
    rows = []
    for count in plan.counts:
        share = f"<small>{format_percent(count.rows / total)}</small>"
        cells = [format_count(count.events), format_count(count.users)]
        cells.append(f"{format_count(count.rows)}{share}")
        for name in goals:
            positives, labelled = count.positives.get(name), count.labelled.get(name, count.rows)
            rate = (
                format_percent(positives / labelled) if positives is not None and labelled else ""
            )
            number = "–" if positives is None else format_count(positives)
            cells.append(f"{number}<small>{rate}</small>")
        word = count.part if count.part in ("train", "validation", "test") else None
        rows.append([words_html(word) if word else escape(count.part), *cells])
    notes = "".join(f"<li>{escape(note)}</li>" for note in plan.notes)
    body = _timeline(plan) + table_html(head, rows, format_text("parts"), wide=len(goals) > 2)
    body += f'<ul class="lead">{notes}</ul>' if notes else ""
    return section_html("parts", format_text("parts"), body, words_html(f"parts_by_{plan.by}"))


def _timeline(plan: SplitPlan) -> str:
    """Validation and test to scale; the train part fades out towards the past."""
    if plan.validation_from is None or plan.test_from is None or plan.end is None:
        return ""
    later = max(plan.end - plan.validation_from, 1)
    middle = 50 * (plan.test_from - plan.validation_from) / later
    widths = (50.0, middle, 50 - middle)
    names = ("train", "validation", "test")
    bars = "".join(
        f'<div class="segment {name}" style="flex:{width:.2f} 1 0">{words_html(name)}</div>'
        for name, width in zip(names, widths, strict=True)
    )
    days = ("", format_day(plan.validation_from), format_day(plan.test_from))
    marks = "".join(
        f'<span style="flex:{width:.2f} 1 0">{day}</span>'
        for day, width in zip(days, widths, strict=True)
    )
    end = f'<span class="end">{format_day(plan.end)}</span>'
    return (
        f'<div class="timeline"><div class="row">{bars}</div>'
        f'<div class="days">{marks}{end}</div></div>'
    )


def learning_section(report: Report) -> str:
    """Train loss and every validation score by epoch."""
    epochs = [record.epoch for record in report.curves]
    losses = [record.train_loss for record in report.curves]
    series: list[tuple[Text, list[float | None], int | None]] = [
        (format_text("train_loss"), losses, None)
    ]
    names = dict.fromkeys(name for record in report.curves for name in record.validation)
    for name in names:
        *goal, metric = name.split(" ")
        metric_words = inside(metric_name(metric))
        metric_text = Text(metric_words.en, metric_words.zh.strip())
        if goal:
            metric_text = format_text("goal_metric", goal=", ".join(goal), metric=metric_text)
        title = format_text("validation_of", name=metric_text)
        best = next((record.epoch for record in report.curves if name in record.best), None)
        series.append((title, [record.validation.get(name) for record in report.curves], best))
    figures = []
    for title, values, best in series:
        at_best = next((v for e, v in zip(epochs, values, strict=True) if e == best), None)
        note = (
            words_html("best_epoch", value=format_number(at_best), epoch=str(best))
            if at_best is not None
            else ""
        )
        figures.append(figure_html(title, learning_svg(epochs, values, best, title), note))
    body = f'<div class="pictures three">{"".join(figures)}</div>'
    return section_html("learning", format_text("learning"), body, words_html("learning_lead"))


def ranking_section(ranking: RankingReport) -> str:
    """What to show next: verdict, dots, tables."""
    kinds = model_kinds([entry.model for entry in ranking.models], ranking.champion)
    criterion = ranking.criterion
    k = criterion.rpartition("_")[2]
    shown = (criterion, f"recall_at_{k}", f"mrr_at_{k}", f"coverage_at_{k}")
    panels = "".join(panel_html(m, ranking.models, ranking.champion, kinds) for m in shown)
    lead = words_html(
        "ranking_counts",
        rows=format_count(ranking.n_rows),
        users=format_count(ranking.n_users),
        items=format_count(ranking.n_items),
    )
    body = [verdict_html(ranking.verdict), care_html(ranking.warnings)]
    body.append(f'<p class="lead key-note">{words_html("against_lead")}</p>')
    body.append(f'<div class="panels">{panels}</div>')
    body.append(
        details_html(
            format_text("differences"),
            differences_html(ranking.differences, format_text("differences")),
        )
    )
    body.append(cuts_html(ranking.by_cut))
    body.append(details_html(format_text("all_metrics"), metrics_html(ranking.models, kinds)))
    if ranking.seconds:
        rows = [
            [text_html(model_name(model)), format_duration(seconds)]
            for model, seconds in ranking.seconds.items()
        ]
        head = [words_html("model"), words_html("seconds_to_rank")]
        body.append(
            details_html(
                format_text("seconds_to_rank"),
                table_html(head, rows, format_text("seconds_to_rank")),
            )
        )
    return section_html("ranking", format_text("ranking"), "".join(body), lead)


def examples_section(examples: list[Example]) -> str:
    """A few test customers: history and top list by title."""
    cards = "".join(map(_example, examples))
    body = f'<div class="examples">{cards}</div>'
    return section_html("examples", format_text("examples"), body, words_html("examples_lead"))


def _example(example: Example) -> str:
    history = "".join(map(_item, example.history))
    recommended = "".join(map(_item, example.recommended))
    return (
        f'<article class="example"><h3>{escape(example.customer)}</h3><div class="two">'
        f"<div><h4>{words_html('history')}</h4><ul>{history}</ul></div>"
        f"<div><h4>{words_html('recommended')}</h4><ol>{recommended}</ol></div></div></article>"
    )


def _item(item: ExampleItem) -> str:
    note = f" <small>{escape(item.note)}</small>" if item.note else ""
    if not item.hit:
        return f"<li>{escape(item.title)}{note}</li>"
    chosen = f"<small>✓ {words_html('chosen')}</small>"
    return f'<li class="hit">{escape(item.title)}{note} {chosen}</li>'


def rivals_section(report: Report) -> str:
    """How each rival was fitted."""
    head = [
        words_html(key) for key in ("model", "goal", "trials", "fitted_rows", "seconds", "note")
    ]
    rows = [
        [
            text_html(model_name(note.model)),
            words_html("items_goal") if note.goal is None else escape(note.goal),
            format_count(note.trials),
            format_count(note.rows),
            "" if note.seconds is None else format_duration(note.seconds),
            escape(note.note),
        ]
        for note in report.rivals
    ]
    table = table_html(head, rows, format_text("rivals"), wide=True)
    return section_html("rivals", format_text("rivals"), table, words_html("rivals_lead"))


def truth_section(report: Report) -> str:
    """Numbers of a made world beside those of the truth."""
    columns = list(dict.fromkeys(name for row in report.truth.values() for name in row))
    rows = [
        [escape(name), *(format_number(row.get(column)) for column in columns)]
        for name, row in report.truth.items()
    ]
    table = table_html(
        ["", *map(escape, columns)], rows, format_text("truth"), wide=len(columns) > 4
    )
    note = f'<p class="lead">{escape(report.truth_note)}</p>' if report.truth_note else ""
    return section_html("truth", format_text("truth"), table + note, words_html("truth_lead"))


def method_section(report: Report) -> str:
    """How it was measured, how long it took, with what settings."""
    kinds = {goal.kind for goal in report.goals}
    resamples = [goal.resamples for goal in report.goals]
    if report.ranking is not None:
        resamples.append(report.ranking.resamples)
    counts = ", ".join(format_count(n) for n in sorted(set(resamples))) or "0"
    lines = [words_html("how_intervals", resamples=counts), words_html("how_choice")]
    lines += [words_html(kind.method_key) for kind in KINDS.values() if kind.name in kinds]
    lines += [words_html("how_ranking")] if report.ranking is not None else []
    body = f'<div class="method">{"".join(f"<p>{line}</p>" for line in lines)}</div>'
    if report.stage_seconds:
        rows = [[escape(n), format_duration(s)] for n, s in report.stage_seconds.items()]
        head = [words_html("stage"), words_html("stage_seconds")]
        table = table_html(head, rows, format_text("stage_seconds"))
        body += details_html(format_text("stage_seconds"), table)
    if report.settings:
        written = msgspec.json.format(msgspec.json.encode(report.settings), indent=2).decode()
        body += details_html(format_text("settings"), f"<pre>{escape(written)}</pre>")
    return section_html("measured", format_text("measured"), body)
