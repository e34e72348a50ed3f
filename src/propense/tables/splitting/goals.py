"""Goals as the split reads them: questions about events, label columns, sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from propense.columns import AS_OF, FOLD, PART, USER_ID
from propense.errors import LeakError, SettingsError
from propense.schemas import GoalPlan, PlanWarning
from propense.settings import Goal, Settings, seconds
from propense.tables.splitting.cuts import written
from propense.tables.splitting.eligibility import (
    check_action,
    duration_as_setting,
    duration_in_words,
    in_words,
    parse_among,
)
from propense.tables.splitting.label_columns import LabelColumn, read_label_column
from propense.tables.splitting.labels import Question
from propense.tables.splitting.shards import Partitions
from propense.words import format_text

TIMES_WITHIN: Final = 3
"""Horizons before as_of in which a customer was active who can still be lost."""
_RESERVED: Final = (USER_ID, AS_OF, PART, FOLD)


@dataclass(frozen=True)
class Goals:
    """All goals, in the order of the settings."""

    plans: tuple[GoalPlan, ...]
    questions: tuple[Question, ...]
    columns: tuple[LabelColumn, ...]
    notes: tuple[str, ...] = ()

    @property
    def horizons(self) -> dict[str, int]:
        """Seconds each goal looks ahead."""
        asked = {question.name: question.within for question in self.questions}
        return asked | {column.name: column.within for column in self.columns}

    def index_of(self, name: str) -> int:
        """Which column of the labels a goal is."""
        return [plan.name for plan in self.plans].index(name)


def read_goals(settings: Settings, partitions: Partitions) -> Goals:
    """The goals, checked against the data.

    Raises SettingsError naming an action or a column that the data lacks, LeakError where a
    label column is among the user features.
    """
    check_features(settings)
    plans, questions, columns, notes = [], [], [], []
    for name, goal in settings.goals.items():
        if name in _RESERVED:
            raise SettingsError(
                f"[goals.{name}]: labels.parquet has a column {name!r} itself; choose a name "
                f"other than {', '.join(_RESERVED)}"
            )
        if goal.column is None:
            question = _question(name, goal, settings, partitions)
            questions.append(question)
            sentence = _in_words(question)
        else:
            if goal.among is not None:
                raise SettingsError(
                    f"[goals.{name}] among = {goal.among!r} cannot be combined with column: a "
                    f"label column already says which customers are asked about; remove among"
                )
            column, more = read_label_column(name, goal, settings, partitions)
            columns.append(column)
            notes += more
            sentence = _column_in_words(column, goal)
        within = goal.within_seconds
        plans.append(GoalPlan(name, goal.kind, within, sentence, goal.column is not None))
    return Goals(tuple(plans), tuple(questions), tuple(columns), tuple(notes))


def question_absent(settings: Settings) -> list[PlanWarning]:
    """A warning for each goal of an absence that also asks about customers who left long ago."""
    warnings = []
    for name, goal in settings.goals.items():
        if goal.absent is None or any(c.within for c in parse_among(goal.among, name)):
            continue
        window = duration_as_setting(TIMES_WITHIN * (goal.within_seconds or 0))
        among = f"active within {window}" + (f" and {goal.among}" if goal.among else "")
        text = format_text("split.absent", goal=name, among=f"among = {among!r}")
        warnings.append(PlanWarning("long_gone", text, name))
    return warnings


def label_columns_of(settings: Settings) -> set[str]:
    """Columns of the users table that hold labels: never features, left out of parts/users."""
    return {goal.column for goal in settings.goals.values() if goal.column is not None}


def check_features(settings: Settings) -> None:
    """Raise LeakError if a goal's label column is listed among [users].features."""
    features = () if settings.users is None else settings.users.features or ()
    for name, goal in settings.goals.items():
        if goal.column is not None and goal.column in features:
            raise LeakError(
                f"[users] features lists {goal.column!r}, the label of [goals.{name}]: a model "
                f"would read the answer; remove it from features"
            )


def _question(name: str, goal: Goal, settings: Settings, partitions: Partitions) -> Question:
    actions = partitions.survey.actions
    among = parse_among(goal.among, name)
    if not partitions.has_events:
        raise SettingsError(
            f"[goals.{name}] asks about events, but the data has none; add a source of events, or "
            f"set column to a label column of the users table"
        )
    for clause in among:
        if clause.action is not None:
            check_action(clause.action, actions, f"[goals.{name}] among")
    within = seconds(goal.within or "")
    clean, asked = settings.clean, goal.value_of or goal.absent or goal.action
    refunds = tuple(word for word in actions if clean.is_refund(word))
    refunds = tuple(word for word in refunds or clean.refund_actions if word != asked)
    if goal.value_of is not None:
        question = Question(name, "value_of", goal.value_of, within, among, refunds)
    elif goal.absent is not None:
        question = Question(name, "absent", goal.absent, within, among, refunds)
    else:
        question = Question(name, "action", goal.action or "", within, among, refunds)
    if question.action != "*":
        check_action(question.action, actions, f"[goals.{name}] {question.ask}")
    return question


def _in_words(question: Question) -> str:
    within = duration_in_words(question.within)
    action = f'"{question.action}"'
    if question.ask == "value_of":
        what = "money from everything" if question.action == "*" else f"money from {action}"
        what += f" within {within}" + (", refunds taken off" if question.refunds else "")
    elif question.ask == "absent":
        what = "nothing at all" if question.action == "*" else f"no {action}"
        what += f" within {within}"
    else:
        what = "anything" if question.action == "*" else action
        what += f" within {within}"
    return f"{what}, among {in_words(question.among)}"


def _column_in_words(column: LabelColumn, goal: Goal) -> str:
    values = " or ".join(repr(value) for value in column.positive) or repr(goal.positive)
    sentence = f'"{goal.column}" is {values}'
    if column.within:
        sentence += f" within {duration_in_words(column.within)}"
    if isinstance(column.as_of, int):
        sentence += f", as of {written(column.as_of)}"
    elif column.as_of is not None:
        sentence += f', as of each label\'s "{column.as_of}"'
    return sentence
