"""`propense report` and `propense score`: the results of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from propense.cli.flow import report_page
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output, open_page
from propense.cli.progress import show_progress
from propense.errors import BundleError


def report(
    *,
    browser: Annotated[bool, Parameter(name="--open", negative="--no-open")] = True,
    common: Common = DEFAULTS,
) -> None:
    """Open the report in the browser, or print its numbers with --json.

    Parameters
    ----------
    browser
        Open the page; --no-open prints its path.
    """
    output = open_output(common)
    page = report_page(load_settings(common))
    if not page.is_file():
        raise BundleError(f"there is no report at {str(page)!r}; make one with: propense evaluate")
    if output.json:
        print(page.with_suffix(".json").read_text(encoding="utf-8"))
        return
    if not browser or not open_page(page):
        print(page)
        return
    output.message(f"opened {page}")


def score(
    *,
    out: Path | None = None,
    format: Literal["parquet", "csv"] | None = None,
    user: str | None = None,
    scenario: str = "default",
    common: Common = DEFAULTS,
) -> None:
    """Predict what each customer will do, spend and choose after the last event.

    The bundle that serves is used. With --user the scores of one customer are
    printed instead.

    Parameters
    ----------
    out
        File to write; default: scores.parquet or scores.csv.
    format
        File format; default: by the ending of --out.
    user
        Print the scores of this customer only.
    scenario
        Lists by the rules of this table of [serve.scenarios].
    """
    from propense.inference.batch_scoring import score_all, score_user
    from propense.runtime.batch_lists import ScenarioLists

    output = open_output(common)
    settings = load_settings(common)
    lists = ScenarioLists(settings, scenario)
    if user is not None:
        answer = score_user(settings, user, lists)
        output.result(answer, _format_scores(answer))
        return
    kind = format or ("csv" if out is not None and out.suffix == ".csv" else "parquet")
    target = out or Path(f"scores.{kind}")
    with show_progress(output) as progress:
        n_users = score_all(settings, target, kind, progress, lists)
    output.result(
        {"out": target, "format": kind, "users": n_users}, f"{n_users:,} customers scored: {target}"
    )


def _format_scores(answer: dict[str, Any]) -> str:
    """One customer's scores: a line for each goal and each item."""
    lines = [f"{answer['user_id']}: {answer['n_events']:,} events, bundle {answer['bundle']}"]
    for goal, value in answer["goals"].items():
        threshold = answer["thresholds"].get(goal)
        note = "" if threshold is None else f"   (threshold {threshold:.4f})"
        lines.append(f"  {goal:<16}{value:.4f}{note}")
    lines += [
        f"  {rank:>3}. {item['title'] or item['item_id']}  [{item['item_id']}]  {item['score']:.4f}"
        for rank, item in enumerate(answer["items"], 1)
    ]
    return "\n".join(lines)
