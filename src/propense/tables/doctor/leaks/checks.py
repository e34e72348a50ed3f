"""The doctor's checks of columns that know the future: of `propense check` and of every run."""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow.parquet as pq

from propense.columns import ITEM_ID, USER_ID
from propense.encoding.profiles import feature_names
from propense.errors import LeakError, SettingsError, nearest
from propense.schemas import PlanWarning, RunFolder, SplitPlan
from propense.settings import Settings, TableSource
from propense.tables.doctor.findings import Finding
from propense.tables.doctor.leaks.column_views import read_columns, take_rows
from propense.tables.doctor.leaks.items import find_snapshots
from propense.tables.doctor.leaks.labels import PROFILE, read_asked, score_labels
from propense.tables.doctor.leaks.log_states import Quantity, read_sample
from propense.tables.doctor.leaks.pairs import EQUAL
from propense.tables.doctor.leaks.search import Evidence, search
from propense.tables.doctor.leaks.target_leakage import ColumnScore, sentence, strongest
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.cuts import written
from propense.words import Text, format_text

TABLES: Final = {"users": "customer", "items": "item"}
_NOTHING: Final = TableSource(path="")


class ColumnFindings(msgspec.Struct, frozen=True):
    """What the columns know, as `check` says it; and what a run does and reports about it."""

    findings: list[Finding]
    left_out: list[str]
    """Columns of [users] that no model reads."""
    warnings: list[PlanWarning]
    """What the report says."""

    @property
    def leaks(self) -> list[Finding]:
        """Errors: columns that no model may learn from unless the settings affirm them by name."""
        return [finding for finding in self.findings if finding.severity == "error"]


def check_columns(
    run: RunFolder, plan: SplitPlan, settings: Settings, engine: TableEngine
) -> ColumnFindings:
    """Look for columns that know the future, in the split that is in `run`.

    Columns of customers are judged as a model sees them at as_of: by how well each alone predicts
    a label, and by whether it follows a quantity of the log as that is at the end. Columns of
    items are compared with their sales in the whole log. The work is bounded: some customers are
    searched, whatever their number. With one split and settings the answer is the same.

    Raises SettingsError if [users] or [items] names a column that the table does not have.
    """
    results = _Collector(settings)
    if settings.users is not None and (run.parts / "users.parquet").exists():
        _check_users(run, plan, settings, settings.users, results)
    items = settings.items
    if items is not None and (run.clean / "items.parquet").exists():
        table = engine.read_parquet(run.clean / "items.parquet")
        names = _item_features(list(table.columns), items)
        for one in find_snapshots(run, plan, items, names, engine):
            results.item_snapshot(one.column, one.quantity)
        if plan.by == "time":
            results.snapshot("items", [name for name in names if name not in items.known_before])
    return ColumnFindings(results.findings, sorted(results.left_out), results.warnings)


def refuse_leaks(results: ColumnFindings, settings: Settings) -> None:
    """Raise LeakError if a column knows the future and is not affirmed, with both remedies."""
    leaks = results.leaks
    if not leaks or settings.users is None:
        return
    names = list(dict.fromkeys(finding.column for finding in leaks))
    affirmed = ", ".join(f'"{name}"' for name in (*settings.users.known_before, *names))
    one = len(names) == 1
    lines = [f"  {finding.sentence}" for finding in leaks]
    raise LeakError(
        f"{'a column' if one else 'columns'} of [users] would tell the models the future, and "
        "every number about them would be too good:\n"
        + "\n".join(lines)
        + f"\n{_without(names, settings.users)}; or, if {'its' if one else 'their'} cells were "
        f"known before every as_of and never changed since, say so by name:\n"
        f"  [users] known_before = [{affirmed}]"
    )


def _without(names: list[str], users: TableSource) -> str:
    quoted = ", ".join(repr(name) for name in names)
    if users.features is not None:
        return f"take {quoted} out of [users] features"
    return f"name the columns to learn from in [users] features, without {quoted}"


def _item_features(columns: list[str], items: TableSource) -> list[str]:
    """Columns of the items table that are learned from."""
    there = [name for name in columns if name != ITEM_ID]
    _check_affirmed("items", items, there)
    return [name for name in (there if items.features is None else items.features)
            if name in there]  # fmt: skip


def _check_affirmed(table: str, source: TableSource, there: list[str]) -> None:
    for name in source.known_before:
        if name not in there:
            raise SettingsError(
                f"[{table}] known_before names the column {name!r}; {nearest(name, there)}"
            )


def _check_users(
    run: RunFolder, plan: SplitPlan, settings: Settings, source: TableSource, results: _Collector
) -> None:
    schema = pq.read_schema(run.parts / "users.parquet")
    _check_affirmed("users", source, schema.names)
    features = feature_names(schema.names, settings)
    results.features = set(features)
    asked = read_asked(run)
    if plan.goals:
        scores = score_labels(asked, plan, source)
        for goal in plan.goals:
            results.scores([score for score in scores if score.goal == goal.name])
        if asked.n_all > asked.users.num_rows and scores:
            results.add(Finding(
                code="leak_sample", severity="info", table="users", count=asked.users.num_rows,
                sentence=f"the search for columns that leak a label used "
                f"{asked.users.num_rows:,} of {asked.n_all:,} customers",
            ))  # fmt: skip
    if not plan.timed or plan.by == "leave_one_out":
        return
    log = read_sample(run.parts / "shards")
    users = take_rows(asked.users, log.user_ids)
    columns = read_columns(users, source, USER_ID, features)
    result = search(log, columns, plan)
    goals = [goal.name for goal in plan.goals]
    for evidence in result.leaks.values():
        many = len(columns.words.get(evidence.column, ((), []))[1]) > _MOST_WORDS
        results.future(evidence, goals, certain=not many or evidence.ordered)
    for name, evidence in result.late.items():
        if name not in result.leaks:
            results.late(evidence)
    if source.valid_from is None:
        changing = [name for name in features
                    if name not in columns.times and name not in source.known_before]  # fmt: skip
        results.snapshot("users", changing)


_MOST_WORDS: Final = 12
"""A column of more words may be a plan of what comes, such as the course of a student."""


class _Collector:
    """Collects findings, and what a run does about them."""

    def __init__(self, settings: Settings) -> None:
        self.findings: list[Finding] = []
        self.left_out: set[str] = set()
        self.warnings: list[PlanWarning] = []
        self.features: set[str] = set()
        self._users = settings.users or _NOTHING
        self._items = settings.items or _NOTHING
        self._affirmed: set[str] = set()

    def add(self, finding: Finding, text: Text | None = None) -> None:
        self.findings.append(finding)
        if text is not None:
            self.warnings.append(PlanWarning(finding.code, text))

    def scores(self, scores: list[ColumnScore]) -> None:
        """Columns that predict one goal alone, or that none does."""
        leaks = strongest(scores)
        for score in leaks:
            self._score(score)
        if scores and not leaks:
            best = scores[0]
            self.add(Finding(
                code="no_leak", severity="ok", table="users", column=best.column,
                sentence=f"no column alone gives {best.goal!r} away; the strongest is "
                f"{best.column!r} (AUC {best.best:.2f})",
            ))  # fmt: skip

    def _score(self, score: ColumnScore) -> None:
        text = sentence(score)
        if score.column == PROFILE:
            if score.knows:
                self._no_profile(score)
        elif not score.knows:
            self.add(Finding(
                code="strong_column", severity="info", table="users", column=score.column,
                sentence=f"{text}: a strong column, but not certainly a leak",
                remedy="check that its value is known before as_of",
            ))  # fmt: skip
        else:
            self._knows(
                "knows_label", score.column, f"{text}: it restates the label, or was filled in "
                "afterwards",
            )  # fmt: skip

    def _no_profile(self, score: ColumnScore) -> None:
        self.add(
            Finding(
                code="no_profile", severity="warning", table="users", column="",
                sentence=f"whether a customer has a row in [users] alone predicts {score.goal!r} "
                f"(AUC {score.best:.3f}): the table may hold only those who came back",
                remedy="name the time from which a profile is known: [users] valid_from",
            ),
            format_text("columns.no_profile", goal=score.goal, auc=f"{score.best:.3f}"),
        )  # fmt: skip

    def future(self, evidence: Evidence, goals: list[str], *, certain: bool) -> None:
        """A column that follows a quantity of the log as it is at the end."""
        name, quantity = evidence.column, words_of(evidence.quantity)
        of_goals = f"; it would be read for {', '.join(map(repr, goals))}" if goals else ""
        how = (
            f"for {evidence.equal:.0%} of the customers for whom it changes after "
            f"{written(evidence.as_of)} it is the later value already{of_goals}"
            if evidence.equal >= EQUAL
            else f"of customers with the same past as of {written(evidence.as_of)}, it tells in "
            f"{evidence.match.right:.0%} of all pairs which of the two has more to come{of_goals}"
        )
        if evidence.by_being_empty:
            how = "its time is later than as_of just for those who come again; " + how
        text = f"{name!r} knows the future: it follows {quantity.en} in the whole log; {how}"
        if certain:
            self._knows("knows_future", name, text)
        elif name not in self._users.known_before:
            self.add(
                Finding(code="may_know_future", severity="warning", table="users", column=name,
                        sentence=text.replace("knows", "seems to know", 1),
                        remedy=self._remedy(name)),
                format_text("columns.may_know_future", column=name, quantity=quantity),
            )  # fmt: skip

    def late(self, evidence: Evidence) -> None:
        """A time that is written anew with what the customer does, so that hiding it tells."""
        name = evidence.column
        if name in self._users.known_before:
            return
        self.left_out.add(name)
        self.add(
            Finding(
                code="late_time", severity="warning", table="users", column=name,
                sentence=f"the time {name!r} is later than as_of for many customers, and of two "
                f"customers with the same past those have more to come in "
                f"{evidence.match.right:.0%} of the pairs: it seems to be written anew each time, "
                f"so no model reads it",
                remedy="if it was written once and never changed, "
                f'[users] known_before = ["{name}"] keeps it',
            ),
            format_text("columns.late_time", column=name),
        )  # fmt: skip

    def _knows(self, code: str, name: str, text: str) -> None:
        """An error where the column is learned from; affirmed or unread ones are only told."""
        if name not in self.features:
            self.add(Finding(
                code=code, severity="info", table="users", column=name,
                sentence=f"{text}; it is not among the features, so no model reads it",
            ))  # fmt: skip
        elif name not in self._users.known_before:
            self.add(Finding(code=code, severity="error", table="users", column=name,
                             sentence=text, remedy=self._remedy(name)))  # fmt: skip
        elif name not in self._affirmed:
            self._affirmed.add(name)
            self.add(
                Finding(code="affirmed", severity="warning", table="users", column=name,
                        sentence=f"{text}; [users] known_before affirms it, so it is used"),
                format_text("columns.affirmed", column=name),
            )  # fmt: skip

    def _remedy(self, name: str) -> str:
        return (
            f"{_without([name], self._users)}; or, if its cells were known before every as_of, "
            f'affirm it: [users] known_before = ["{name}"]'
        )

    def item_snapshot(self, name: str, quantity: Quantity) -> None:
        """A column of items that holds sales of the whole log."""
        if name in self._items.known_before:
            return
        words = words_of(quantity)
        self.add(
            Finding(
                code="item_snapshot", severity="warning", table="items", column=name,
                sentence=f"{name!r} is a snapshot: it follows {words.en} of each item in the whole "
                f"log, later ones too, which no model could know at as_of",
                remedy=f"take {name!r} out of [items] features: the log tells sales as they were; "
                f'or affirm it: [items] known_before = ["{name}"]',
            ),
            format_text("columns.item_snapshot", column=name, quantity=words),
        )  # fmt: skip

    def snapshot(self, table: str, names: list[str]) -> None:
        """Columns that are read as they are now, at every as_of."""
        if not names:
            return
        some = ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
        text = format_text(f"columns.snapshot_{table}", columns=some)
        sentence_, _, remedy = text.en.partition(" Where ")
        self.add(
            Finding(code="snapshot", severity="info", table=table, count=len(names),
                    sentence=sentence_.removesuffix("."),
                    remedy=f"where {remedy.removesuffix('.')}"),
            text,
        )  # fmt: skip


def words_of(quantity: Quantity) -> Text:
    """A quantity of the log in both languages."""
    return format_text(f"log_{quantity.kind}", action=quantity.action or "")
