"""Questions that the data leaves open, each answered by one key of the settings.

A guess that could be wrong is not made in silence: `init` writes the question into
propense.toml with a commented line for every answer and lists its key in `open_questions`; until
one of the lines stands there without its "#", `check`, `clean` and `run` end with exit code 3.
Cleaning asks by itself too, where it finds two readings of a column that the settings leave open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec
import tomlkit

from propense.errors import QuestionError
from propense.settings import Settings
from propense.settings.paths import setting_names, setting_path


class Choice(msgspec.Struct, frozen=True):
    """One answer."""

    value: Any
    """What the key is set to."""
    effect: str
    """What it makes of rows or sums, in words."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its possible answers, the likeliest first."""

    key: str
    """Path of the setting that answers it, such as "sources.shop.decimal"."""
    sentence: str
    choices: list[Choice]
    examples: list[str] = []
    """Two cells or rows that show the doubt, with their places."""

    def lines(self) -> list[str]:
        """The settings to choose from, each as it would stand in propense.toml.

        >>> Question(key="sources.shop.decimal", sentence="?", choices=[
        ...     Choice("comma", "sum 28,478.65")]).lines()
        ['decimal = "comma"   # sum 28,478.65']
        >>> Question(key="sources.shop.where", sentence="?", choices=[
        ...     Choice({"Paid?": ["yes"]}, "net 5.00")]).lines()
        ['where = {"Paid?" = ["yes"]}   # net 5.00']
        """
        name = setting_names(self.key)[-1]
        return [f"{_assignment(name, one.value)}   # {one.effect}" for one in self.choices]

    @property
    def table(self) -> str:
        """The table that the key stands in, as a header; empty for the top level.

        >>> Question(key="sources.my shop.decimal", sentence="?", choices=[]).table
        '[sources."my shop"]'
        """
        path = setting_names(self.key)[:-1]
        return f"[{setting_path(*path)}]" if path else ""


def _assignment(name: str, value: Any) -> str:
    document = tomlkit.document()
    item = tomlkit.item(value)
    if isinstance(value, dict):
        item = tomlkit.inline_table()
        item.update(value)
    document.add(name, item)
    return tomlkit.dumps(document).strip().replace("\n", " ")


def encoding_question(key: str, shown: str, readings: Mapping[str, Sequence[str]]) -> Question:
    """In which encoding the text of the file `shown` makes sense.

    `readings` has for each encoding that fits, the likeliest first, words as it reads them.
    """
    first, words = next(iter(readings.items()))
    return Question(
        key=key,
        sentence=f"The encoding of {shown} is in doubt: in which do its words make sense?",
        choices=[
            Choice(codec, "reads " + ", ".join(map(repr, read)))
            for codec, read in list(readings.items())[:6]
        ],
        examples=[f"{word!r} in {shown}, read as {first}" for word in words],
    )


def refuse_open(questions: Iterable[Question], settings: Settings) -> None:
    """Raise QuestionError where questions are open, unless the settings accept the guesses."""
    asked = list(questions)
    if asked and not settings.clean.accept_guesses:
        raise_open(asked)


def raise_open(asked: Sequence[Question]) -> NoReturn:
    """Raise QuestionError for these questions."""
    blocks = [_block(question) for question in asked]
    raise QuestionError(
        "the data can be read in more than one way; write one line of each choice into "
        "propense.toml, or take the first of each with --accept-guesses:\n" + "\n".join(blocks),
        tuple(question.key for question in asked),
    )


def refuse_unanswered(settings: Settings) -> None:
    """Raise QuestionError for questions of `init` that nobody has answered."""
    if settings.open_questions and not settings.clean.accept_guesses:
        raise QuestionError(
            "propense.toml has open questions; answer each by one of the commented lines that "
            "stand for it, or take what stands there with --accept-guesses: "
            + ", ".join(settings.open_questions),
            settings.open_questions,
        )


def _block(question: Question) -> str:
    lines = [f"  {question.sentence}"]
    lines += [f"    such as {example}" for example in question.examples[:2]]
    if question.table:
        lines.append(f"    in {question.table}:")
    lines += [f"      {line}" for line in question.lines()]
    return "\n".join(lines)
