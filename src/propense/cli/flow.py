"""`propense run` and one verb for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from propense.cli.options import (
    ACCEPT,
    DEFAULTS,
    AcceptGuesses,
    Changes,
    Common,
    Flag,
    load_settings,
)
from propense.cli.output import Output, format_clock, open_output
from propense.cli.progress import show_progress
from propense.errors import SettingsError
from propense.settings import Settings

if TYPE_CHECKING:
    from propense.pipeline import RunResult
    from propense.schemas import Account

StageName = Literal["clean", "split", "encode", "train", "rivals", "evaluate", "pack"]


@Parameter(name="*")
@dataclass(frozen=True)
class StageOptions:
    """Options of every verb that runs stages."""

    force: Annotated[bool, Flag] = False
    """Run the requested stages again even if they are up to date."""
    accept_guesses: AcceptGuesses = False
    """Read data that can be read in two ways in the likelier one, without asking."""
    changes: Changes = ()
    """Override a setting, KEY=VALUE; may be repeated."""

    @property
    def all_changes(self) -> tuple[str, ...]:
        """The settings that these options override, in order."""
        return (*self.changes, ACCEPT) if self.accept_guesses else self.changes


STAGE_DEFAULTS = StageOptions()


def run(
    *,
    until: StageName | None = None,
    learning_curve: Annotated[bool, Flag] = False,
    every: Annotated[str | None, Parameter(show_default=False)] = None,
    options: StageOptions = STAGE_DEFAULTS,
    common: Common = DEFAULTS,
) -> None:
    """Run all stages: clean, split, encode, train, rivals, evaluate, pack.

    Finished stages are skipped unless their settings or files changed. A run that
    was stopped, even by kill -9, resumes where it was.

    With --every all of it is repeated: whenever data or settings have changed, a
    new bundle is packed. It serves unless it is worse than the one that serves or
    than a simple rival. Ctrl-C or SIGTERM ends the repetition. Each cycle adds a
    line to cycles.jsonl in the folder of the run.

    Parameters
    ----------
    until
        Stop after this stage.
    learning_curve
        Also train on less data, and networks of other sizes: the
        report says if more data or a larger network would help.
    every
        Repeat at this interval, such as 1d.
    """
    if every is not None:
        if until is not None or learning_curve or options.force:
            raise SettingsError(
                "--every repeats the whole flow whenever something changed; leave out --until, "
                "--force and --learning-curve"
            )
        from propense.cli.repeat import run_repeatedly

        changes = options.all_changes
        run_repeatedly(lambda: load_settings(common, changes), every, open_output(common))
        return
    _run_until(until, options, common, learning_curve)


def clean(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Read the sources, set aside unusable rows, and account for every row.

    Rows that are set aside are stored with the reason in clean/set_aside/, in the
    folder of the run.
    """
    _run_until("clean", options, common, with_account=True)


def split(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Divide the customers' histories into train, validation and test.

    The time in which a part's labels happen ends before the next part begins. If
    anything leaks from one part into another, or a column of customers knows what
    happens after as_of, the stage fails.
    """
    _run_until("split", options, common)


def encode(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Turn histories into arrays, with scales learned from the train part alone."""
    _run_until("encode", options, common)


def train(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Train the customer network; the best epoch on validation is kept.

    A checkpoint is written every minute, so that a stopped training resumes there.
    """
    _run_until("train", options, common)


def rivals(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Train traditional models on the same data as the network."""
    _run_until("rivals", options, common)


def evaluate(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Compare the network with its rivals on test, and write the report.

    Every number has an interval. The best models (champions) and the thresholds are
    chosen on validation, never on test. With --json, "lists" has each model's
    lists after each cut in time.
    """
    _run_until("evaluate", options, common, with_lists=True)


def pack(*, options: StageOptions = STAGE_DEFAULTS, common: Common = DEFAULTS) -> None:
    """Pack the best model of each question into a bundle on the shelf.

    The packed models are run, and must give the numbers of the report again.
    """
    _run_until("pack", options, common)


def _run_until(
    until: str | None, options: StageOptions, common: Common, learning_curve: bool = False,
    with_account: bool = False, with_lists: bool = False,
) -> None:  # fmt: skip
    output = open_output(common)
    settings = load_settings(common, options.all_changes)
    result = run_pipeline(settings, output, until, options.force, learning_curve)
    record: dict[str, Any] = {
        "run": result.run.root, "stage_seconds": result.stage_seconds, "skipped": result.skipped,
        "report": report_page(settings) if result.report is not None else None,
        "bundle": result.bundle, "promotion": result.promotion,
    }  # fmt: skip
    if result.learning_curve is not None:
        record["learning_curve"] = result.learning_curve
    text = format_result(result, settings)
    if with_lists and result.report is not None and result.report.ranking is not None:
        record["lists"] = result.report.ranking.by_cut
    if with_account:
        from propense.tables.cleaning.accounts import read_accounts
        from propense.tables.cleaning.losses import warn_of_losses

        accounts = read_accounts(result.run.clean / "account.json")
        for sentence in warn_of_losses(accounts, settings.clean):
            output.message(f"warning: {sentence}")
        account = count_events(accounts)
        record |= account
        text += f"\n{format_account(account, settings)}" if account else ""
    output.result(record, text)


def count_events(accounts: Sequence[Account]) -> dict[str, Any]:
    """What became of the events of all sources, from the account; empty where there are none.

    Keys: `physical_lines` of the files, `rows_read`, `kept`, `set_aside`, and `money`, the net
    amount of the clean events in units of the currency.
    """
    account = next((one for one in accounts if one.table == "events"), None)
    if account is None:
        return {}
    return {
        "physical_lines": sum(file.physical_lines for file in account.files),
        "rows_read": account.n_in, "kept": account.n_out - account.added,
        "set_aside": account.dropped, "money": account.money,
    }  # fmt: skip


def format_account(account: dict[str, Any], settings: Settings) -> str:
    """The counts of `count_events` as one line."""
    lines = f"{account['physical_lines']:,} lines, " if account["physical_lines"] else ""
    money = account["money"]
    net = "" if money is None else f"; net money {money:,.2f} {settings.currency}"
    return (
        f"events  {lines}{account['rows_read']:,} rows read, {account['kept']:,} kept, "
        f"{account['set_aside']:,} set aside{net}"
    )


def run_pipeline(
    settings: Settings,
    output: Output,
    until: str | None = None,
    force: bool = False,
    with_curve: bool = False,
) -> RunResult:
    """Run the pipeline with progress on stderr."""
    from propense import pipeline

    with show_progress(output) as progress:
        return pipeline.run(
            settings, until=until, force=force, with_curve=with_curve, progress=progress
        )


def report_page(settings: Settings) -> Path:
    """Path of the report, whether or not it exists."""
    from propense.schemas import RunFolder

    return RunFolder(Path(settings.folder) / settings.run).evaluation / "report.html"


def format_result(result: RunResult, settings: Settings) -> str:
    """What was made, how long it took, and its path."""
    lines = [f"  {name:<10}up to date" for name in result.skipped]
    lines += [
        f"  {name:<10}{format_clock(seconds)}"
        for name, seconds in result.stage_seconds.items()
        if name not in result.skipped
    ]
    if result.learning_curve is not None:
        from propense.evaluation.report.page.learning import cut_short

        curve = result.learning_curve
        for name, sentences in (("data", curve.data), ("depth", curve.depth)):
            lines.append(f"{name:<8}{' '.join(text.en for text in sentences[:2])}")
        lines += [f"{'':<8}{text.en}" for text in cut_short(curve)]
    lines.append(f"run     {result.run.root}")
    if result.report is not None:
        lines.append(f"report  {report_page(settings)}   (open it with: propense report)")
    if result.bundle is not None:
        lines.append(f"bundle  {result.bundle}")
    if result.promotion is not None:
        promotion = result.promotion
        promoted = promotion.outcome == "promoted"
        lines.append(
            f"gate    {f'{promotion.version} now serves' if promoted else promotion.reason}"
        )
    return "\n".join(lines)
