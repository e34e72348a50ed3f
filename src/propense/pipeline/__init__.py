"""The flow, told once: clean, split, encode, train, rivals, evaluate, pack.

Each function below is one stage: it reads what the stage before left in the run folder,
writes its own result, and can be called alone. `run` calls them in order and skips those
that are up to date.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from propense.encoding.dataset import Dataset
from propense.encoding.dataset import encode as encode_dataset
from propense.encoding.storage import ENCODED
from propense.errors import SettingsError
from propense.evaluation.judging.cuts import judge_cuts
from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.judging.rankings import judge_ranking
from propense.evaluation.records import LearningCurve, Report
from propense.evaluation.report.card import render_card
from propense.evaluation.report.page.render import render_page
from propense.evaluation.report.storage import report_from_json, report_to_json
from propense.export.bundle import write_bundle
from propense.inference.artifact import manifest
from propense.inference.shelf import activate, new_version, read_current
from propense.models.shape import WEIGHTS
from propense.pipeline.column_findings import record_columns
from propense.pipeline.learning_points import SENTENCE, make_curve
from propense.pipeline.list_cuts import score_cuts
from propense.pipeline.live import exported_live
from propense.pipeline.promotion import Promoted, promote_packed
from propense.pipeline.reporting import assemble, capped_rows
from propense.pipeline.resume.inputs import input_hashes
from propense.pipeline.resume.loop import make_unfinished, one_run
from propense.pipeline.resume.stages import Stage, find_stage, read_done
from propense.pipeline.rival_fitting import fit_rivals, open_rivals, rival_notes
from propense.pipeline.scoring import ModelSet, score_goals, score_rankings
from propense.pipeline.servings import item_champion, read_servings, write_servings
from propense.pipeline.truth import with_truth
from propense.progress import NoProgress, Progress
from propense.schemas import Account, RunFolder, SplitPlan
from propense.settings import Settings
from propense.tables.cleaning.clean import clean as clean_tables
from propense.tables.cleaning.losses import refuse_losses
from propense.tables.doctor.leaks.checks import check_columns
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import read as read_sources
from propense.tables.splitting.split import split as split_tables
from propense.training.customer_model import fit_customer_model, open_model, refresh
from propense.training.downweighting import downweight_shilling

__all__ = [
    "STAGES", "RunResult", "Stage", "bundle_folder", "clean", "encode",
    "evaluate", "learning_curve", "model_sets", "pack", "rivals", "run", "run_folder", "split",
    "train",
]  # fmt: skip


SILENT: Final = NoProgress()


@dataclass
class RunResult:
    """What a run made, and which stages were up to date."""

    run: RunFolder
    report: Report | None = None
    bundle: Path | None = None
    learning_curve: LearningCurve | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    promotion: Promoted | None = None
    """The answer of the shelf's gate, where it was asked in this run."""


def run(
    settings: Settings,
    *,
    until: str | None = None,
    force: bool = False,
    with_curve: bool = False,
    progress: Progress = SILENT,
) -> RunResult:
    """Make every stage up to `until`, in order, that is not up to date.

    `force` makes the stage `until` again even if it is up to date; without `until`, every
    stage. `with_curve` adds the learning curve to the report at the end.
    Raises PropenseError, also while another process runs in the same folder; the results of
    finished stages stay.
    """
    with one_run(run_folder(settings)):
        return _run(settings, until, force, with_curve, progress)


def _run(
    settings: Settings, until: str | None, force: bool, with_curve: bool, progress: Progress
) -> RunResult:
    result = RunResult(run_folder(settings))
    last = find_stage(STAGES, until) if until is not None else STAGES[-1]
    if with_curve and last.name not in ("evaluate", "pack"):
        raise SettingsError(
            f"the learning curve is drawn in the report, but the run is to stop after "
            f"{last.name!r}; leave --until out, or use --until evaluate"
        )
    forced = () if not force else (last,) if until is not None else STAGES
    result.stage_seconds, result.skipped = make_unfinished(
        STAGES, settings, result.run, last, forced, progress
    )
    if with_curve:
        result.learning_curve = learning_curve(settings, progress, force=force and until is None)
    report = result.run.evaluation / "report.json"
    if last.name in ("evaluate", "pack"):
        result.report = report_from_json(report)
    if last.name == "pack":
        result.bundle = bundle_folder(settings)
        if settings.pack.promote == "gate":
            made = result.report.made if result.report is not None else None
            answer, just_now = promote_packed(
                settings, result.bundle, result.run.packed, made or ""
            )
            result.promotion = answer if just_now else None
    return result


def run_folder(settings: Settings) -> RunFolder:
    """Where this run writes."""
    return RunFolder(Path(settings.folder) / settings.run)


def clean(settings: Settings, progress: Progress = SILENT) -> list[Account]:
    """Read the logs, set aside unusable rows, account for every row."""
    with _engine(settings) as engine, exported_live(settings):
        raw = read_sources(settings, engine)
        accounts = clean_tables(raw, settings, engine, run_folder(settings))
    refuse_losses(accounts, settings.clean)
    return accounts


def split(settings: Settings, progress: Progress = SILENT) -> SplitPlan:
    """Divide the data into train, validation and test without leaks.

    Raises LeakError where a column of customers knows what happens after as_of.
    """
    run = run_folder(settings)
    with _engine(settings) as engine:
        plan = split_tables(run, settings, engine)
        columns = check_columns(run, plan, settings, engine)
    return record_columns(run, plan, columns, settings)


def encode(settings: Settings, progress: Progress = SILENT) -> Dataset:
    """Turn histories into arrays, with scales learned from the train part alone."""
    dataset = encode_dataset(run_folder(settings), settings)
    # Memory that Arrow reserves for its next table would stay occupied during training.
    pa.default_memory_pool().release_unused()
    return dataset


def train(settings: Settings, progress: Progress = SILENT) -> None:
    """Train the customer network until validation stops improving.

    With folds, once for each; likewise with earlier cuts.
    """
    for number, dataset in enumerate(_folds(settings)):
        folder = _training_folder(settings, number)
        fit_customer_model(dataset, settings, folder, progress, earlier=_earlier(settings, folder))
    for number in _earlier_cuts(settings):
        folder = _cut_folder(run_folder(settings).training, number)
        fit_customer_model(_at_cut(settings, number), settings, folder, progress)


def rivals(settings: Settings, progress: Progress = SILENT) -> None:
    """Train traditional models on the same data."""
    for number, dataset in enumerate(_folds(settings)):
        fit_rivals(dataset, settings, _rivals_folder(settings, number), progress)
    for number in _earlier_cuts(settings):
        folder = _cut_folder(run_folder(settings).rivals, number)
        fit_rivals(_at_cut(settings, number), settings, folder, progress)


def evaluate(settings: Settings, progress: Progress = SILENT) -> Report:
    """Compare the network with its rivals on the test part.

    Writes the report as JSON, as a page and as a model card.
    """
    run = run_folder(settings)
    rng = np.random.default_rng([settings.train.seed, 3])
    folds = model_sets(settings)
    most, seed = settings.evaluate.max_rows, settings.split.seed
    scored_goals = score_goals(folds, most, seed, with_trainings=True)
    progress.start("judge", len(scored_goals) + 1)
    goals = []
    for name, scored in scored_goals.items():
        progress.advance("judge", 1, name)
        goals.append(
            judge_goal(scored.validation, scored.test, settings.goals[name], settings.evaluate, rng)
        )
    lists = score_rankings(folds[0], most, seed)
    ranking = judge_ranking(*lists, settings.evaluate, rng) if lists is not None else None
    if ranking is not None:
        cuts = score_cuts(_at_each_cut(settings, folds[0]), seed)
        by_cut = judge_cuts(cuts, ranking.champion.model, settings.evaluate.resamples, rng)
        ranking = msgspec.structs.replace(ranking, by_cut=by_cut)
    progress.finish("judge")
    seconds = {
        stage.name: done.seconds for stage in STAGES if (done := read_done(run, stage)) is not None
    }
    report = assemble(
        folds, settings, goals, ranking, rival_notes(folds), seconds,
        capped_rows(folds, most),
    )  # fmt: skip
    report = with_truth(report, folds[0], scored_goals, Path(settings.folder) / "truth")
    report = _write_report(run, report)
    write_servings(run.evaluation, goals, scored_goals)
    return report


def learning_curve(
    settings: Settings, progress: Progress = SILENT, *, force: bool = False
) -> LearningCurve:
    """Train on shares of the data and at other sizes, and draw it in the finished report.

    Finished points are kept, unless `force` is true.
    """
    run = run_folder(settings)
    report = report_from_json(run.evaluation / "report.json")
    if force:
        shutil.rmtree(run.curve, ignore_errors=True)
    progress.stage("curve", SENTENCE)
    encoded = read_done(run, find_stage(STAGES, "encode"))
    dataset = downweight_shilling(Dataset.open(run), settings)
    curve = make_curve(
        dataset, settings, _training_folder(settings, 0), run.curve,
        encoded.inputs_hash if encoded is not None else input_hashes(STAGES, settings)["encode"],
        progress,
    )  # fmt: skip
    _write_report(run, msgspec.structs.replace(report, learning_curve=curve))
    return curve


def _write_report(run: RunFolder, report: Report) -> Report:
    """The report as JSON, as a page and as a card; as it will be read again."""
    content = report_to_json(report)
    report = report_from_json(content)
    run.evaluation.mkdir(parents=True, exist_ok=True)
    (run.evaluation / "report.json").write_bytes(content)
    (run.evaluation / "report.html").write_text(render_page(report), "utf-8")
    (run.evaluation / "model_card.md").write_text(render_card(report), "utf-8")
    return report


def pack(settings: Settings, progress: Progress = SILENT) -> Path:
    """Pack everything that serving needs into a bundle.

    The first on a shelf serves at once, unless [pack] promote says otherwise.
    """
    run = run_folder(settings)
    first = model_sets(settings)[0]
    report = report_from_json(run.evaluation / "report.json")
    refreshed = None
    if settings.pack.refresh:
        earlier = _earlier(settings, _training_folder(settings, 0))
        refreshed = refresh(
            first.dataset, settings, first.network, run.packed / "refresh", progress, earlier
        )
    shelf = Path(settings.folder) / settings.pack.shelf
    version = new_version(shelf)
    # The present name and signing key: no earlier stage depends on them.
    dataset = replace(first.dataset, settings=settings)
    bundle = write_bundle(
        dataset, first.network, refreshed, read_servings(run.evaluation),
        _rivals_folder(settings, 0), item_champion(first, report), report,
        shelf / version,
    )  # fmt: skip
    if settings.pack.promote == "first" and read_current(shelf).version is None:
        activate(shelf, version, "first on the shelf", report.made or "")
    run.packed.mkdir(parents=True, exist_ok=True)
    (run.packed / "version.txt").write_text(version, "utf-8")
    return bundle


def bundle_folder(settings: Settings) -> Path:
    """The bundle this run packed."""
    version = (run_folder(settings).packed / "version.txt").read_text("utf-8")
    return Path(settings.folder) / settings.pack.shelf / version


def model_sets(settings: Settings) -> list[ModelSet]:
    """Every fold's network and rivals, as their stages wrote them."""
    return [
        ModelSet(
            dataset,
            open_model(dataset, settings, _training_folder(settings, number)),
            *open_rivals(_rivals_folder(settings, number)),
        )
        for number, dataset in enumerate(_folds(settings))
    ]


def _folds(settings: Settings) -> list[Dataset]:
    """The data sets to train on, one a fold; customers who push items count less, or not at
    all."""
    dataset = Dataset.open(run_folder(settings))
    folds = [dataset]
    if dataset.plan.folds is not None:
        folds = [dataset.for_fold(number) for number in range(dataset.plan.folds)]
    return [downweight_shilling(fold, settings) for fold in folds]


def _earlier_cuts(settings: Settings) -> range:
    """Their numbers; none where nothing is recommended."""
    return range(1, settings.split.cuts if settings.recommend is not None else 1)


def _at_cut(settings: Settings, number: int) -> Dataset:
    dataset = Dataset.open(run_folder(settings)).for_cut(number)
    return downweight_shilling(dataset, settings)


def _at_each_cut(settings: Settings, own: ModelSet) -> Iterator[ModelSet]:
    """The models of the split's own cut, then those of the earlier ones."""
    yield own
    run = run_folder(settings)
    for number in _earlier_cuts(settings):
        dataset = _at_cut(settings, number)
        network = open_model(dataset, settings, _cut_folder(run.training, number))
        yield ModelSet(dataset, network, *open_rivals(_cut_folder(run.rivals, number)))


def _cut_folder(folder: Path, number: int) -> Path:
    return folder / f"cut-{number}"


def _training_folder(settings: Settings, number: int) -> Path:
    return _fold_folder(settings, run_folder(settings).training, number)


def _rivals_folder(settings: Settings, number: int) -> Path:
    return _fold_folder(settings, run_folder(settings).rivals, number)


def _fold_folder(settings: Settings, folder: Path, number: int) -> Path:
    return folder if settings.split.folds is None else folder / f"fold-{number}"


def _earlier(settings: Settings, folder: Path) -> Path:
    """Where the training before the one in `folder` was set aside."""
    run = run_folder(settings)
    return run.previous / folder.relative_to(run.training)


@contextmanager
def _engine(settings: Settings) -> Iterator[TableEngine]:
    """A table engine for one stage; what it spilled is removed afterwards."""
    scratch = run_folder(settings).root / "scratch"
    engine = connect(settings.engine, scratch, settings.memory_limit)
    try:
        yield engine
    finally:
        engine.con.disconnect()
        shutil.rmtree(scratch, ignore_errors=True)


STAGES: Final = (
    Stage("clean", clean, lambda run: run.clean,
          ("engine", "time_zone", "currency", "sources", "identities", "users", "items",
           "exposures", "impressions", "clean", "split.by", "split.fractions", "split.folds",
           "split.group", "split.validation_from"),
          ignores=("users.known_before", "items.known_before")),
    Stage("split", split, lambda run: run.parts, ("split", "goals", "users", "items")),
    Stage("encode", encode, lambda run: run.encoded, ("features", "recommend"), format=ENCODED),
    Stage("train", train, lambda run: run.training, ("model", "train", "tuning"),
          format=WEIGHTS, resumable=True, previous=lambda run: run.previous),
    Stage("rivals", rivals, lambda run: run.rivals, ("rivals",),
          independent_of=("train",), resumable=True),
    Stage("evaluate", evaluate, lambda run: run.evaluation, ("evaluate",)),
    # Which bundle serves is no part of what is packed.
    Stage("pack", pack, lambda run: run.packed, ("pack",), ignores=("pack.promote",),
          format=manifest.FORMAT, resumable=True),
)  # fmt: skip
"""The flow, in order."""
