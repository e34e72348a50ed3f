"""`propense demo`: a platform whose truth is known, the whole flow, a service, the report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from propense.cli.findings import format_findings
from propense.cli.flow import format_result, report_page, run_pipeline
from propense.cli.options import DEFAULTS, Common
from propense.cli.output import Output, open_output, open_page
from propense.cli.progress import show_progress
from propense.cli.temporary_service import temporary_service
from propense.cli.verify import (
    SENTENCE,
    format_verification,
    verification_record,
    verify_key,
)
from propense.errors import SettingsError
from propense.settings import read_settings

if TYPE_CHECKING:
    from propense.evaluation.records import Report
    from propense.pipeline.verification import Verification
    from propense.progress import Progress
    from propense.settings import Settings

VERIFIED = 1_000
"""Customers of the sample that is verified; `propense verify` checks all by default."""


def demo(
    *,
    users: int = 100_000,
    folder: Path = Path("demo"),
    browser: Annotated[bool, Parameter(name="--open", negative="--no-open")] = True,
    common: Common = DEFAULTS,
) -> None:
    """Try everything on a generated education platform, and open the report.

    Generates the platform, runs all stages, serves the bundle and verifies the
    answers. The right answers are known on such a platform, so the last lines
    compare the predictions with them. A demo that was stopped resumes where it was.

    Parameters
    ----------
    users
        Number of customers.
    folder
        Folder for settings, data, run and report, instead of --settings.
    browser
        Open the report; --no-open prints its path.
    """
    output = open_output(common)
    _generate(folder, users, output)
    settings = read_settings(folder / "propense.toml")
    result = run_pipeline(settings, output)
    page = report_page(settings)
    verification = _verify(folder, settings, output)
    report = result.report
    truth = report.truth if report is not None else {}
    record = {
        "folder": folder, "report": page, "bundle": result.bundle,
        "stage_seconds": result.stage_seconds, "truth": truth,
        "deployed": verification_record(verification),
    }  # fmt: skip
    lines = [
        format_result(result, settings),
        *_against_truth(truth),
        "",
        "Deployed",
        format_verification(verification),
        *_last_lines(report, settings, folder, page),
    ]
    output.result(record, "\n".join(lines))
    if browser and not output.json:
        open_page(page)


def _last_lines(report: Report | None, settings: Settings, folder: Path, page: Path) -> list[str]:
    """What was found, and what to do next."""
    findings = format_findings(report, settings.currency) if report is not None else []
    lines = ["", "Findings", *(f"  {line}" for line in findings)] if findings else []
    if report is not None and report.verdict is not None:
        lines.append(f"  {report.verdict.headline.en}")
    customer = report.examples[0].customer if report is not None and report.examples else "ID"
    commands = {
        f"cd {shlex.quote(str(folder))}": "",
        "propense report": "read why, with every interval",
        f"propense score --user {customer}": "what to show one customer, and how likely they pay",
        "propense serve --first-key": "answer over HTTP; docs/serving.md continues from here",
    }
    width = max(map(len, commands))
    steps = [f"  {command:<{width}}  {note}".rstrip() for command, note in commands.items()]
    return [*lines, f"  report: {page}", "", "Next", *steps]


def _verify(folder: Path, settings: Settings, output: Output) -> Verification:
    """Serve the bundle, and compare a sample of its answers with the offline ones."""
    from propense.pipeline.verification import verify

    with (
        temporary_service(folder / "propense.toml") as url,
        verify_key(settings, None) as key,
        show_progress(output) as progress,
    ):
        progress.stage("verify", SENTENCE)
        return verify(settings, url, key, VERIFIED, progress)


def _against_truth(truth: dict[str, dict[str, float | None]]) -> list[str]:
    """What was found beside what could have been found, one line for each question."""
    lines = ["", "Compared with the truth of this platform, on the test part"] if truth else []
    width = max(map(len, truth), default=0)
    for name, row in truth.items():
        if row.get("auc_truth") is not None:
            lines.append(
                f"  {name:<{width}}  AUC {row['auc']:.3f}; the true probabilities reach "
                f"{row['auc_truth']:.3f}; correlation with them {row['pearson']:.2f}"
            )
        elif row.get("ideal") is not None:
            lines.append(
                f"  {name:<{width}}  ten items cover {row['captured_at_10']:.1%} of what customers "
                f"want next; the ideal list {row['ideal']:.1%}, "
                f"the most popular items {row['popularity']:.1%}"
            )
    return lines


def _generate(folder: Path, users: int, output: Output) -> None:
    from propense.worlds.education.education import generate_education

    if (folder / "propense.toml").is_file():
        facts = folder / "truth" / "world.json"
        if not facts.is_file():
            raise SettingsError(
                f"folder {str(folder)!r} has a propense.toml that no demo wrote; "
                "choose another folder with --folder"
            )
        n_users = json.loads(facts.read_bytes())["n_users"]
        if n_users != users:
            raise SettingsError(
                f"folder {str(folder)!r} has a platform of {n_users:,} users, not of "
                f"{users:,}; choose another folder with --folder, or delete it"
            )
        return
    with show_progress(output) as progress:
        progress.stage("generate", f"An education platform of {users:,} users")
        generate_education(folder, users, progress=_Steps(progress))
        progress.finish("generate")


class _Steps:
    """Turns the generator's reports of how far it is into steps of a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done: int | None = None

    def __call__(self, done: int, total: int, text: str) -> None:
        if self._done is None:
            self._progress.start("generate", total)
            self._done = 0
        self._progress.advance("generate", done - self._done, text)
        self._done = done
