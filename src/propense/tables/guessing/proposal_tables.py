"""The sources and tables of a guessed propense.toml."""

from __future__ import annotations

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.guessing.ids import KEY, is_counter, item_score, user_score
from propense.tables.guessing.personal import personal_kind
from propense.tables.guessing.role import Role, label_columns
from propense.tables.guessing.toml_text import Proposal, paths
from propense.tables.sources.samples import own_name


def file_keys(out: Proposal, group: Group, path_key: str) -> None:
    size = f"{group.n_files} file{'s' * (group.n_files > 1)}, about {group.rows_about:,} rows"
    out.set(path_key, paths(group), size)
    if group.format == "access_log" or group.unusual_name:
        out.set("format", group.format, "the file's name does not show it")
    if group.delimiter not in (None, ","):
        out.set("delimiter", group.delimiter)
    if group.encoding != "utf-8":
        out.set("encoding", group.encoding)
    if group.ragged:
        out.comment(f"{group.ragged:,} sampled lines do not have the columns of the others")


def set_columns(out: Proposal, columns: dict[str, str]) -> None:
    if columns:
        out.set("columns", columns)


def propose_source(out: Proposal, role: Role, name: str) -> None:
    group, columns = role.group, role.columns
    out.open_table("sources", name)
    out.comment(f"Events: {role.why}.")
    file_keys(out, group, "events")
    set_columns(out, columns)
    for canonical, own in columns.items():
        if reason := _reason(group.column(own), canonical):
            out.comment(f"  {own}: {reason}")
    if "action" not in columns:
        action, why = constant_action(group, columns)
        out.set("action", action, why)
    if "event_time" in columns and group.format != "access_log":
        _time_format(out, group.column(columns["event_time"]), name)
    elif "event_time" not in columns:
        out.comment("No time: the rows are taken to be in the order of the events.")
        numbers = [own for own in group.columns if names.mentions(own_name(own), vocabulary.TIME)]
        if numbers:
            out.remarks.append(
                f"[sources.{name}] event_time: {numbers[0]!r} is named like a time but holds none "
                f"(such as {min(group.column(numbers[0]).words, default='')!r}); export times "
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
        rated = [own for own in spare if names.mentions(own_name(own), vocabulary.RATING)]
        if rated:
            out.comment(f"  {rated[0]} is a rating, not money, so it is not `value`")


def _alternatives(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """Other columns that could be the customer, the item or the time, as comments."""
    scores = {"user_id": user_score, "item_id": item_score}
    for own, column in group.columns.items():
        if own in columns.values():
            continue
        for canonical, score in scores.items():
            if score(own_name(own)) >= 0.3 and column.n_distinct > 50 and not column.is_time:
                out.comment_set(f"columns.{canonical}", own, "another choice")
        if column.is_time:
            out.comment_set("columns.event_time", own, "another choice")


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


def constant_action(group: Group, columns: dict[str, str]) -> tuple[str, str]:
    """One action for all rows of a log that names none."""
    if any(names.mentions(own_name(own), vocabulary.RATING) for own in group.columns):
        return "rate", "the rows have ratings; every row is one action"
    if {"value", "price"} & set(columns):
        return "pay", "the rows have money but no action: every row is a payment"
    for words, action in ((vocabulary.PAYING, "pay"), (vocabulary.REFUNDING, "refund")):
        if names.mentions(group.name, words):
            return action, f"the file is called {group.name}"
    if not names.mentions(group.name.rsplit("_", 1)[-1], vocabulary.PLAIN_LOG):
        return group.name, "the log has no action; its file name says what a row is"
    return "view", "the log has no action; set the word for a row"


def _time_format(out: Proposal, column: ColumnProfile, source: str) -> None:
    form = column.time_format
    if form is None or form == "iso" or column.kind == "epoch":
        if column.kind == "epoch":
            out.comment(f"  {column.name}: {form} since 1970")
        return
    if form not in ("%Y-%m-%d", "%Y/%m/%d"):
        out.set("time_format", form)
    if column.other_formats:
        other = column.other_formats[0]
        out.comment_set("time_format", other, "reads the sample just as well")
        out.remarks.append(
            f"[sources.{source}] time_format: is the day or the month first? Both {form!r} and "
            f"{other!r} read every sampled row"
        )


def _cancelled(out: Proposal, group: Group, columns: dict[str, str]) -> None:
    """An order number that begins with a letter in a few rows marks cancellations."""
    for own, column in group.columns.items():
        if own in columns.values() or not names.mentions(own_name(own), vocabulary.ORDER_NO):
            continue
        if not (names.mentions(own_name(own), vocabulary.ID) or column.kind == "category"):
            continue
        lettered = sorted(
            word for word in column.words if word[:1].isalpha() and word[1:].isdigit()
        )
        plain = sum(word.isdigit() for word in column.words)
        starts = {word[0] for word in lettered}
        if "C" in starts and plain > 2 * len(lettered):
            cancelled = {"column": own, "starts_with": "C"}
            out.set("cancelled", cancelled, f"{lettered[0]} among plain numbers")


def propose_table(out: Proposal, role: Role) -> None:
    group = role.group
    out.open_table(role.name)
    out.comment(f"{role.name.capitalize()}: {role.why}.")
    own_id = role.columns.get("user_id")
    if role.name == "users" and own_id and (key_column := group.column(own_id)).uniqueness < KEY:
        out.remarks.append(
            f"[users] {own_id} names {key_column.n_distinct:,} customers in "
            f"{key_column.n_filled:,} rows: which row is the customer, or which columns together "
            "make the id?"
        )
    file_keys(out, group, "path")
    if role.name not in ("users", "items"):
        set_columns(out, role.columns)
        return
    labels = label_columns(group, role.columns.values()) if role.name == "users" else []
    renamed = {own: own_name(own) for own in group.columns if own_name(own) != own}
    set_columns(out, role.columns)
    features, left_out, types, sensitive = [], [], {}, []
    for own, column in group.columns.items():
        if own in role.columns.values() or own in labels:
            continue
        name = renamed.get(own, own)
        why_not = _why_no_feature(group, column, role.name)
        if why_not:
            left_out.append((name, why_not))
            continue
        features.append(name)
        if _is_code(column):
            types[name] = "categorical"
        elif column.kind == "text":
            types[name] = "text"
        if role.name == "users" and names.mentions(name, vocabulary.SENSITIVE):
            sensitive.append(name)
    out.set("features", features)
    for name, why_not in left_out:
        out.comment(f"  without {name}: {why_not}")
    if types:
        out.set("types", types)
    if sensitive:
        out.set("sensitive", sensitive, "the report compares these groups")
    if role.name == "users":
        start = [
            renamed.get(own, own) for own, column in group.columns.items()
            if column.is_time and names.mentions(own_name(own), vocabulary.VALID_FROM)
            and renamed.get(own, own) in features
        ]  # fmt: skip
        if start:
            out.set("valid_from", start[0], "the profile is known from this time on")
    if role.name == "users":
        out.remarks.append(
            "[users] features: was every column known before the time that is predicted? "
            "Remove columns that are filled in afterwards"
        )


def _why_no_feature(group: Group, column: ColumnProfile, role: str) -> str | None:
    if column.kind == "empty":
        return "empty in the sample"
    if is_counter(group, column.name):
        return "it only counts the rows"
    if personal := personal_kind(column, rows_are_customers=role == "users"):
        if role == "users" or personal != "addresses":
            return f"personal: {personal}"
    if column.n_distinct == 1 and not column.n_missing:
        return f"always {column.common[0][0]!r}"
    if role == "users" and names.mentions(own_name(column.name), vocabulary.AFTERWARDS):
        return "its name suggests something known only afterwards"
    if column.kind == "category" and column.uniqueness > 0.95 and column.n_filled > 50 and (
        role == "users" or names.mentions(own_name(column.name), vocabulary.ID)
    ):  # fmt: skip
        return "different in nearly every row"
    return None


def _is_code(column: ColumnProfile) -> bool:
    """Numbers that are names: zip codes, regions, operating systems."""
    code = frozenset("zip postcode postal code region browser type system systems os id".split())
    return column.kind == "integer" and names.mentions(own_name(column.name), code)
