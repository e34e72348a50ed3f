"""`propense demo`: a platform whose truth is known, the whole flow, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from propense.cli.browser import open_page
from propense.cli.flow import report_page, run_pipeline, tell
from propense.cli.options import DEFAULTS, Common
from propense.cli.output import Output, open_output
from propense.cli.waiting import show_progress
from propense.errors import SettingsError
from propense.settings import read_settings

if TYPE_CHECKING:
    from propense.progress import Progress


def demo(
    *,
    users: int = 100_000,
    folder: Path = Path("demo"),
    browser: Annotated[bool, Parameter(name="--open", negative="--no-open")] = True,
    common: Common = DEFAULTS,
) -> None:
    """Generate an education platform, run the whole flow, open the report.

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
    record = {"folder": folder, "report": page, "stage_seconds": result.stage_seconds}
    output.result(record, tell(result, settings))
    if browser and not output.json:
        open_page(page)


def _generate(folder: Path, users: int, output: Output) -> None:
    from propense.worlds.education import generate_education

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
