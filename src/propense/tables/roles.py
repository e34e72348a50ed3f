"""Which file is what: files of equal columns become one group, and a group gets a role."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from propense.tables import names
from propense.tables.profile import ColumnProfile, profile_column
from propense.tables.samples import Format, Sample, Unreadable, own_name, sample_file

RoleName = Literal[
    "events", "users", "items", "identities", "exposures", "impressions", "labels", "none"
]

LOOKED_AT: Final = 6
"""Of many files that differ only by a number in the name, as many are looked into."""
KEY: Final = 0.995
"""A column is a key if this share of its sampled cells is different."""
_NO_DATA: Final = frozenset(
    ".md .toml .py .ipynb .html .htm .pdf .png .jpg .jpeg .gif .svg .rst .lock .yaml .yml .ini "
    ".sql .sh .bak .tmp".split()
)
_PACKED: Final = frozenset(".zip .7z .rar .tar .xlsx .xls .ods .doc .docx .bz2 .xz .zst".split())
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Group:
    """Files with equal columns."""

    name: str
    """A short word for the group, from the file names."""
    paths: tuple[str, ...]
    """Relative paths or one glob that matches just these files."""
    format: Format
    columns: dict[str, ColumnProfile]
    """The file's own column name -> what it looks like over all samples."""
    rows_about: int
    n_bytes: int
    n_files: int
    delimiter: str | None
    encoding: str
    ragged: int
    unusual_name: bool
    """True where the file name alone does not tell the format."""
    whole: bool
    cells: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    """Own name -> the sampled cells of all looked-at files, row by row."""

    def column(self, own: str) -> ColumnProfile:
        return self.columns[own]


@dataclass(frozen=True)
class Role:
    """A group's part in the project, with the file's own names of its columns."""

    name: RoleName
    group: Group
    columns: dict[str, str] = field(default_factory=dict)
    """Canonical name -> own name."""
    why: str = ""


def find_groups(folder: Path, start: Path) -> tuple[list[Group], list[Unreadable]]:
    """Group the readable files below `folder`; paths are written relative to `start`."""
    families: dict[str, list[Path]] = defaultdict(list)
    unreadable: list[Unreadable] = []
    for path in _files(folder):
        if path.suffix.lower() in _PACKED:
            unreadable.append(
                Unreadable(path, "it is an archive or a spreadsheet; unpack it or save it as CSV")
            )
        else:
            families[_DIGITS.sub("#", str(path.relative_to(folder)))].append(path)
    by_columns: dict[tuple[str, ...], list[tuple[Sample, float, list[Path]]]] = defaultdict(list)
    for family in families.values():
        chosen = _spread(family)
        seen: dict[tuple[str, ...], list[Sample]] = defaultdict(list)
        for path in chosen:
            found = sample_file(path)
            if isinstance(found, Unreadable):
                unreadable.append(found)
            elif found.n_rows == 0:
                unreadable.append(Unreadable(path, "it has a header but no rows"))
            else:
                fixed = "" if found.format == "access_log" else found.columns
                seen[(found.format, *sorted(fixed))].append(found)
        if not seen:
            continue
        main = max(seen, key=lambda key: len(seen[key]))
        unseen = [path for path in family if path not in chosen]
        for key, samples in seen.items():
            more = unseen if key == main else []
            sampled = sum(sample.n_bytes for sample in samples)
            scale = 1 + sum(path.stat().st_size for path in more) / max(1, sampled)
            members = [sample.path for sample in samples] + more
            for i, sample in enumerate(samples):
                by_columns[key].append((sample, scale, members if i == 0 else []))
    groups = [_group(found, folder, start) for found in by_columns.values()]
    return sorted(groups, key=lambda group: group.paths), unreadable


def _files(folder: Path) -> Iterable[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "runs", "shelf")))
        for name in sorted(files):
            path = Path(root) / name
            if not name.startswith((".", "LICENSE", "LICENCE")) and (
                path.suffix.lower() not in _NO_DATA
            ):
                yield path


def _spread(paths: Sequence[Path]) -> list[Path]:
    if len(paths) <= LOOKED_AT:
        return list(paths)
    return [paths[i * (len(paths) - 1) // (LOOKED_AT - 1)] for i in range(LOOKED_AT)]


def _group(found: Sequence[tuple[Sample, float, list[Path]]], folder: Path, start: Path) -> Group:
    samples = [sample for sample, _, _ in found]
    files = sorted(path for _, _, members in found for path in members)
    first = samples[0]
    cells: dict[str, list[str | None]] = {
        name: [
            cell for sample in samples
            for cell in sample.columns.get(name) or [None] * sample.n_rows
        ]
        for name in dict.fromkeys(name for sample in samples for name in sample.columns)
    }  # fmt: skip
    declared = first.declared or {}
    return Group(
        name=_short_name(files),
        paths=glob_of(files, folder, start),
        format=first.format,
        columns={
            name: profile_column(name, column, declared.get(name))
            for name, column in cells.items()
        },
        rows_about=round(sum(sample.rows_about * scale for sample, scale, _ in found)),
        n_bytes=sum(path.stat().st_size for path in files),
        n_files=len(files),
        delimiter=first.delimiter,
        encoding=first.encoding,
        ragged=sum(sample.ragged for sample in samples),
        unusual_name=not _tells(first.path, first.format),
        whole=len(samples) == len(files) and all(sample.whole for sample in samples),
        cells=cells,
    )  # fmt: skip


def _tells(path: Path, form: Format) -> bool:
    name = path.name.lower().removesuffix(".gz")
    endings = {
        "csv": (".csv", ".tsv"), "jsonl": (".jsonl", ".ndjson"),
        "parquet": (".parquet",), "access_log": (".log",),
    }  # fmt: skip
    return name.endswith(endings[form])


def _short_name(files: Sequence[Path]) -> str:
    """A TOML key from what the file names share, or from their folder."""
    shared = _common([path.name.split(".")[0] for path in files])
    word = re.sub(r"[^0-9A-Za-z]+", "_", shared).strip("_0123456789").lower()
    if len(word) < 2 or (len(files) > 1 and len(word) < 3):
        word = re.sub(r"[^0-9A-Za-z]+", "_", files[0].parent.name).strip("_").lower()
    return word or "data"


def glob_of(files: Sequence[Path], folder: Path, start: Path) -> tuple[str, ...]:
    """One glob that matches the files and no other data file of the folder, else all paths."""
    written = [Path(os.path.relpath(path, start)).as_posix() for path in files]
    if len(files) == 1:
        return (written[0],)
    parts = [path.split("/") for path in written]
    if len({len(part) for part in parts}) == 1:
        pattern = "/".join(_widen([part[i] for part in parts]) for i in range(len(parts[0])))
        matched = {path.resolve() for path in start.glob(pattern)} if "../" not in pattern else None
        if matched is not None and matched == {path.resolve() for path in files}:
            return (pattern,)
    return tuple(written)


def _widen(words: Sequence[str]) -> str:
    if len(set(words)) == 1:
        return words[0]
    front = _common(words)
    back = _common([word[len(front) :][::-1] for word in words])[::-1]
    # a number that happens to begin alike (2024-01, 2024-02) may go on otherwise next month
    if front[-1:].isdigit() and any(word[len(front) :][:1].isdigit() for word in words):
        front = front.rstrip("0123456789")
    return f"{front}*{back}"


def _common(words: Sequence[str]) -> str:
    """The letters all words begin with."""
    low, high = min(words), max(words)
    end = next((i for i, pair in enumerate(zip(low, high, strict=False)) if len(set(pair)) > 1),
               min(len(low), len(high)))  # fmt: skip
    return low[:end]


def assign_roles(groups: Sequence[Group]) -> list[Role]:
    """A role for each group; of several that could be [users] or [items] the widest is it."""
    persons = {group.paths: _person(group) for group in groups}
    things = {group.paths: _thing(group, persons[group.paths]) for group in groups}
    _by_content(groups, persons)
    roles = [_role(group, persons[group.paths], things[group.paths]) for group in groups]
    roles = _labels_apart(roles)
    for single in ("users", "items", "identities", "exposures", "impressions"):
        rivals = [role for role in roles if role.name == single]
        if len(rivals) > 1:
            best = max(rivals, key=lambda role: (_file_says(role.group, single), _width(role)))
            roles = [
                Role("none", role.group, role.columns,
                     f"looks like {single} too, but {best.group.paths[0]} is fuller; "
                     "join what you need into one file")
                if role in rivals and role is not best else role
                for role in roles
            ]  # fmt: skip
    if not any(role.name in ("events", "users") for role in roles):
        roles = _plain_table(roles)
    return roles


def _width(role: Role) -> int:
    return len(role.group.columns)


def _file_says(group: Group, role: str) -> bool:
    """Whether the last word of the file name is the role: users.csv, but not user_logins.csv."""
    return names.says(group.name.rsplit("_", 1)[-1], names.ROLE_OF_FILE[role])


def _person(group: Group) -> str | None:
    """The column that names the customer, judged by names."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if column.is_time or column.kind in ("empty", "text", "boolean"):
            continue
        score = names.person_score(own_name(own))
        if score < 0.9 and own_name(own).lower() == "id" and _file_says(group, "users"):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _thing(group: Group, person: str | None) -> str | None:
    """The column that names the item, judged by names."""
    best, chosen = (0.0, 0.0), None
    for own, column in group.columns.items():
        if own == person or column.is_time or column.kind in ("empty", "boolean", "number"):
            continue
        score = names.thing_score(own_name(own))
        if score < 0.9 and own_name(own).lower() in ("id", "code") and _file_says(group, "items"):
            score = 0.95
        if score >= 0.9 and (score, column.uniqueness) > best:
            best, chosen = (score, column.uniqueness), own
    return chosen


def _by_content(groups: Sequence[Group], persons: dict[tuple[str, ...], str | None]) -> None:
    """Where no name says it: a column whose cells are ids that another file names customers by."""
    known: set[str] = set()
    for group in groups:
        person = persons[group.paths]
        if person is not None:
            known |= group.column(person).words
    if len(known) < 20:
        return
    for group in groups:
        if persons[group.paths] is not None:
            continue
        for own, column in group.columns.items():
            small_number = column.is_numeric and len(column.words) and (column.high or 0) < 1000
            if len(column.words) >= 20 and not small_number and not column.is_time:
                shared = len(column.words & known) / len(column.words)
                if shared > 0.8 and names.thing_score(own_name(own)) == 0:
                    persons[group.paths] = own
                    break


def _pick(group: Group, words: frozenset[str], taken: set[str], kinds: set[str]) -> str | None:
    """The first free column of one of the kinds whose name holds one of the words."""
    exact = [own for own in group.columns if own_name(own).lower() in words]
    for own in [*exact, *group.columns]:
        if own in taken or group.column(own).kind not in kinds:
            continue
        if names.says(own_name(own), words):
            return own
    return None


_WORDS: Final = {"category", "text", "boolean", "integer"}
_NUMBERS: Final = {"integer", "number"}
_ANY: Final = {"category", "text", "boolean", "integer", "number", "empty"}


def _role(group: Group, person: str | None, thing: str | None) -> Role:
    """The role of one group by itself."""
    if group.format == "access_log":
        return _access_log(group, person, thing)
    taken = {person} if person else set()
    device = _pick(group, names.DEVICE, taken, _WORDS)
    if device is None and _file_says(group, "identities"):
        device = next((own for own in group.columns if own not in taken), None)
    if device and person and len(group.columns) <= 4 and _moment(group, {person, device}) is None:
        return Role("identities", group, {"user_id": person, "alias": device},
                    f"{person} and {device} are ids of one person")  # fmt: skip
    impression = _impressions(group, person, thing)
    if impression is not None:
        return impression
    exposure = _exposures(group, person)
    if exposure is not None:
        return exposure
    if person is not None:
        return _person_role(group, person, thing)
    if thing is not None and group.column(thing).uniqueness >= KEY and len(group.columns) > 1:
        return Role("items", group, {"item_id": thing}, f"{thing} is different in every row")
    return Role("none", group, {}, "no column looks like a customer's or an item's id")


def _access_log(group: Group, person: str | None, thing: str | None) -> Role:
    """A web server's log: who by parameter, login or address; what by parameter or path."""
    columns = group.columns
    login = columns["remote_user"]
    why = "a web server's access log; "
    if person is not None and person.startswith("query:"):
        why += f"customers by the parameter {own_name(person)}"
    elif login.n_known > 0.5 * login.n:
        person, why = "remote_user", why + "customers by login"
    else:
        person, why = "remote_host", why + "customers by network address, for want of a login"
    steps = [own for own in columns if own.startswith("path:")]
    many = [own for own in steps if columns[own].n_distinct >= 10]
    spoken = [
        own for before, own in pairwise(steps) if own in many and _says_thing(columns[before])
    ]
    item = thing if thing and thing.startswith("query:") else next(iter(spoken or many), None)
    found = _event_columns(group, person, item, "time")
    if "action" not in found:
        few = item != "path:1" and steps and 1 < columns["path:1"].n_distinct <= 30
        found["action"] = "path:1" if few else "method"
    fields = ("bytes", "status", "method", "remote_host")
    found = {
        word: own for word, own in found.items()
        if word in ("user_id", "action") or own not in fields
    }  # fmt: skip
    return Role("events", group, found, why)


def _says_thing(step: ColumnProfile) -> bool:
    """Whether a step of addresses is a word for items, as in /courses/."""
    return any(names.says(word.removesuffix("s"), names.THING) for word, _ in step.common)


def _person_role(group: Group, person: str, thing: str | None) -> Role:
    """Events where a customer returns with a time or an item, else customers."""
    key = group.column(person)
    moment = _moment(group, {person})
    acts = _pick(group, names.ACTION, {person}, _WORDS)
    called_users = _file_says(group, "users")
    if (key.uniqueness < KEY or acts) and (moment or thing) and not called_users:
        why = f"{person} returns in about {group.rows_about:,} rows"
        why += f", {moment} is a time" if moment else ", without any time: order only"
        return Role("events", group, _event_columns(group, person, thing, moment), why)
    if key.uniqueness >= KEY:
        return Role("users", group, {"user_id": person}, f"{person} is different in every row")
    if called_users:
        return Role("users", group, {"user_id": person},
                    f"the file is called {group.name}; but {person} is not different in every "
                    "row")  # fmt: skip
    return Role("none", group, {"user_id": person},
                f"{person} repeats, but there is neither a time nor an item")  # fmt: skip


def _moment(group: Group, taken: set[str]) -> str | None:
    """The column of event times: one whose name says so and does not speak of signing up."""
    times = [own for own, column in group.columns.items() if column.is_time and own not in taken]
    ranked = sorted(
        times,
        key=lambda own: (
            own_name(own).lower() not in ("event_time", "time", "timestamp", "ts", "datetime"),
            names.says(own_name(own), names.VALID_FROM),
            not names.says(own_name(own), names.TIME),
        ),
    )
    return ranked[0] if ranked else None


def _event_columns(
    group: Group, person: str, thing: str | None, moment: str | None
) -> dict[str, str]:
    columns = {"user_id": person}
    taken = {person}

    def take(canonical: str, own: str | None) -> None:
        if own is not None and own not in taken:
            columns[canonical] = own
            taken.add(own)

    take("item_id", thing)
    take("event_time", moment)
    action = _pick(group, names.ACTION, taken, {"category"}) or _pick(
        group, frozenset(["type"]), taken, {"category"}
    )
    if action is not None and group.column(action).n_distinct <= 200:
        take("action", action)
    take("count", _pick(group, names.COUNT, taken, {"integer", "number"}))
    money = _pick(group, names.MONEY, taken, _NUMBERS)
    if money is not None:
        take("value", money)
    else:
        price = _pick(group, names.PRICE, taken, _NUMBERS)
        take("price" if "count" in columns else "value", price)
    for own in group.columns:
        spoken = names.says(own_name(own), names.RECORD) and names.says(own_name(own), names.ID)
        if own not in taken and (spoken or "uuid" in own_name(own).lower()):
            if group.column(own).uniqueness > 0.9:
                take("event_id", own)
                break
    return columns


def _impressions(group: Group, person: str | None, thing: str | None) -> Role | None:
    taken = {own for own in (person, thing) if own}
    if thing is None:
        return None
    chance = _pick(group, names.SHOWN_CHANCE, taken, _NUMBERS)
    position = _pick(group, names.POSITION, taken, {"integer", "category"})
    clicked = _pick(group, names.CLICKED, taken, {"boolean", "integer", "number"})
    if position is None or (chance is None and clicked is None):
        return None
    found = {
        "user_id": person, "item_id": thing, "position": position, "p_action": chance,
        "policy": _pick(group, frozenset(["policy"]), taken, {"category", "boolean"}),
        "time": _moment(group, taken), "outcome": clicked,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in found.items() if own}
    if person is None:
        return Role("none", group, columns, "impressions without a customer id")
    return Role("impressions", group, columns, f"{position} is the place an item was shown at")


def _exposures(group: Group, person: str | None) -> Role | None:
    if person is None:
        return None
    taken = {person}
    chance = next((own for own in group.columns if own_name(own).lower() == "p_treated"), None)
    treated = _pick(group, frozenset(["treated", "is_treated", "treatment"]), taken, {"boolean"})
    taken |= {own for own in (chance, treated) if own}
    arm = _pick(group, names.ARM, taken, {"category", "boolean"})
    taken |= {arm} if arm else set()
    campaign = _pick(group, names.CAMPAIGN, taken, _ANY)
    if treated is None and chance is None and (arm is None or campaign is None):
        return None
    found = {
        "user_id": person, "campaign": campaign, "arm": arm, "treated": treated,
        "exposure_time": _moment(group, taken), "p_treated": chance,
    }  # fmt: skip
    columns = {canonical: own for canonical, own in found.items() if own}
    return Role("exposures", group, columns, "it says who was treated and who was held out")


def label_columns(group: Group, taken: Iterable[str] = ()) -> list[str]:
    """Columns that look like what one wants to predict: two values and a name that says so.

    The last such column of the file comes first, as labels mostly stand at the end.
    """
    ids = set(taken)
    return [
        own for own in reversed(group.columns)
        if own not in ids
        and group.column(own).is_binary
        and names.says(own_name(own), names.LABEL)
    ]  # fmt: skip


def _labels_apart(roles: list[Role]) -> list[Role]:
    """A narrow table of customers with a label, beside other tables, is a file of labels."""
    wider = any(role.name in ("users", "events") and _width(role) > 3 for role in roles)
    return [
        Role("labels", role.group, role.columns, f"{labels[0]} is a label of each customer")
        if role.name == "users" and _width(role) <= 3 and wider
        and (labels := label_columns(role.group, role.columns.values()))
        else role
        for role in roles
    ]  # fmt: skip


def _plain_table(roles: list[Role]) -> list[Role]:
    """Without any customer id: the widest table that has a label; each row is a customer."""
    labelled = [role for role in roles if label_columns(role.group)]
    if not labelled:
        return roles
    best = max(labelled, key=_width)
    return [
        Role("users", role.group, {}, "it has a label but no id: each row is a customer")
        if role is best else role
        for role in roles
    ]  # fmt: skip
