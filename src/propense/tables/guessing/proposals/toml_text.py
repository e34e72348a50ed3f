"""A propense.toml as it is proposed: settings with reasons beside them, and choices as comments.

Header cells, action words and file names reach the text through here alone. Beside the text grows
the dict that it means; `checked_text` refuses a text that means anything else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import tomlkit
from tomlkit.items import InlineTable, Item, Table

from propense.settings.paths import setting_names, setting_path
from propense.tables.guessing.groups import Group
from propense.tables.questions import Question

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\ufeff]")
_LONGEST: Final = 400
"""Characters of a comment; the name of a column can be as long as a file."""
OPEN_QUESTIONS: Final = "open_questions"
GUESSES: Final = "guesses"


@dataclass
class Proposal:
    """The growing document, its questions, remarks and notes.

    Settings and comments are added to the table that was opened last, at first to the top level.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    """Key of a question -> its answer."""
    document: tomlkit.TOMLDocument = field(default_factory=tomlkit.document)
    meant: dict[str, Any] = field(default_factory=dict)
    """What the text means."""
    asked: list[Question] = field(default_factory=list)
    """Questions that have no answer yet: they stop a run."""
    remarks: list[str] = field(default_factory=list)
    """Guesses that the reader should look at; each names its key."""
    notes: list[str] = field(default_factory=list)
    _table: tomlkit.TOMLDocument | Table = field(init=False)
    _values: dict[str, Any] = field(init=False)
    _path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._table = self.document
        self._values = self.meant

    def open_table(self, *path: str) -> None:
        """Begin the table [PATH[0].PATH[1]...] after an empty line."""
        parent: tomlkit.TOMLDocument | Table = self.document
        values = self.meant
        for name in path[:-1]:
            if name not in parent:
                parent.add(name, tomlkit.table(is_super_table=True))
            child = parent[name]
            assert isinstance(child, Table)
            parent, values = child, values.setdefault(name, {})
        self._table = tomlkit.table()
        parent.add(path[-1], self._table)
        self._values, self._path = values.setdefault(path[-1], {}), path

    def set(self, name: str, value: object, reason: str = "") -> None:
        """Add `NAME = VALUE   # REASON`."""
        self._table.add(name, _item(value, reason))
        self._values[name] = _plain(value)

    def set_inside(self, table: str, name: str, value: object) -> None:
        """Add `TABLE.NAME = VALUE`: one key of an inner table that others can be added to."""
        key = tomlkit.key([table, name])
        self._table.add(key, _item(value, ""))
        self._values.setdefault(table, {})[name] = _plain(value)

    def comment(self, text: str) -> None:
        self._table.add(tomlkit.comment(_one_line(text)))

    def empty_line(self) -> None:
        self._table.add(tomlkit.nl())

    def comment_table(self, *path: str) -> None:
        """Add `[PATH]` as a comment after an empty line: a table that the reader may want."""
        self.empty_line()
        self.comment(f"[{setting_path(*path)}]")

    def comment_set(self, name: str, value: object, reason: str = "") -> None:
        """Add `NAME = VALUE   # REASON` as a comment: a choice that the reader may want."""
        line = _UNSEEN.sub(lambda seen: f"\\u{ord(seen[0]):04x}", _line(name, value, reason))
        self._table.add(tomlkit.comment(line))

    def key(self, name: str) -> str:
        """The path of a setting of the table that is open, as the key of a question."""
        return setting_path(*self._path, name)

    def ask(self, question: Question) -> None:
        """Set the answer of a question of this table, or add its choices as comments."""
        path = setting_names(question.key)
        inside = path[len(self._path) :]
        assert tuple(path[: len(self._path)]) == self._path, question.key
        if question.key in self.answers:
            value = self.answers[question.key]
            if len(inside) == 1:
                self.set(inside[0], value, "as you answered")
            else:
                self.set_inside(inside[0], inside[1], value)
            return
        self.asked.append(question)
        self.comment(f"QUESTION {len(self.asked)}: {question.sentence}")
        for example in question.examples[:2]:
            self.comment(f"  such as {example}")
        self.comment("  Take away the # of one line:")
        for choice in question.choices:
            self.comment_set(setting_path(*inside), choice.value, choice.effect)

    def finish(self) -> None:
        """Fill the list of open questions at the top, and add the likeliest answers."""
        keys = [question.key for question in self.asked]
        if OPEN_QUESTIONS in self.document:
            if keys:
                self.document[OPEN_QUESTIONS] = _array(keys)
                self.meant[OPEN_QUESTIONS] = keys
            else:
                self.document.remove(OPEN_QUESTIONS)
                self.meant.pop(OPEN_QUESTIONS, None)
        if keys:
            self.open_table(GUESSES)
            self.comment("What --accept-guesses takes for the open questions.")
            for question in self.asked:
                self.set(question.key, question.choices[0].value)

    @property
    def text(self) -> str:
        return tomlkit.dumps(self.document)

    def checked_text(self) -> str:
        """The text, once it is proved that it means what was meant.

        Raises RuntimeError if it does not, which is a fault of propense.
        """
        text = self.text
        try:
            read = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RuntimeError(f"the proposed settings are not valid TOML: {error}") from error
        if read != self.meant:
            raise RuntimeError(
                f"the proposed settings do not mean what was meant: {read!r} is not {self.meant!r}"
            )
        return text


def _line(name: str, value: object, reason: str) -> str:
    """A setting on one line; text with control characters is written with escapes."""
    line = tomlkit.document()
    line.add(tomlkit.key(setting_names(name)), _item(value, reason))
    return tomlkit.dumps(line).rstrip("\n")


def _item(value: object, reason: str) -> Item:
    item = tomlkit.item(_inline(value) if isinstance(value, Mapping) else value)
    if reason:
        item.comment(_one_line(reason))
        item.trivia.comment_ws = "   "
    return item


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _array(values: list[str]) -> Item:
    array = tomlkit.array()
    array.extend(values)
    return array.multiline(len(values) > 2)


def _one_line(text: str) -> str:
    """Text for a comment: a column's name may hold line breaks and other control characters."""
    line = _UNSEEN.sub(" ", text)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + " ..."


def _inline(values: Mapping[str, Any]) -> InlineTable:
    """A mapping on one line."""
    table = tomlkit.inline_table()
    table.add(tomlkit.ws(" "))
    table.update(values)
    table.add(tomlkit.ws(" "))
    return table


def free_name(name: str, used: set[str]) -> str:
    """The name, or the name with a number where it is used already; it is used from now on."""
    chosen, number = name, 2
    while chosen in used:
        chosen, number = f"{name}_{number}", number + 1
    used.add(chosen)
    return chosen


def paths(group: Group) -> str | list[str]:
    """The paths of a group as a setting: one text, or a list.

    A file called "live" is written "./live", as the bare word is the service's own history.
    """
    written = ["./live" if path == "live" else path for path in group.paths]
    return written[0] if len(written) == 1 else written
