"""The report as one HTML file that opens anywhere and asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files

from propense.evaluation.formats import format_number, format_percent, format_range
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import (
    Champion,
    GoalReport,
    Interval,
    RankingReport,
    Report,
    Verdict,
)
from propense.evaluation.report.page.goal import care_html, goal_section
from propense.evaluation.report.page.learning import curve_section
from propense.evaluation.report.page.markup import text_html, words_html
from propense.evaluation.report.page.sections import (
    data_section,
    examples_section,
    learning_section,
    method_section,
    parts_section,
    ranking_section,
    rivals_section,
    truth_section,
)
from propense.evaluation.words import both, metric_name, model_name
from propense.words import Text, format_text


def render_page(report: Report) -> str:
    """The whole page, in English and Chinese, light and dark.

    `?lang=zh` and `?theme=dark` in the address choose at once. Every text of the report is
    escaped, and the page's own policy lets no other script run and nothing be fetched.
    """
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    script = files(__package__).joinpath("script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sections = _sections(report)
    links = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name, _ in sections)
    title = escape(f"{report.title} · propense")
    return (
        '<!doctype html>\n<html lang="en" data-lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{_top(report)}\n<main>\n{_opening(report)}\n"
        f'<nav aria-label="{escape(format_text("contents").en)}"><ol>{links}</ol></nav>\n'
        + "\n".join(html for _, _, html in sections)
        + f"\n</main>\n<footer>{words_html('footer')}</footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _sections(report: Report) -> list[tuple[str, str, str]]:
    """Anchor, name and HTML of each section there is something to say in."""
    sections: list[tuple[str, str, str]] = [
        (f"goal-{escape(goal.name, quote=True)}", escape(goal.name), goal_section(goal))
        for goal in report.goals
    ]
    if report.ranking is not None:
        sections.append(("ranking", words_html("ranking"), ranking_section(report.ranking)))
    if report.examples:
        sections.append(("examples", words_html("examples"), examples_section(report.examples)))
    if report.truth:
        sections.append(("truth", words_html("truth"), truth_section(report)))
    if report.accounts:
        sections.append(("data", words_html("data"), data_section(report.accounts)))
    if report.plan is not None:
        sections.append(("parts", words_html("parts"), parts_section(report.plan)))
    if report.curves:
        sections.append(("learning", words_html("learning"), learning_section(report)))
    if report.learning_curve is not None:
        name = words_html("learning_curve")
        sections.append(("learning-curve", name, curve_section(report.learning_curve)))
    if report.rivals:
        sections.append(("rivals", words_html("rivals"), rivals_section(report)))
    sections.append(("measured", words_html("measured"), method_section(report)))
    return sections


def _top(report: Report) -> str:
    about = " · ".join(
        escape(part) for part in (report.title, report.made, f"v{report.version}") if part
    )
    themes = "".join(
        f'<button type="button" data-set="theme" value="{value}" '
        f'aria-pressed="{str(value == "auto").lower()}">{words_html(value)}</button>'
        for value in ("auto", "light", "dark")
    )
    languages = "".join(
        f'<button type="button" data-set="lang" value="{value}" lang="{tag}-x-name" '
        f'aria-pressed="{str(value == "en").lower()}">{name}</button>'
        for value, tag, name in (("en", "en", "English"), ("zh", "zh", "中文"))
    )
    return (
        f'<header class="top"><span class="mark-word">propense</span>'
        f'<span class="about">{about}</span><div class="choices">'
        f'<div class="choice" role="group" aria-label="Language / 语言">{languages}</div>'
        f'<div class="choice" role="group" aria-label="Theme / 主题">{themes}</div>'
        f"</div></header>"
    )


def _opening(report: Report) -> str:
    """The verdict over everything and a tile a question."""
    verdict = report.verdict or overall_verdict(report.goals, report.ranking)
    tiles = [_goal_tile(goal) for goal in report.goals]
    if report.ranking is not None:
        tiles.append(_ranking_tile(report.ranking))
    warnings = [both(entry) if isinstance(entry, str) else entry for entry in report.warnings]
    return (
        f"<h1>{text_html(verdict.headline)}</h1>"
        f'<ul class="tiles">{"".join(tiles)}</ul>{care_html(warnings)}'
    )


def _goal_tile(goal: GoalReport) -> str:
    metric = KINDS[goal.kind].order_metric
    metrics = goal.metrics_of(goal.champion.model)
    rate = metrics.get("base_rate")
    extra = "" if rate is None else words_html("base_rate_of", rate=format_percent(rate.value))
    return _tile(
        (f"goal-{goal.name}", both(goal.name), text_html(goal.sentence)),
        goal.verdict,
        goal.champion,
        (metric, metrics.get(metric, Interval()), extra),
    )


def _ranking_tile(ranking: RankingReport) -> str:
    metrics = next((m.metrics for m in ranking.models if m.model == ranking.champion.model), {})
    items = words_html("items_in_catalogue", items=f"{ranking.n_items:,}")
    return _tile(
        ("ranking", format_text("ranking"), items),
        ranking.verdict,
        ranking.champion,
        (ranking.criterion, metrics.get(ranking.criterion, Interval()), ""),
    )


def _tile(
    question: tuple[str, Text, str],
    verdict: Verdict,
    champion: Champion,
    number: tuple[str, Interval, str],
) -> str:
    anchor, name, sentence = question
    metric, interval, extra = number
    ends = format_range(interval)
    return (
        f'<li class="tile"><span class="chip {verdict.outcome}">'
        f'{words_html(verdict.outcome)}</span><a href="#{escape(anchor, quote=True)}">'
        f"{text_html(name)}</a>"
        f'<div class="ask">{sentence}</div>'
        f'<div class="figure-line"><span class="big">{format_number(interval.value)}</span>'
        f'<span class="unit">{text_html(metric_name(metric))}<br>{ends}</span></div>'
        f'<div class="served">{words_html("champion")}: <b>'
        f"{text_html(model_name(champion.model))}</b>{' · ' + extra if extra else ''}</div></li>"
    )
