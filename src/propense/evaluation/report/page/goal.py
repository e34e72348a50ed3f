"""The section of one goal."""

from __future__ import annotations

from html import escape

from propense.evaluation.formats import format_count, format_number, format_percent, format_range
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import (
    AVERAGE,
    LOWER_IS_BETTER,
    NETWORK,
    Champion,
    Confusion,
    Difference,
    GoalReport,
    Interval,
    ModelMetrics,
    Verdict,
)
from propense.evaluation.report.page.by_as_of import by_as_of_html
from propense.evaluation.report.page.charts import (
    axis_html,
    dot_svg,
    fit_scale,
    gains_svg,
    histogram_svg,
    reliability_svg,
    short,
)
from propense.evaluation.report.page.markup import (
    details_html,
    figure_html,
    interval_html,
    section_html,
    table_html,
    text_html,
    words_html,
)
from propense.evaluation.words import both, metric_name, model_name
from propense.words import Text, format_text


def goal_section(goal: GoalReport) -> str:
    """Verdict, network against rivals, reliability, gains, decisions, scores, subgroups."""
    kinds = model_kinds([entry.model for entry in goal.models], goal.champion)
    body = [
        f'<p class="question">{text_html(goal.sentence)}</p>',
        f'<p class="lead">{_counts(goal)}</p>',
        verdict_html(goal.verdict),
        care_html(goal.warnings),
        f'<p class="lead key-note">{words_html("against_lead")}</p>',
        '<div class="panels">',
        *(
            panel_html(metric, goal.models, goal.champion, kinds)
            for metric in KINDS[goal.kind].panels
        ),
        "</div>",
        '<div class="pictures">',
        _reliability(goal, kinds),
        _gains(goal, kinds),
        _histogram(goal),
        _confusion(goal.confusion) if goal.confusion is not None else "",
        "</div>",
        by_as_of_html(goal),
        _subgroups(goal),
        details_html(
            format_text("differences"),
            differences_html(goal.differences, format_text("differences")),
        ),
        details_html(format_text("all_metrics"), metrics_html(goal.models, kinds)),
    ]
    return section_html(f"goal-{goal.name}", both(goal.name), "".join(body))


def model_kinds(models: list[str], champion: Champion) -> dict[str, str]:
    """Model -> its colour: network, average, best (rival) or rival."""
    kinds = dict.fromkeys(models, "rival")
    if champion.rival is not None:
        kinds[champion.rival] = "best"
    return kinds | {NETWORK: "network", AVERAGE: "average"}


def verdict_html(verdict: Verdict) -> str:
    """The headline and what it rests on."""
    lines = [verdict.headline, *verdict.sentences]
    inner = "".join(f"<p>{text_html(line)}</p>" for line in lines)
    return f'<div class="verdict {verdict.outcome}">{inner}</div>'


def care_html(warnings: list[Text]) -> str:
    """Warnings in a frame, nothing where there are none."""
    if not warnings:
        return ""
    items = "".join(f"<li>{text_html(entry)}</li>" for entry in warnings)
    return f'<aside class="care"><h3>{words_html("warnings")}</h3><ul>{items}</ul></aside>'


def panel_html(
    metric: str, models: list[ModelMetrics], champion: Champion, kinds: dict[str, str]
) -> str:
    """One metric of every model as dots with intervals, best first."""
    lower = metric in LOWER_IS_BETTER
    shown = [entry for entry in models if entry.metrics.get(metric, Interval()).value is not None]
    shown.sort(key=lambda entry: (entry.metrics[metric].value or 0) * (1 if lower else -1))
    scale = fit_scale([entry.metrics[metric] for entry in shown], lower)
    name = metric_name(metric)
    rows = []
    for entry in shown:
        interval, kind = entry.metrics[metric], kinds[entry.model]
        model = model_name(entry.model)
        star = ' <span class="star" aria-hidden="true">★</span>' * (entry.model == champion.model)
        numbers = f"{format_number(interval.value)} ({format_range(interval)})"
        label = format_text("row_label", model=model, metric=name, numbers=numbers)
        rows.append(
            f'<div class="who {kind}-row">{text_html(model)}{star}</div>'
            f"{dot_svg(interval, scale, kind, label)}"
            f'<div class="value">{interval_html(interval)}</div>'
        )
    side = words_html("lower_better" if lower else "higher_better")
    return (
        f'<div class="figure"><h3>{text_html(name)} <span class="side">{side}</span></h3>'
        f'<div class="dots">{"".join(rows)}{axis_html(scale)}</div></div>'
    )


def legend_html(entries: list[tuple[str, Text]]) -> str:
    """Colour keys above a plot."""
    keys = "".join(
        f'<span class="key"><i class="{kind}"></i>{text_html(name)}</span>'
        for kind, name in entries
    )
    return f'<div class="legend">{keys}</div>'


def metrics_html(models: list[ModelMetrics], kinds: dict[str, str]) -> str:
    """Every metric of every model with its interval, metrics down, models across."""
    names = list(dict.fromkeys(name for entry in models for name in entry.metrics))
    names = [
        name
        for name in names
        if any(entry.metrics.get(name, Interval()).value is not None for entry in models)
    ]
    head = [words_html("model"), *(text_html(model_name(entry.model)) for entry in models)]
    rows = [
        [
            text_html(metric_name(name)),
            *(interval_html(entry.metrics.get(name)) for entry in models),
        ]
        for name in names
    ]
    if any(entry.threshold is not None for entry in models):
        cells = [format_number(entry.threshold) for entry in models]
        rows.append([words_html("threshold"), *cells])
    return table_html(head, rows, format_text("all_metrics"), wide=True)


def differences_html(differences: list[Difference], label: Text) -> str:
    """Paired differences, one row a pair, metrics across."""
    metrics = list(dict.fromkeys(entry.metric for entry in differences))
    pairs = list(dict.fromkeys((entry.model, entry.rival) for entry in differences))
    by_pair = {(e.metric, e.model, e.rival): e for e in differences}
    rows = []
    for model, rival in pairs:
        left, right = model_name(model), model_name(rival)
        pair = format_text("minus", left=left, right=right)
        cells = []
        for metric in metrics:
            entry = by_pair.get((metric, model, rival))
            cells.append("–" if entry is None else _difference_cell(entry))
        rows.append([text_html(pair), *cells])
    head = [words_html("difference"), *(text_html(metric_name(metric)) for metric in metrics)]
    return table_html(head, rows, label, wide=True)


def _difference_cell(entry: Difference) -> str:
    interval = Interval(entry.value, entry.low, entry.high)
    outcome = entry.outcome
    sign = {"better": "▲", "worse": "▼", "level": "=", None: ""}[outcome]
    plus = "+" if entry.value is not None and entry.value > 0 else ""
    return f'<span class="sign {outcome}">{sign}</span> {plus}{interval_html(interval)}'


def _counts(goal: GoalReport) -> str:
    kind = KINDS[goal.kind]
    rate = goal.metrics_of(NETWORK).get(kind.rate_metric, Interval()).value
    return words_html(
        kind.counts_key,
        rows=format_count(goal.n_rows),
        users=format_count(goal.n_users),
        positives=format_count(goal.n_positives),
        rate=format_percent(rate) if kind.rate_is_share else format_number(rate),
    )


def _reliability(goal: GoalReport, kinds: dict[str, str]) -> str:
    curves = {
        model: bins
        for model, bins in sorted(goal.reliability.items(), key=lambda kv: kv[0] == NETWORK)
    }
    legend = [(kinds[model], model_name(model)) for model in reversed(curves)]
    key = KINDS[goal.kind].reliability_key
    svg = reliability_svg(curves, kinds, format_text(key))
    return figure_html(
        format_text(key), legend_html([*legend, ("chance", format_text("ideal"))]) + svg
    )


def _gains(goal: GoalReport, kinds: dict[str, str]) -> str:
    y_name = format_text(KINDS[goal.kind].gains_key)
    svg = gains_svg(goal.gains, kinds, (format_text("gains_x"), y_name, format_text("gains")))
    legend = [(kinds[curve.model], model_name(curve.model)) for curve in goal.gains]
    lifts = []
    for top in (1, 5, 10, 20):
        interval = goal.metrics_of(goal.champion.model).get(f"lift_top_{top}")
        if interval is not None and interval.value is not None:
            name = text_html(metric_name(f"lift_top_{top}"))
            lifts.append(f"<div><dt>{name}</dt><dd>× {interval.value:.2f}</dd></div>")
    facts = f'<dl class="facts">{"".join(lifts)}</dl>' if lifts else ""
    return figure_html(
        format_text("gains"),
        legend_html([*legend, ("chance", format_text("chance"))]) + svg + facts,
    )


def _histogram(goal: GoalReport) -> str:
    kind = KINDS[goal.kind]
    names = (format_text(kind.negative_key), format_text(kind.positive_key))
    threshold = goal.confusion.threshold.value if goal.confusion is not None else None
    svg = histogram_svg(goal.histogram, threshold, format_text("histogram"))
    legend = legend_html([("no", names[0]), ("yes", names[1])])
    return figure_html(format_text("histogram"), legend + svg, words_html("histogram_lead"))


def _confusion(confusion: Confusion) -> str:
    total = max(confusion.tp + confusion.fp + confusion.fn + confusion.tn, 1)
    rule = confusion.threshold
    if rule.rule == "f1":
        note = words_html("threshold_f1", value=format_number(rule.value))
    else:
        note = words_html(
            "threshold_value",
            value=format_number(rule.value),
            cost=short(rule.cost or 0),
            benefit=short(rule.benefit or 0),
        )

    def cell(n: int) -> str:
        share = n / total
        return (
            f'<td style="--share:{share:.3f}"><b>{format_count(n)}</b>'
            f'<span class="share">{format_percent(share)}</span></td>'
        )

    heads = "".join(
        f'<th scope="col">{words_html(key)}</th>' for key in ("predicted_yes", "predicted_no")
    )
    head = f"<tr><th></th>{heads}</tr>"
    rows = (
        f'<tr><th scope="row">{words_html("happened")}</th>'
        f"{cell(confusion.tp)}{cell(confusion.fn)}</tr>"
        f'<tr><th scope="row">{words_html("did_not_happen")}</th>'
        f"{cell(confusion.fp)}{cell(confusion.tn)}</tr>"
    )
    table = f'<table class="confusion"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return figure_html(format_text("confusion"), table, note)


def _subgroups(goal: GoalReport) -> str:
    if not goal.subgroups:
        return ""
    metrics = KINDS[goal.kind].subgroup_metrics
    head = [words_html("group"), words_html("rows"), words_html("users")]
    head += [text_html(metric_name(metric)) for metric in metrics]
    rows = []
    for entry in goal.subgroups:
        first = f"{escape(entry.column)} · <b>{escape(entry.group)}</b>"
        counts = [format_count(entry.n_rows), format_count(entry.n_users)]
        if entry.too_few:
            cells = [words_html("too_few"), *[""] * (len(metrics) - 1)]
        else:
            cells = [interval_html(entry.metrics.get(metric)) for metric in metrics]
        rows.append([first, *counts, *cells])
    table = table_html(head, rows, format_text("subgroups"), wide=True)
    return figure_html(format_text("subgroups"), table, words_html("subgroups_lead"), kind="full")
