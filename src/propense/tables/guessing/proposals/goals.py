"""The goals, parts and recommendations of a guessed propense.toml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.action_words import gives_back, pays
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.proposals.action_questions import action_sums, constant_action
from propense.tables.guessing.proposals.order_rules import amounts
from propense.tables.guessing.proposals.tables import set_columns
from propense.tables.guessing.proposals.toml_text import Proposal, free_name, paths
from propense.tables.guessing.role import Role, label_columns, outcome_columns
from propense.tables.sources.samples import own_name

HORIZONS: Final = (90, 60, 30, 14, 7, 3, 2, 1)
"""Days that are offered as a goal's horizon."""
PARTS_OF_SPAN: Final = 4
"""Train, validation and test need a horizon each, and train more than one."""
DAY: Final = 86_400


def horizon_days(span_days: float, at_most: int) -> int | None:
    """The longest offered horizon that leaves room for train, validation and test.

    >>> horizon_days(365, 90), horizon_days(100, 90), horizon_days(2, 90)
    (90, 14, None)
    """
    fitting = [days for days in HORIZONS if days <= at_most and days * PARTS_OF_SPAN <= span_days]
    return fitting[0] if fitting else None


@dataclass(frozen=True)
class GoalGuess:
    name: str
    days: int | None


def propose_goals(
    out: Proposal, events: Sequence[Role], users: Role | None, labels: Sequence[Role]
) -> list[GoalGuess]:
    goals: list[GoalGuess] = []
    used: set[str] = set()
    for role in ([users] if users else []) + list(labels):
        labelled = label_columns(role.group, role.columns.values())
        if not labelled:
            labelled = [own for own in role.outcomes if role.group.column(own).kind == "boolean"]
        for i, own in enumerate(labelled):
            name = free_name(_goal_name(own), used)
            _label_goal(out, role, own, name, first=i == 0 or role.name == "labels")
            goals.append(GoalGuess(name, None))
    if users is not None and not goals:
        _ending_goals(out, users, used)
    span = _span_days(events)
    if span is None:
        return goals
    _event_goals(out, events, span, goals, used)
    if not goals:
        out.comment(f"No goal: the data spans {span:.1f} days, too short for a horizon of one day.")
    return goals


def _ending_goals(out: Proposal, users: Role, used: set[str]) -> None:
    """A status that tells how it ended, as a goal that the reader may want."""
    for own in outcome_columns(users.group, users.columns.values()):
        column = users.group.column(own)
        ended = [word for word, _ in column.common if names.mentions(word, vocabulary.ENDED)]
        if not ended or not names.mentions(own_name(own), vocabulary.STATUS):
            continue
        bad = [word for word in ended if not names.mentions(word, vocabulary.PAYING)]
        name = free_name(_goal_name(own), used)
        out.comment_table("goals", name)
        out.comment_set("column", own_name(own))
        out.comment_set("positive", (bad or ended)[0], f"of {', '.join(sorted(column.words))}")
        out.remarks.append(
            f"[goals.{name}] {own!r} tells how it ended: is it what you want to predict? Its lines "
            "stand in the file as a comment, and columns that know the outcome are no features"
        )


def _goal_name(own: str) -> str:
    """A name from a label's column; the letters of every script stay.

    >>> _goal_name("Is Churn?"), _goal_name("是否流失"), _goal_name("?")
    ('is_churn', '是否流失', 'label')
    """
    return re.sub(r"\W+", "_", own_name(own).lower()).strip("_") or "label"


def _label_goal(out: Proposal, role: Role, own: str, name: str, first: bool) -> None:
    column = role.group.column(own)
    positive = _positive_word(column)
    share = dict(column.common).get(positive, 0) / max(1, column.n_filled)
    open_table, add = (out.open_table, out.set) if first else (out.comment_table, out.comment_set)
    open_table("goals", name)
    out.comment(f"{own} is {positive!r} in {share:.1%} of the sample.")
    add("column", own_name(own))
    add("positive", positive)
    if role.name == "labels":
        out.set("path", paths(role.group))
        set_columns(out, role.columns)
        times = [one for one in role.group.columns.values() if one.is_time]
        if times:
            out.set("as_of", times[0].name, "later events are not used")
        else:
            out.remarks.append(
                f"[goals.{name}] as_of: from which time on was the label counted? Later events "
                "would give it away"
            )


def _positive_word(column: ColumnProfile) -> str:
    words = [word for word, _ in column.common]
    for word in words:
        if word.lower() in ("yes", "true", "1", "1.0", "y", "t", "是"):
            return word
    return words[-1]


def _span_days(events: Sequence[Role]) -> float | None:
    ends: list[tuple[float, float]] = []
    for role in events:
        own = role.columns.get("event_time")
        column = role.group.columns.get(own) if own else None
        if column is not None and column.low is not None and column.high is not None:
            ends.append((column.low, column.high))
    if not ends:
        return None
    return (max(high for _, high in ends) - min(low for low, _ in ends)) / DAY


def _event_goals(
    out: Proposal, events: Sequence[Role], span: float, goals: list[GoalGuess], used: set[str]
) -> None:
    near, far = horizon_days(span, 30), horizon_days(span, 90)
    if near is None or far is None:
        return
    paying, has_value = _paying(events)
    again = horizon_days(span, 3 * near) or near
    if paying:
        name = free_name("pay", used)
        out.open_table("goals", name)
        out.comment(f"P({paying!r} within {near} days); the data spans {span:.0f} days.")
        out.set("action", paying)
        out.set("within", f"{near}d")
        out.set("among", f"active within {max(again, near)}d")
        goals.append(GoalGuess(name, near))
    name = free_name("churn", used)
    out.open_table("goals", name)
    out.comment(f"P(nothing at all within {near} days).")
    out.set("absent", "*")
    out.set("within", f"{near}d")
    out.set("among", f"active within {max(again, near)}d")
    goals.append(GoalGuess(name, near))
    if paying and has_value:
        name = free_name("spend", used)
        out.open_table("goals", name)
        out.comment("Expected money, refunds netted.")
        out.set("value_of", paying)
        out.set("within", f"{far}d")
        goals.append(GoalGuess(name, far))


def _action_words(events: Sequence[Role]) -> dict[str, int]:
    words: dict[str, int] = {}
    for role in events:
        own = role.columns.get("action")
        if role.group.format == "access_log":
            continue
        if own is not None:
            renamed = role.actions
            for cell, count in role.group.column(own).common:
                word = renamed.get(cell, cell)
                words[word] = words.get(word, 0) + count
        else:
            word = constant_action(role)[0]
            words[word] = words.get(word, 0) + role.group.rows_about
    return words


def _action_money(events: Sequence[Role]) -> dict[str, float]:
    """Action -> its sampled money."""
    sums: dict[str, float] = {}
    for role in events:
        if role.group.format == "access_log" or not {"value", "price"} & set(role.columns):
            continue
        if "action" in role.columns:
            own = {role.actions.get(word, word): money for word, money in action_sums(role).items()}
        else:
            own = {constant_action(role)[0]: sum(amounts(role))}
        for word, money in own.items():
            sums[word] = sums.get(word, 0) + money
    return sums


def _paying(events: Sequence[Role]) -> tuple[str | None, bool]:
    """The action that brings money, and whether money is recorded."""
    words = _action_words(events)
    money = _action_money(events)
    ranked = [word for word in words if pays(word)]
    has_value = any({"value", "price"} & set(role.columns) for role in events)
    first = ("pay", "purchase", "buy", "支付", "购买")
    ranked.sort(
        key=lambda word: (
            money.get(word, 0) <= 0, word.lower() not in first, -money.get(word, 0), -words[word]
        )
    )  # fmt: skip
    return (ranked[0] if ranked else None), has_value


def propose_split(out: Proposal, events: Sequence[Role], goals: Sequence[GoalGuess]) -> None:
    out.open_table("split")
    if not events:
        out.set("by", "user", "no events: customers are assigned to the parts by hash")
    elif _span_days(events) is None:
        out.set("by", "leave_one_out", "no times: each customer's last item is the test")
    else:
        out.set("by", "time", "train on the past, test on later events")
        days = [goal.days for goal in goals if goal.days]
        if days and min(days) < 7:
            out.set("as_of_every", f"{min(days)}d", "the shortest horizon")


def propose_recommend(out: Proposal, events: Sequence[Role]) -> None:
    with_items = [role for role in events if "item_id" in role.columns]
    if not with_items:
        return
    words = _action_words(with_items)
    positive = [
        word for word in words
        if (pays(word) or names.mentions(word, vocabulary.LIKING)) and not gives_back(word)
    ]  # fmt: skip
    out.open_table("recommend")
    if positive and len(positive) < len(words):
        out.set("positive", positive, f"of {', '.join(list(words)[:12])}")
    else:
        out.comment("Every action counts as success; name some with `positive`.")
    paying = {word for word in positive if pays(word)}
    repeats, share = max(_repeated(role, paying or set(positive)) for role in with_items)
    out.set(
        "repeat", repeats > 0.1,
        f"estimated from {share:.0%} of the rows, customers take about {repeats:.0%} of the items "
        "again",
    )  # fmt: skip


def _repeated(role: Role, positive: set[str]) -> tuple[float, float]:
    """Share of customer-item pairs that come at more than one time, and of rows sampled.

    A sample holds both halves of a pair about as seldom as it holds rows, so the share seen is
    divided by the share sampled.
    """
    cells, columns = role.group.cells, role.columns
    users, items = cells[columns["user_id"]], cells[columns["item_id"]]
    nothing: list[str | None] = [None] * len(users)
    times = cells[columns["event_time"]] if "event_time" in columns else nothing
    actions = cells[columns["action"]] if "action" in columns else nothing
    purchases = {
        (user, item, time)
        for user, item, time, action in zip(users, items, times, actions, strict=True)
        if user is not None and item is not None
        and (action is None or action in positive or not positive)
    }  # fmt: skip
    customer_items = {(user, item) for user, item, _ in purchases}
    sampled = min(1.0, len(users) / max(1, role.group.rows_about))
    repeated = (len(purchases) - len(customer_items)) / max(1, len(customer_items))
    return min(1.0, repeated / max(sampled, 0.01)), sampled
