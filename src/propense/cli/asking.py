"""Questions of `propense init` at a terminal."""

from __future__ import annotations

import sys
from typing import Any

from propense.tables.questions import Question


def at_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: Question) -> Any:
    """The chosen value; Enter is the first choice, the end of input leaves the question open."""
    lines = ["", f"{question.key}: {question.sentence}"]
    lines += [f"  such as {example}" for example in question.examples[:2]]
    lines += [f"  {number}  {line}" for number, line in enumerate(question.lines(), start=1)]
    print("\n".join(lines), file=sys.stderr)
    while True:
        print(f"Choose 1 to {len(question.choices)} [1]: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return None
        word = line.strip() or "1"
        if word.isdigit() and 1 <= int(word) <= len(question.choices):
            return question.choices[int(word) - 1].value


def as_record(question: Question) -> dict[str, Any]:
    """A question as JSON tells it."""
    return {
        "key": question.key,
        "sentence": question.sentence,
        "choices": [
            {"value": choice.value, "effect": choice.effect} for choice in question.choices
        ],
        "examples": question.examples,
    }
