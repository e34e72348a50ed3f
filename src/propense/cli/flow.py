"""The whole flow and its stages, one verb each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from propense.cli.options import DEFAULTS, Common, Flag, load_settings
from propense.cli.output import Output, open_output
from propense.cli.waiting import clock, show_progress
from propense.errors import SettingsError
from propense.settings import Settings

if TYPE_CHECKING:
    from propense.pipeline import RunResult

StageName = Literal["clean", "split", "encode", "train", "rivals", "evaluate", "pack"]


@Parameter(name="*")
@dataclass(frozen=True)
class Making:
    """Options of every verb that makes something."""

    force: Annotated[bool, Flag] = False
    """Make the asked stages again, though they are finished."""
    changes: Annotated[
        tuple[str, ...],
        Parameter(name="--set", negative="", consume_multiple=False, show_default=False),
    ] = ()
    """Another value for one setting, KEY=VALUE, as often as needed: --set train.max_epochs=3."""


NOTHING_FORCED = Making()


def run(
    *,
    until: StageName | None = None,
    learning_curve: Annotated[bool, Flag] = False,
    every: Annotated[str | None, Parameter(show_default=False)] = None,
    making: Making = NOTHING_FORCED,
    common: Common = DEFAULTS,
) -> None:
    """Run the whole flow: clean, split, encode, train, rivals, evaluate, pack.

    Finished stages are not made again unless their settings or files changed.
    A run that was stopped, even by kill -9, goes on where it was.

    Parameters
    ----------
    until
        Stop after this stage.
    learning_curve
        Also train on shares of the data and at other sizes: would more help?
    every
        Run again and again, such as 1d: whenever data or settings changed, a
        bundle is made and serves if it passes the shelf's gate. Ends with SIGTERM;
        RUN/cycles.jsonl tells.
    """
    if every is not None:
        if until is not None or learning_curve or making.force:
            raise SettingsError(
                "--every runs the whole flow whenever something changed; leave --until, --force "
                "and --learning-curve out"
            )
        from propense.cli.every import run_every

        run_every(lambda: load_settings(common, making.changes), every, open_output(common))
        return
    _make(until, making, common, learning_curve)


def clean(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Read the sources and account for every row.

    What is set aside is kept with its reason in RUN/clean/set_aside/; rows balance.
    """
    _make("clean", making, common)


def split(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Divide the customers' histories by time into train, validation and test.

    Label windows of a part close before the next part opens; a leak is an error.
    """
    _make("split", making, common)


def encode(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Learn vocabularies and scales on train alone, and write arrays."""
    _make("encode", making, common)


def train(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Train the customer network; the epoch that is best on validation is kept.

    A checkpoint every minute: a stopped training goes on where it was.
    """
    _make("train", making, common)


def rivals(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Train the traditional rivals on the same parts and the same encodings."""
    _make("rivals", making, common)


def evaluate(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Compare the network and its rivals on test, and write the report.

    Every number has an interval; thresholds and champions come from validation.
    """
    _make("evaluate", making, common)


def pack(*, making: Making = NOTHING_FORCED, common: Common = DEFAULTS) -> None:
    """Put the champions into a bundle on the shelf.

    The packed graphs are checked to give the numbers that the report was made of.
    """
    _make("pack", making, common)


def _make(until: str | None, making: Making, common: Common, learning_curve: bool = False) -> None:
    output = open_output(common)
    settings = load_settings(common, making.changes)
    result = run_pipeline(settings, output, until, making.force, learning_curve)
    record: dict[str, Any] = {
        "run": result.run.root, "stage_seconds": result.stage_seconds, "skipped": result.skipped,
        "report": report_page(settings) if result.report is not None else None,
        "bundle": result.bundle, "promotion": result.promotion,
    }  # fmt: skip
    if result.learning_curve is not None:
        record["learning_curve"] = result.learning_curve
    output.result(record, tell(result, settings))


def run_pipeline(
    settings: Settings,
    output: Output,
    until: str | None = None,
    force: bool = False,
    with_curve: bool = False,
) -> RunResult:
    """The pipeline, with progress on stderr."""
    from propense import pipeline

    with show_progress(output) as progress:
        return pipeline.run(
            settings, until=until, force=force, with_curve=with_curve, progress=progress
        )


def report_page(settings: Settings) -> Path:
    """Where the report of these settings lies."""
    from propense.schemas import RunFolder

    return RunFolder(Path(settings.folder) / settings.run).evaluation / "report.html"


def tell(result: RunResult, settings: Settings) -> str:
    """What was made, in how long, and where it lies."""
    lines = [f"  {name:<10}finished before, kept" for name in result.skipped]
    lines += [
        f"  {name:<10}{clock(seconds)}"
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
        answer = result.promotion
        told = f"{answer.version} serves now" if answer.outcome == "promoted" else answer.reason
        lines.append(f"gate    {told}")
    return "\n".join(lines)
