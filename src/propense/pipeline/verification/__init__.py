"""The integration test: is the deployed model the evaluated one?

The test part's customers are sent to the live service under a name of their own, asked about at
the test part's moments, and the report's numbers are computed again from the answers.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np

from propense.encoding.dataset import Dataset
from propense.errors import VerifyError
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import Report
from propense.evaluation.report.storage import report_from_json
from propense.inference.bundle import Bundle, Serving, open_bundle
from propense.pipeline.scoring import LIST_LENGTH, judged_rows, judged_targets
from propense.pipeline.verification.client import ServiceClient
from propense.pipeline.verification.judging import (
    CLOSE,
    CLOSE_TREES,
    Check,
    check_answers,
    check_goal,
    check_lists,
)
from propense.pipeline.verification.replay import import_lines, name_of
from propense.progress import NoProgress, Progress
from propense.schemas import FIRST_KNOWN, NO_TIME, TEST, AsOfRows, Doubles, Ids, RunFolder, Targets
from propense.serving.messages.customers import IngestAnswer
from propense.serving.messages.health import HealthAnswer
from propense.serving.messages.predict import PredictAnswers, PredictBatch, PredictQuestion
from propense.serving.messages.recommend import (
    RecommendAnswers,
    RecommendBatch,
    RecommendQuestion,
)
from propense.settings import Settings

BATCH: Final = 500
SAMPLE: Final = 500
"""Rows on which the refreshed network, which has no report, is held against itself offline."""


@dataclass
class Verification:
    """What was checked, and whether all of it was met."""

    bundle: str
    checks: list[Check] = field(default_factory=list)
    n_customers: int = 0
    n_messages: int = 0
    n_rows: int = 0
    n_lists: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    whole: bool = True
    """False where only a sample was asked, whose numbers are not the report's."""

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.is_met]


def verify(
    settings: Settings,
    url: str,
    key: str,
    customers: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Hold the service at `url` against the report of the bundle it serves.

    `customers` asks about a sample of so many; then answers are compared with offline ones
    alone: the report's metrics are of all rows.
    Raises VerifyError where there is nothing to compare, or what was sent cannot be destroyed
    again; a difference is no error but a check that is not met.
    """
    progress = progress or NoProgress()
    client = ServiceClient(url, key)
    token = secrets.token_hex(8)
    try:
        version = client.get("/health/ready", HealthAnswer).bundle
        dataset, report = _open(settings, version)
        folder = Path(settings.folder) / settings.pack.shelf / version
        sample = _draw_sample(dataset, report, settings, customers)
        result = Verification(version, whole=customers is None and dataset.plan.folds is None)
        began = time.perf_counter()
        _replay(client, dataset, token, sample, result, progress)
        result.seconds["replay"] = round(time.perf_counter() - began, 2)
        began = time.perf_counter()
        evaluated = open_bundle(folder, network="evaluated")
        _check_goals(client, dataset, evaluated, report, sample, token, result, progress)
        _check_lists(client, dataset, evaluated, report, sample, token, result, progress)
        if evaluated.info.refreshed:
            _check_refreshed(client, dataset, open_bundle(folder), sample, token, result)
        result.seconds["ask"] = round(time.perf_counter() - began, 2)
    except BaseException:
        # What stopped the test is what has to be told.
        with suppress(VerifyError):
            client.delete(f"/v1/verify/{token}")
        raise
    else:
        client.delete(f"/v1/verify/{token}")
        return result
    finally:
        client.close()


@dataclass(frozen=True)
class _Sample:
    """Rows and moments of the test part that are asked about."""

    rows: AsOfRows
    targets: Targets

    def users(self, dataset: Dataset) -> list[str]:
        index = np.unique(np.concatenate([self.rows.user, self.targets.user]))
        return [str(word) for word in dataset.histories.user_ids[index]]


def _open(settings: Settings, version: str) -> tuple[Dataset, Report]:
    folder = Path(settings.folder) / settings.pack.shelf / version
    if not folder.is_dir():
        raise VerifyError(
            f"the service answers with bundle {version!r}, which is not on the shelf "
            f"{str(folder.parent)!r}; verify it where its run is"
        )
    dataset = Dataset.open(RunFolder(Path(settings.folder) / settings.run))
    report = report_from_json(folder / "report.json")
    if report.plan != dataset.plan:
        raise VerifyError(
            f"bundle {version!r} was not made by the run in {settings.run!r} as it is now; "
            "promote the bundle of this run, or name the run it was made by with --run"
        )
    return dataset, report


def _draw_sample(
    dataset: Dataset, report: Report, settings: Settings, customers: int | None
) -> _Sample:
    most, seed = settings.evaluate.max_rows, settings.split.seed
    rows = judged_rows(dataset.rows, TEST, most, seed)
    if not report.goals:
        rows = rows.take(np.zeros(0, np.int64))
    targets = judged_targets(dataset, TEST, most, seed)
    if report.ranking is None:
        targets = targets.take(np.zeros(0, np.int64))
    if not len(rows) and not len(targets):
        raise VerifyError("the test part has neither a labelled row nor a list to ask about")
    if customers is not None:
        users = np.unique(np.concatenate([rows.user, targets.user]))
        rng = np.random.default_rng([seed, 5])
        some = rng.choice(users, min(customers, len(users)), replace=False)
        rows = rows.take(np.flatnonzero(np.isin(rows.user, some)))
        targets = targets.take(np.flatnonzero(np.isin(targets.user, some)))
    return _Sample(rows, targets)


def _replay(
    client: ServiceClient,
    dataset: Dataset,
    token: str,
    sample: _Sample,
    result: Verification,
    progress: Progress,
) -> None:
    users = sample.users(dataset)
    cuts: dict[str, list[int]] | None = None
    if not dataset.histories.timed:
        cuts = {}
        begin = dataset.histories.offsets[:-1][sample.targets.user]
        for user, cut in zip(sample.targets.user, sample.targets.end - begin, strict=True):
            cuts.setdefault(str(dataset.histories.user_ids[user]), []).append(int(cut))
    lengths = np.diff(dataset.histories.offsets)
    index = np.unique(np.concatenate([sample.rows.user, sample.targets.user]))
    progress.start("replay", int(lengths[index].sum()) + len(index))
    for count, lines in import_lines(dataset, token, users, cuts):
        answer = client.send_lines(lines, IngestAnswer)
        if answer.refused:
            raise VerifyError(
                f"the service refused {answer.refused} messages of the test part: "
                f"{answer.refusals[:1]}"
            )
        result.n_messages += count
        progress.advance("replay", count)
    result.n_customers = len(users)
    progress.finish("replay")


def _check_goals(
    client: ServiceClient,
    dataset: Dataset,
    bundle: Bundle,
    report: Report,
    sample: _Sample,
    token: str,
    result: Verification,
    progress: Progress,
) -> None:
    rows = sample.rows
    if not len(rows):
        return
    live = _predict(client, dataset, bundle, rows, token, "evaluated", progress)
    offline = bundle.predict(
        dataset.histories, dataset.clock(), dataset.profiles, rows.user, rows.as_of
    )
    result.n_rows = len(rows)
    names = [goal.name for goal in dataset.plan.goals]
    for number, serving in enumerate(bundle.info.goals):
        judged = next(goal for goal in report.goals if goal.name == serving.goal.name)
        y = rows.y[:, names.index(serving.goal.name)].astype(np.float64)
        labelled = np.isfinite(y)
        result.checks.append(
            _compare(serving, serving.goal.name, offline[:, number], live[:, number])
        )
        if result.whole:
            result.checks += check_goal(judged, y[labelled], live[labelled, number])


def _check_lists(
    client: ServiceClient,
    dataset: Dataset,
    bundle: Bundle,
    report: Report,
    sample: _Sample,
    token: str,
    result: Verification,
    progress: Progress,
) -> None:
    targets = sample.targets
    if not len(targets) or report.ranking is None:
        return
    live = _recommend(client, dataset, bundle, targets, token, progress)
    offline, _ = bundle.recommend(
        dataset.histories, dataset.clock(), targets.user, targets.end,
        targets.as_of(dataset.histories), LIST_LENGTH,
    )  # fmt: skip
    result.n_lists = len(targets)
    unlike = float((live != offline).any(axis=1).mean())
    # Two scores that agree to the last digit can come in either order.
    result.checks.append(Check("recommendations: share of lists unlike offline", 0.0, unlike, 5e-3))
    if result.whole:
        result.checks += check_lists(report.ranking, targets, live)


def _check_refreshed(
    client: ServiceClient,
    dataset: Dataset,
    bundle: Bundle,
    sample: _Sample,
    token: str,
    result: Verification,
) -> None:
    """The network that serves has no report of its own: it must answer as it does offline."""
    rows = sample.rows.take(np.arange(min(SAMPLE, len(sample.rows))))
    if not len(rows):
        return
    live = _predict(client, dataset, bundle, rows, token, "serving", NoProgress())
    offline = bundle.predict(
        dataset.histories, dataset.clock(), dataset.profiles, rows.user, rows.as_of
    )
    for number, serving in enumerate(bundle.info.goals):
        name = f"{serving.goal.name}, refreshed network"
        result.checks.append(_compare(serving, name, offline[:, number], live[:, number]))


def _compare(serving: Serving, name: str, offline: Doubles, live: Doubles) -> Check:
    """One goal's live answers against the offline ones, as close as its kind allows."""
    near = CLOSE if serving.champion == "network" else CLOSE_TREES
    if np.isinf(KINDS[serving.goal.kind].highest):
        near = CLOSE_TREES * max(1.0, float(np.abs(offline).max(initial=0)))
    return check_answers(name, offline, live, near)


def _predict(
    client: ServiceClient,
    dataset: Dataset,
    bundle: Bundle,
    rows: AsOfRows,
    token: str,
    network: Literal["serving", "evaluated"],
    progress: Progress,
) -> Doubles:
    """(n_rows, n_goals) of the live service."""
    names = [serving.goal.name for serving in bundle.info.goals]
    out = np.full((len(rows), len(names)), np.nan)
    words = dataset.histories.user_ids
    progress.start("predict", len(rows))
    for first in range(0, len(rows), BATCH):
        some = range(first, min(first + BATCH, len(rows)))
        questions = [
            PredictQuestion(
                user_id=name_of(token, str(words[rows.user[row]])),
                as_of=_as_of(int(rows.as_of[row])),
                network=network,
            )
            for row in some
        ]
        answers = client.post(
            "/v1/predict/batch", PredictBatch(batch=questions), PredictAnswers
        ).answers
        for row, answer in zip(some, answers, strict=True):
            for number, name in enumerate(names):
                reply = answer.goals[name]
                value = reply.probability if reply.expected is None else reply.expected
                out[row, number] = np.nan if value is None else value
        progress.advance("predict", len(questions))
    progress.finish("predict")
    return out


def _recommend(
    client: ServiceClient,
    dataset: Dataset,
    bundle: Bundle,
    targets: Targets,
    token: str,
    progress: Progress,
) -> Ids:
    """(n_rows, k) item indices of the live service."""
    out = np.zeros((len(targets), LIST_LENGTH), np.int32)
    histories, find = dataset.histories, bundle.encoder.items.find
    begin = histories.offsets[:-1][targets.user]
    progress.start("recommend", len(targets))
    for first in range(0, len(targets), BATCH):
        some = range(first, min(first + BATCH, len(targets)))
        questions = []
        for row in some:
            user = str(histories.user_ids[targets.user[row]])
            end = int(targets.end[row])
            cut = None if histories.timed else end - int(begin[row])
            as_of = _as_of(int(histories.time[end])) if histories.timed else None
            questions.append(
                RecommendQuestion(
                    user_id=name_of(token, user, cut),
                    as_of=as_of,
                    k=LIST_LENGTH,
                    network="evaluated",
                )
            )
        answers = client.post(
            "/v1/recommend/batch", RecommendBatch(batch=questions), RecommendAnswers
        ).answers
        for row, answer in zip(some, answers, strict=True):
            items = [find(item.item_id) for item in answer.items]
            out[row, : len(items)] = [item for item in items if item >= FIRST_KNOWN]
        progress.advance("recommend", len(questions))
    progress.finish("recommend")
    return out


def _as_of(seconds: int) -> datetime | None:
    return None if seconds == NO_TIME else datetime.fromtimestamp(seconds, UTC)
