"""The tables beside the events in a guessed propense.toml."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.guessing.ids import KEY, counts_rows, is_counter
from propense.tables.guessing.personal import personal_kind
from propense.tables.guessing.proposals.toml_text import Proposal, paths
from propense.tables.guessing.role import Role, label_columns, outcome_columns
from propense.tables.questions import Choice, Question, encoding_question
from propense.tables.sources.samples import own_name


def file_keys(out: Proposal, group: Group, path_key: str) -> None:
    size = f"{group.n_files} file{'s' * (group.n_files > 1)}, about {group.rows_about:,} rows"
    out.set(path_key, paths(group), size)
    if group.format == "access_log" or group.unusual_name:
        out.set("format", group.format, "the file's name does not show it")
    if group.delimiter not in (None, ","):
        out.set("delimiter", group.delimiter)
    if group.encodings:
        out.ask(encoding_question(out.key("encoding"), group.paths[0], group.encodings))
    elif group.encoding != "utf-8":
        out.set("encoding", group.encoding)
    if group.ragged:
        out.comment(f"{group.ragged:,} sampled lines do not have the columns of the others")


def set_columns(out: Proposal, columns: dict[str, str]) -> None:
    if columns:
        out.set("columns", columns)


def customer_question(role: Role, key: str) -> Question | None:
    """Which of several columns is the customer."""
    if not role.rivals:
        return None
    choices = []
    for own in (role.columns["user_id"], *role.rivals):
        column = role.group.column(own)
        missing = f", {column.n_missing / column.n:.0%} empty" if column.n_missing else ""
        choices.append(Choice(own, f"{column.n_distinct:,} customers in the sample{missing}"))
    return Question(
        key=f"{key}.columns.user_id",
        sentence="which column is the customer?",
        choices=choices,
        examples=[
            ", ".join(f"{one.value} = {role.group.cells[one.value][row]}" for one in choices)
            for row in range(min(2, len(role.group.cells[choices[0].value])))
        ],
    )


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
    question = customer_question(role, role.name) if role.name == "users" else None
    if question is None:
        set_columns(out, role.columns)
    else:
        out.ask(question)
    late = outcome_columns(group, role.columns.values()) if role.name == "users" else {}
    features, left_out, types, sensitive = [], [], {}, []
    for own, column in group.columns.items():
        if own in role.columns.values() or own in labels:
            continue
        name = renamed.get(own, own)
        if own in late:
            left_out.append((name, late[own]))
            continue
        if own in role.outcomes:
            left_out.append((name, "it was counted after the treatment"))
            continue
        if own in role.rivals:
            left_out.append((name, "it could be the customer as well"))
            continue
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
    if _is_unique_code(group, column, role):
        return "different in nearly every row"
    return None


def _is_unique_code(group: Group, column: ColumnProfile, role: str) -> bool:
    """Whether a column names the row: a code, a number that counts, or an id beside the id."""
    if column.uniqueness <= 0.95 or column.n_filled < _FEWEST or column.is_time:
        return False
    name = own_name(column.name)
    named = names.mentions(name, vocabulary.ID) or name.lower().endswith("id")
    if column.kind == "integer":
        return named or counts_rows(group, column.name)
    return column.kind == "category" and (role == "users" or named)


_FEWEST: Final = 20
"""Cells below which all being different says nothing."""


def _is_code(column: ColumnProfile) -> bool:
    """Numbers that are names: zip codes, regions, operating systems."""
    code = frozenset("zip postcode postal code region browser type system systems os id".split())
    return column.kind == "integer" and names.mentions(own_name(column.name), code)


def propose_experiment(out: Proposal, role: Role) -> None:
    """[exposures] of a table of customers who were treated or held out."""
    if not role.experiment:
        return
    out.open_table("exposures")
    out.comment(f"The same table: {role.why}.")
    file_keys(out, role.group, "path")
    out.set("columns", role.experiment)
