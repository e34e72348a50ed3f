"""A bounded search over a few dials of the training, scored on validation alone.

The first trial has the defaults, so no values are chosen that did worse with one network. A trial
that falls behind the median of the others is pruned (Optuna's TPE sampler and median pruner).
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from propense.encoding.dataset import Dataset
from propense.errors import LossError, TrainError
from propense.files import replace_file
from propense.progress import NoProgress, Progress
from propense.settings import Settings
from propense.training.shaping import derive_shape
from propense.training.train import train_network
from propense.training.validation import Scores

FILE = "tuning.json"
STARTS, WARM = 3, 1
"""Trials, and passes of a trial, before any is pruned."""


class Dials(msgspec.Struct, frozen=True):
    """What is searched."""

    learning_rate: float
    dropout: float
    table_dropout: float

    def applied_to(self, settings: Settings) -> Settings:
        """The settings with these values."""
        replace = msgspec.structs.replace
        return replace(
            settings,
            train=replace(settings.train, learning_rate=self.learning_rate),
            model=replace(settings.model, dropout=self.dropout, table_dropout=self.table_dropout),
        )


class Trial(msgspec.Struct, frozen=True):
    """One setting of the dials: its score after each pass, the best of them counts."""

    dials: Dials
    scores: list[float]
    seconds: float
    pruned: bool = False

    @property
    def score(self) -> float:
        return max(self.scores, default=float("-inf"))


class Tuned(msgspec.Struct, frozen=True):
    """A search, finished or not."""

    inputs_hash: str
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The best that was not given up; of equals the earlier one."""
        whole = [trial for trial in self.trials if not trial.pruned]
        return max(whole, key=lambda trial: trial.score)


def tune(
    dataset: Dataset, settings: Settings, folder: Path, progress: Progress | None = None
) -> Tuned:
    """Search `[tuning] trials` settings of the dials, one network each.

    Finished trials are stored in `folder`/tuning.json, so a killed search repeats only the trial
    that was under way. Raises TrainError without Optuna, and where validation has nothing to
    score.
    """
    assert settings.tuning is not None
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise TrainError(
            "[tuning] needs Optuna, which is not installed; install it with: "
            "pip install 'propense[tuning]', or leave [tuning] out"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    progress = progress or NoProgress()
    usual = usual_dials(dataset, settings)
    single = msgspec.structs.replace(
        settings, model=msgspec.structs.replace(settings.model, ensemble=1)
    )
    made_from = [usual, settings.train, len(dataset.rows), dataset.histories.n_events]
    search = read_tuned(folder, msgspec.json.encode(made_from).decode())
    wanted, limit = settings.tuning.trials, settings.tuning.max_minutes
    progress.start("tuning", wanted)
    progress.advance("tuning", len(search.trials))
    while len(search.trials) < wanted and not _spent(search, limit):
        number = len(search.trials)
        # Rebuilt from the stored trials: proposals do not depend on where a search was killed.
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=STARTS, seed=settings.train.seed + number
            ),
            pruner=optuna.pruners.MedianPruner(STARTS, WARM),
        )
        for trial in search.trials:
            study.add_trial(_as_optuna_trial(optuna, trial, usual))
        if not number:
            study.enqueue_trial(msgspec.to_builtins(usual))
        asked = study.ask(_ranges(optuna, usual))
        dials = Dials(**asked.params)
        working = folder / f"trial-{number}"
        trial = _try(dataset, single, dials, number, asked, working, optuna)
        shutil.rmtree(working, ignore_errors=True)
        search = Tuned(search.inputs_hash, [*search.trials, trial])
        _write(folder, search)
        progress.advance("tuning", 1, f"best {search.best.score:.4f}")
    progress.finish("tuning")
    return search


def usual_dials(dataset: Dataset, settings: Settings) -> Dials:
    """Those of the settings, or derived from the data."""
    shape = derive_shape(dataset, settings)
    return Dials(settings.train.learning_rate, shape.dropout, shape.table_dropout)


def read_tuned(folder: Path, inputs_hash: str) -> Tuned:
    """The search stored in `folder`; an empty one where there is none with these inputs."""
    try:
        search = msgspec.json.decode((folder / FILE).read_bytes(), type=Tuned)
    except (FileNotFoundError, msgspec.DecodeError):
        return Tuned(inputs_hash, [])
    return search if search.inputs_hash == inputs_hash else Tuned(inputs_hash, [])


def _try(
    dataset: Dataset,
    settings: Settings,
    dials: Dials,
    number: int,
    asked: Any,
    working: Path,
    optuna: Any,
) -> Trial:
    """Train one network with the dials, until it stops or is pruned."""
    scores: list[float] = []

    def on_scores(score: Scores) -> None:
        if score.whole is None:
            raise TrainError(
                "[tuning] cannot score its trials: validation has neither a labelled row nor a "
                "next item; leave [tuning] out, or change [split]"
            )
        scores.append(score.whole)
        asked.report(score.whole, len(scores) - 1)
        if asked.should_prune():
            raise optuna.TrialPruned

    # A killed trial starts again from its beginning: the search must not see a pass twice.
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    began = time.monotonic()
    pruned = False
    try:
        train_network(dataset, dials.applied_to(settings), working, on_scores=on_scores)
    except optuna.TrialPruned:
        pruned = True
    except LossError:
        # With the usual values this is an error; with others it is a result of the search.
        if not number:
            raise
        pruned = True
    return Trial(dials, scores, round(time.monotonic() - began, 1), pruned)


def _ranges(optuna: Any, usual: Dials) -> dict[str, Any]:
    """The range of each dial; it always contains the usual value."""
    number, rate = optuna.distributions.FloatDistribution, usual.learning_rate
    return {
        "learning_rate": number(min(3e-4, rate), max(1e-2, rate), log=True),
        "dropout": number(0.0, max(0.7, usual.dropout)),
        "table_dropout": number(0.0, max(0.5, usual.table_dropout)),
    }


def _as_optuna_trial(optuna: Any, trial: Trial, usual: Dials) -> Any:
    """A stored trial as Optuna represents it."""
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=state.PRUNED if trial.pruned else state.COMPLETE,
        value=trial.score if np.isfinite(trial.score) else None,
        params=msgspec.to_builtins(trial.dials),
        distributions=_ranges(optuna, usual),
        intermediate_values=dict(enumerate(trial.scores)),
    )


def _spent(search: Tuned, minutes: float | None) -> bool:
    return minutes is not None and sum(trial.seconds for trial in search.trials) > 60 * minutes


def _write(folder: Path, search: Tuned) -> None:
    content = msgspec.json.format(msgspec.json.encode(search), indent=1)
    replace_file(folder / FILE, content, private=False)
