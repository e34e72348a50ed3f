"""`propense demo`: a platform whose truth is known, the whole flow, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from propense.cli.browser import open_page
from propense.cli.deployed import deployed
from propense.cli.flow import report_page, run_pipeline, tell
from propense.cli.options import DEFAULTS, Common
from propense.cli.output import Output, open_output
from propense.cli.verify import SENTENCE, record_of, verify_key, words_of
from propense.cli.waiting import show_progress
from propense.errors import SettingsError
from propense.settings import read_settings

if TYPE_CHECKING:
    from propense.pipeline.verification import Verification
    from propense.progress import Progress
    from propense.settings import Settings

VERIFIED = 1_000
"""Customers that the deployed model is asked about; `propense verify` asks about all."""


def demo(
    *,
    users: int = 100_000,
    folder: Path = Path("demo"),
    browser: Annotated[bool, Parameter(name="--open", negative="--no-open")] = True,
    common: Common = DEFAULTS,
) -> None:
    """Generate an education platform, run the flow, serve, verify, open the report.

    The platform's truth is known, so the end says what the flow found of it.
    A demo that was stopped goes on where it was.

    Parameters
    ----------
    users
        Customers of the platform.
    folder
        Where data, run and report go; --settings plays no part here.
    browser
        Open the report; --no-open prints where it lies.
    """
    output = open_output(common)
    _generate(folder, users, output)
    settings = read_settings(folder / "propense.toml")
    result = run_pipeline(settings, output)
    page = report_page(settings)
    found = _verify(folder, settings, output)
    truth = result.report.truth if result.report is not None else {}
    record = {
        "folder": folder, "report": page, "bundle": result.bundle,
        "stage_seconds": result.stage_seconds, "truth": truth,
        "deployed": record_of(found),
    }  # fmt: skip
    said = [tell(result, settings), *_against_truth(truth), "", "Deployed", words_of(found)]
    output.result(record, "\n".join(said))
    if browser and not output.json:
        open_page(page)


def _verify(folder: Path, settings: Settings, output: Output) -> Verification:
    """Serve the bundle for a moment, and hold it against its report through the service."""
    from propense.pipeline.verification import verify

    with (
        deployed(folder / "propense.toml") as url,
        verify_key(settings, None) as key,
        show_progress(output) as progress,
    ):
        progress.stage("verify", SENTENCE)
        return verify(settings, url, key, VERIFIED, progress)


def _against_truth(truth: dict[str, dict[str, float | None]]) -> list[str]:
    """What was found, beside what could be found, in a line a question."""
    lines = ["", "Against the truth of this platform, on the test part"] if truth else []
    width = max(map(len, truth), default=0)
    for name, row in truth.items():
        if row.get("auc_truth") is not None:
            lines.append(
                f"  {name:<{width}}  AUC {row['auc']:.3f}; the true chances themselves reach "
                f"{row['auc_truth']:.3f}; correlation with them {row['pearson']:.2f}"
            )
        elif row.get("ideal") is not None:
            lines.append(
                f"  {name:<{width}}  ten items catch {row['captured_at_10']:.1%} of what customers "
                f"want next; the ideal list {row['ideal']:.1%}, "
                f"the most popular {row['popularity']:.1%}"
            )
    return lines


def _generate(folder: Path, users: int, output: Output) -> None:
    from propense.worlds.education.education import generate_education

    if (folder / "propense.toml").is_file():
        facts = folder / "truth" / "world.json"
        if not facts.is_file():
            raise SettingsError(
                f"folder {str(folder)!r} holds a propense.toml that no demo wrote; "
                "choose another with --folder"
            )
        n_users = json.loads(facts.read_bytes())["n_users"]
        if n_users != users:
            raise SettingsError(
                f"folder {str(folder)!r} holds a platform of {n_users:,} users, not of "
                f"{users:,}; choose another with --folder, or delete it"
            )
        return
    with show_progress(output) as progress:
        progress.stage("generate", f"An education platform of {users:,} users")
        generate_education(folder, users, progress=_Steps(progress))
        progress.finish("generate")


class _Steps:
    """What the generator tells, which is how far it is, as steps of a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done: int | None = None

    def __call__(self, done: int, total: int, text: str) -> None:
        if self._done is None:
            self._progress.start("generate", total)
            self._done = 0
        self._progress.advance("generate", done - self._done, text)
        self._done = done
