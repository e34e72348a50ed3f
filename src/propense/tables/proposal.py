"""The text of a guessed propense.toml: every guess with its reason, other choices as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from propense.tables import names
from propense.tables.profile import ColumnProfile
from propense.tables.roles import KEY, Group, Role, label_columns
from propense.tables.samples import own_name

HORIZONS: Final = (90, 60, 30, 14, 7, 3, 2, 1)
"""Days that are offered as a goal's horizon."""
PARTS_OF_SPAN: Final = 4
"""Train, validation and test need a horizon each, and train wants more than one."""
DAY: Final = 86_400
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


@dataclass
class Proposal:
    """The growing text, its questions and its notes."""

    lines: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def say(self, *lines: str) -> None:
        self.lines.extend(lines)

    def comment(self, text: str) -> None:
        self.lines.append(f"# {text}")


def propose(roles: Sequence[Role]) -> Proposal:
    """The settings of the roles, as text with reasons."""
    out = Proposal()
    events = [role for role in roles if role.name == "events"]
    tables = {role.name: role for role in roles if role.name not in ("events", "none", "labels")}
    labels = [role for role in roles if role.name == "labels"]
    _head(out, [role.group for role in roles])
    taken: set[str] = set()
    for role in events:
        _source(out, role, _free(role.group.name, taken))
    for name in ("identities", "users", "items", "exposures", "impressions"):
        if name in tables:
            _table(out, tables[name])
    goals = _goals(out, events, tables.get("users"), labels)
    _split(out, events, goals)
    _recommend(out, events)
    for role in roles:
        if role.name == "none":
            out.notes.append(f"left out {role.group.paths[0]}: {role.why}")
    if out.notes:
        out.say("", "# Not used:")
        out.lines.extend(f"#   {note}" for note in out.notes)
    return out


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A TOML key, quoted where it must be."""
    return name if _BARE.match(name) else quoted(name)


def array(values: Iterable[str]) -> str:
    return "[" + ", ".join(quoted(value) for value in values) + "]"


def horizon_days(span_days: float, at_most: int) -> int | None:
    """The longest offered horizon that leaves room for train, validation and test.

    >>> horizon_days(365, 90), horizon_days(100, 90), horizon_days(2, 90)
    (90, 14, None)
    """
    fitting = [days for days in HORIZONS if days <= at_most and days * PARTS_OF_SPAN <= span_days]
    return fitting[0] if fitting else None


def _free(name: str, taken: set[str]) -> str:
    chosen, number = name, 2
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    taken.add(chosen)
    return chosen


def _head(out: Proposal, groups: Sequence[Group]) -> None:
    chinese = _chinese(groups)
    out.say(
        "# Guessed by `propense init` from samples of the files. Read the reasons, correct what is",
        "# wrong, then run `propense check`.",
        "",
    )
    if chinese:
        out.say('time_zone = "Asia/Shanghai"   # the files have Chinese words',
                'currency = "CNY"')  # fmt: skip
    else:
        out.say('time_zone = "UTC"   # of times without an offset, and for hour and weekday',
                'currency = "USD"')  # fmt: skip
    zone = "Asia/Shanghai" if chinese else "UTC"
    if not any(column.is_time for group in groups for column in group.columns.values()):
        return
    out.questions.append(
        f"Which time zone are the times in? (time_zone = {zone!r} is a guess; for example "
        "'Europe/Berlin')"
    )


def _chinese(groups: Sequence[Group]) -> bool:
    """Whether column names or frequent cells are Chinese."""
    for group in groups:
        for own, column in group.columns.items():
            words = [own, *(word for word, _ in column.common[:20])]
            if any(0x33FF < ord(letter) < 0xA000 for word in words for letter in word):
                return True
    return False


def _file_keys(out: Proposal, group: Group, path_key: str) -> None:
    size = f"{group.n_files} file{'s' * (group.n_files > 1)}, about {group.rows_about:,} rows"
    out.say(f"{path_key} = {_paths(group)}   # {size}")
    if group.format == "access_log" or group.unusual_name:
        out.say(f"format = {quoted(group.format)}   # the file's name does not say it")
    if group.delimiter not in (None, ","):
        out.say(f"delimiter = {quoted(group.delimiter or '')}")
    if group.encoding != "utf-8":
        out.say(f"encoding = {quoted(group.encoding)}")
    if group.ragged:
        out.comment(f"{group.ragged:,} sampled lines do not have the columns of the others")


def _paths(group: Group) -> str:
    return quoted(group.paths[0]) if len(group.paths) == 1 else array(group.paths)


def _columns(out: Proposal, columns: dict[str, str]) -> None:
    if columns:
        pairs = ", ".join(f"{key(name)} = {quoted(own)}" for name, own in columns.items())
        out.say(f"columns = {{ {pairs} }}")


def _source(out: Proposal, role: Role, name: str) -> None:
    group, columns = role.group, role.columns
    out.say("", f"[sources.{key(name)}]")
    out.comment(f"Events: {role.why}.")
    _file_keys(out, group, "events")
    _columns(out, columns)
    for canonical, own in columns.items():
        if reason := _reason(group.column(own), canonical):
            out.comment(f"  {own}: {reason}")
    if "action" not in columns:
        action, why = _constant_action(group, columns)
        out.say(f"action = {quoted(action)}   # {why}")
    if "event_time" in columns and group.format != "access_log":
        _time_format(out, group.column(columns["event_time"]), name)
    elif "event_time" not in columns:
        out.comment("No time: the order of the rows is the order of the events.")
        numbers = [own for own in group.columns if names.says(own_name(own), names.TIME)]
        if numbers:
            out.questions.append(
                f"[sources.{name}] event_time: {numbers[0]!r} speaks of time but holds no moments "
                f"(such as {next(iter(group.column(numbers[0]).words), '')!r}); write moments "
                "instead if you can"
            )
    _cancelled(out, group, columns)
    _alternatives(out, group, columns)
    spare = [
        own for own in group.columns
        if own not in columns.values()
    ]  # fmt: skip
    if spare:
        out.comment(f"Columns not used: {', '.join(spare)}")
        rated = [own for own in spare if names.says(own_name(own), names.RATING)]
        if rated:
            out.comment(f"  {rated[0]} is a rating, not money, and so is not `value`")


def _alternatives(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """Other columns that could be the customer, the item or the time, as comments."""
    scores = {"user_id": names.person_score, "item_id": names.thing_score}
    for own, column in group.columns.items():
        if own in columns.values():
            continue
        for canonical, score in scores.items():
            if score(own_name(own)) >= 0.3 and column.n_distinct > 50 and not column.is_time:
                out.comment(f"columns.{canonical} = {quoted(own)}   # another choice")
        if column.is_time:
            out.comment(f"columns.event_time = {quoted(own)}   # another choice")


def _reason(column: ColumnProfile, canonical: str) -> str:
    if canonical == "user_id":
        missing = f", {column.n_missing / column.n:.0%} empty" if column.n_missing else ""
        return f"{column.n_distinct:,} customers in the sample{missing}"
    if canonical == "item_id":
        return f"{column.n_distinct:,} items in the sample"
    if canonical == "action":
        return "words " + ", ".join(word for word, _ in column.common[:12])
    if canonical in ("value", "price", "count") and column.low is not None:
        below = f", {column.negative:.1%} below zero" if column.negative else ""
        return f"{column.low:g} to {column.high:g}{below}"
    return ""


def _constant_action(group: Group, columns: dict[str, str]) -> tuple[str, str]:
    """One action for all rows of a log that names none."""
    if any(names.says(own_name(own), names.RATING) for own in group.columns):
        return "rate", "the rows have ratings; every row is one action"
    if {"value", "price"} & set(columns):
        return "pay", "the rows have money but no action: every row is a payment"
    for words, action in ((names.PAYING, "pay"), (names.REFUNDING, "refund")):
        if names.says(group.name, words):
            return action, f"the file is called {group.name}"
    if not names.says(group.name.rsplit("_", 1)[-1], names.PLAIN_LOG):
        return group.name, "the log names no action; its file name says what a row is"
    return "view", "the log names no action; name what a row means"


def _time_format(out: Proposal, column: ColumnProfile, source: str) -> None:
    form = column.time_format
    if form is None or form == "iso" or column.kind == "epoch":
        if column.kind == "epoch":
            out.comment(f"  {column.name}: {form} since 1970")
        return
    if form not in ("%Y-%m-%d", "%Y/%m/%d"):
        out.say(f"time_format = {quoted(form)}")
    if column.other_formats:
        other = column.other_formats[0]
        out.comment(f"time_format = {quoted(other)}   # reads the sample just as well")
        out.questions.append(
            f"[sources.{source}] time_format: is the day or the month first? Both {form!r} and "
            f"{other!r} read every sampled row"
        )


def _cancelled(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """An order number that begins with a letter in a few rows marks cancellations."""
    for own, column in group.columns.items():
        if own in columns.values() or not names.says(own_name(own), names.ORDER_NO):
            continue
        if not (names.says(own_name(own), names.ID) or column.kind == "category"):
            continue
        lettered = [word for word in column.words if word[:1].isalpha() and word[1:].isdigit()]
        plain = sum(word.isdigit() for word in column.words)
        starts = {word[0] for word in lettered}
        if "C" in starts and plain > 2 * len(lettered):
            out.say(f'cancelled = {{ column = {quoted(own)}, starts_with = "C" }}'
                    f"   # {lettered[0]} among plain numbers")  # fmt: skip


def _table(out: Proposal, role: Role) -> None:
    group = role.group
    out.say("", f"[{role.name}]")
    out.comment(f"{role.name.capitalize()}: {role.why}.")
    own_id = role.columns.get("user_id")
    if role.name == "users" and own_id and (key_column := group.column(own_id)).uniqueness < KEY:
        out.questions.append(
            f"[users] {own_id} names {key_column.n_distinct:,} customers in {key_column.n_known:,} "
            "rows: which row is the customer, or which columns together make the id?"
        )
    _file_keys(out, group, "path")
    if role.name not in ("users", "items"):
        _columns(out, role.columns)
        return
    labels = label_columns(group, role.columns.values()) if role.name == "users" else []
    renamed = {own: own_name(own) for own in group.columns if own_name(own) != own}
    _columns(out, role.columns)
    features, left_out, types, sensitive = [], [], {}, []
    for own, column in group.columns.items():
        if own in role.columns.values() or own in labels:
            continue
        name = renamed.get(own, own)
        why_not = _why_no_feature(column, role.name)
        if why_not:
            left_out.append((name, why_not))
            continue
        features.append(name)
        if _is_code(column):
            types[name] = "categorical"
        elif column.kind == "text":
            types[name] = "text"
        if role.name == "users" and names.says(name, names.SENSITIVE):
            sensitive.append(name)
    out.say(f"features = {array(features)}")
    for name, why_not in left_out:
        out.comment(f"  without {name}: {why_not}")
    if types:
        pairs = ", ".join(f"{key(name)} = {quoted(kind)}" for name, kind in types.items())
        out.say(f"types = {{ {pairs} }}")
    if sensitive:
        out.say(f"sensitive = {array(sensitive)}   # the report compares these groups")
    if role.name == "users":
        start = [
            renamed.get(own, own) for own, column in group.columns.items()
            if column.is_time and names.says(own_name(own), names.VALID_FROM)
            and renamed.get(own, own) in features
        ]  # fmt: skip
        if start:
            out.say(f"valid_from = {quoted(start[0])}   # the profile is known from this moment")
    if role.name == "users":
        out.questions.append(
            "[users] features: was every one known before what is to be predicted? "
            "Remove columns that are filled in afterwards"
        )


def _why_no_feature(column: ColumnProfile, role: str) -> str | None:
    if column.kind == "empty":
        return "empty in the sample"
    if column.n_distinct == 1 and not column.n_missing:
        return f"always {column.common[0][0]!r}"
    if role == "users" and names.says(own_name(column.name), names.AFTERWARDS):
        return "its name speaks of something known only afterwards"
    if column.kind == "category" and column.uniqueness > 0.95 and column.n_known > 50 and (
        role == "users" or names.says(own_name(column.name), names.ID)
    ):  # fmt: skip
        return "different in nearly every row"
    return None


def _is_code(column: ColumnProfile) -> bool:
    """Numbers that are names: zip codes, regions, operating systems."""
    code = frozenset("zip postcode postal code region browser type system systems os id".split())
    return column.kind == "integer" and names.says(own_name(column.name), code)


@dataclass(frozen=True)
class _GoalGuess:
    name: str
    days: int | None


def _goals(
    out: Proposal, events: Sequence[Role], users: Role | None, labels: Sequence[Role]
) -> list[_GoalGuess]:
    goals: list[_GoalGuess] = []
    for role in ([users] if users else []) + list(labels):
        for i, own in enumerate(label_columns(role.group, role.columns.values())):
            _label_goal(out, role, own, first=i == 0 or role.name == "labels")
            goals.append(_GoalGuess(own, None))
    span = _span_days(events)
    if span is None:
        return goals
    _event_goals(out, events, span, goals)
    if not goals:
        out.comment(f"No goal: the data spans {span:.1f} days, too short for a horizon of one day.")
    return goals


def _label_goal(out: Proposal, role: Role, own: str, first: bool) -> None:
    column = role.group.column(own)
    name = re.sub(r"[^0-9a-z_]+", "_", own_name(own).lower()).strip("_") or "label"
    positive = _positive_word(column)
    share = dict(column.common).get(positive, 0) / max(1, column.n_known)
    mark = "" if first else "# "
    out.say("", f"{mark}[goals.{key(name)}]")
    out.comment(f"{own} is {positive!r} in {share:.1%} of the sample.")
    out.say(f"{mark}column = {quoted(own_name(own))}", f"{mark}positive = {quoted(positive)}")
    if role.name == "labels":
        out.say(f"{mark}path = {_paths(role.group)}")
        _columns(out, role.columns)
        moment = [one for one in role.group.columns.values() if one.is_time]
        if moment:
            out.say(f"{mark}as_of = {quoted(moment[0].name)}   # what came later is not looked at")
        else:
            out.questions.append(
                f"[goals.{name}] as_of: from which moment on was the label counted? Events after "
                "it would give the answer away"
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
    out: Proposal, events: Sequence[Role], span: float, goals: list[_GoalGuess]
) -> None:
    near, far = horizon_days(span, 30), horizon_days(span, 90)
    if near is None or far is None:
        return
    paying, has_value = _paying(events)
    again = horizon_days(span, 3 * near) or near
    if paying:
        out.say("", "[goals.pay]")
        out.comment(f"P({paying!r} within {near} days); the data spans {span:.0f} days.")
        out.say(f"action = {quoted(paying)}", f'within = "{near}d"',
                f'among = "active within {max(again, near)}d"')  # fmt: skip
        goals.append(_GoalGuess("pay", near))
    out.say("", "[goals.churn]")
    out.comment(f"P(nothing at all within {near} days).")
    out.say('absent = "*"', f'within = "{near}d"', f'among = "active within {max(again, near)}d"')
    goals.append(_GoalGuess("churn", near))
    if paying and has_value:
        out.say("", "[goals.spend]")
        out.comment("Expected money, refunds netted.")
        out.say(f"value_of = {quoted(paying)}", f'within = "{far}d"')
        goals.append(_GoalGuess("spend", far))


def _action_words(events: Sequence[Role]) -> dict[str, int]:
    words: dict[str, int] = {}
    for role in events:
        own = role.columns.get("action")
        if role.group.format == "access_log":
            continue
        if own is not None:
            for word, count in role.group.column(own).common:
                words[word] = words.get(word, 0) + count
        else:
            word = _constant_action(role.group, role.columns)[0]
            words[word] = words.get(word, 0) + role.group.rows_about
    return words


def _paying(events: Sequence[Role]) -> tuple[str | None, bool]:
    """The action that brings money, and whether money is recorded."""
    words = _action_words(events)
    ranked = [
        word for word in words
        if names.says(word, names.PAYING) and not names.says(word, names.REFUNDING)
    ]  # fmt: skip
    has_value = any({"value", "price"} & set(role.columns) for role in events)
    first = ("pay", "purchase", "buy", "支付", "购买")
    ranked.sort(key=lambda word: (word.lower() not in first, -words[word]))
    return (ranked[0] if ranked else None), has_value


def _split(out: Proposal, events: Sequence[Role], goals: Sequence[_GoalGuess]) -> None:
    out.say("", "[split]")
    if not events:
        out.say('by = "user"   # no events: customers are dealt to the parts by hash')
    elif _span_days(events) is None:
        out.say('by = "leave_one_out"   # no times: each customer\'s last item is the test')
    else:
        out.say('by = "time"   # train on the past, test on what came after')
        days = [goal.days for goal in goals if goal.days]
        if days and min(days) < 7:
            out.say(f'every = "{min(days)}d"   # the shortest horizon')


def _recommend(out: Proposal, events: Sequence[Role]) -> None:
    with_items = [role for role in events if "item_id" in role.columns]
    if not with_items:
        return
    words = _action_words(with_items)
    positive = [
        word for word in words
        if names.says(word, names.PAYING | names.LIKING) and not names.says(word, names.REFUNDING)
    ]  # fmt: skip
    out.say("", "[recommend]")
    if positive and len(positive) < len(words):
        out.say(f"positive = {array(positive)}   # of {', '.join(list(words)[:12])}")
    else:
        out.comment("Every action counts as success; name some with `positive`.")
    paying = {word for word in positive if names.says(word, names.PAYING)}
    repeats, share = max(_repeated(role, paying or set(positive)) for role in with_items)
    out.say(f"repeat = {'true' if repeats > 0.1 else 'false'}"
            f"   # judged from {share:.0%} of the rows, a customer takes about "
            f"{repeats:.0%} of the items again")  # fmt: skip


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
    moments = {
        (user, item, time)
        for user, item, time, action in zip(users, items, times, actions, strict=True)
        if user is not None and item is not None
        and (action is None or action in positive or not positive)
    }  # fmt: skip
    pairs = {(user, item) for user, item, _ in moments}
    sampled = min(1.0, len(users) / max(1, role.group.rows_about))
    repeated = (len(moments) - len(pairs)) / max(1, len(pairs))
    return min(1.0, repeated / max(sampled, 0.01)), sampled
