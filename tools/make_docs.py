"""Generate docs/settings.md and docs/cli.md from the code.

`make docs` runs it; a test fails if a committed page differs from the generated one.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import itertools
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from msgspec import inspect as kinds

from propense import cli, settings
from propense.cli.verbs import ACTIONS, all_verbs

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by tools/make_docs.py; change the code it is made from, not this page. -->\n"


def settings_page() -> str:
    """Type, default and meaning of every key of a propense.toml, from the settings records."""
    lines = [
        "# Settings", "", MADE,
        "A `propense.toml` has the keys below; every key has a sensible default, and an",
        "unknown key is an error that names the nearest one. `propense init FOLDER` writes",
        "a first one. On the command line `--set train.max_epochs=3` changes one key for one run.",
        "", 'Durations are a whole number and a unit: `"15m"`, `"12h"`, `"30d"`, `"2w"`.',
    ]  # fmt: skip
    lines += ["", "## Top level", "", *_table(settings.Settings, top=True)]
    for names, record in sections():
        lines += ["", f"## {', '.join(f'[{name}]' for name in names)}", ""]
        lines += [inspect.getdoc(record) or "", "", *_table(record)]
    return "\n".join(lines) + "\n"


def sections() -> list[tuple[list[str], type]]:
    """Names of the TOML tables that a record describes, and the record."""
    found: dict[type, list[str]] = {}

    def walk(record: type, where: str) -> None:
        for field in kinds.type_info(record).fields:
            inner, many = _record_of(field.type)
            if inner is not None:
                name = f"{where}{field.name}" + (".NAME" if many else "")
                found.setdefault(inner, []).append(name)
                walk(inner, f"{name}.")

    walk(settings.Settings, "")
    return [(names, record) for record, names in found.items()]


def _record_of(kind: Any) -> tuple[type | None, bool]:
    """The record that a field contains, or None, and whether users choose the names."""
    if isinstance(kind, kinds.StructType):
        return kind.cls, False
    if isinstance(kind, kinds.DictType):
        return _record_of(kind.value_type)[0], True
    if isinstance(kind, kinds.UnionType):
        for option in kind.types:
            record, many = _record_of(option)
            if record is not None:
                return record, many
    return None, False


def _table(record: type, top: bool = False) -> list[str]:
    meanings = field_meanings(record)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    fields = sorted(kinds.type_info(record).fields, key=lambda field: not field.required)
    for field in fields:
        if _record_of(field.type)[0] is not None or (top and field.name == "folder"):
            continue
        meaning = meanings.get(field.name, "")
        cells = (f"`{field.name}`", words(field.type), _default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def field_meanings(record: type) -> dict[str, str]:
    """The docstring below each field of a record, in one line."""
    found: dict[str, str] = {}
    for ancestor in reversed(record.__mro__):
        if not ancestor.__module__.startswith("propense.settings."):
            continue
        (body,) = (
            node.body
            for node in ast.parse(inspect.getsource(sys.modules[ancestor.__module__])).body
            if isinstance(node, ast.ClassDef) and node.name == ancestor.__name__
        )
        for field, text in itertools.pairwise(body):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def words(kind: Any) -> str:
    """A type in words."""
    simple = {
        kinds.StrType: "text", kinds.IntType: "whole number", kinds.FloatType: "number",
        kinds.BoolType: "true or false",
    }  # fmt: skip
    if type(kind) in simple:
        return simple[type(kind)]
    if isinstance(kind, kinds.LiteralType):
        return "one of " + ", ".join(f'`"{value}"`' for value in _in_order(kind.values))
    if isinstance(kind, kinds.VarTupleType):
        return f"list of {words(kind.item_type)}"
    if isinstance(kind, kinds.TupleType):
        return f"list of {len(kind.item_types)}: {words(kind.item_types[0])}"
    if isinstance(kind, kinds.DictType):
        return f"table: name = {words(kind.value_type)}"
    if isinstance(kind, kinds.UnionType):
        options = [one for one in kind.types if not isinstance(one, kinds.NoneType)]
        return " or ".join(words(one) for one in options)
    if isinstance(kind, msgspec.inspect.AnyType):
        return "value"
    raise TypeError(f"settings contain {kind!r}, which has no description yet")


def _in_order(values: tuple[Any, ...]) -> list[Any]:
    """The values of a Literal in msgspec's order, but "auto" first."""
    return sorted(values, key=lambda value: (value != "auto", value))


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or value == {} or value == ():
        return ""
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def cli_page() -> str:
    """The help of every verb, as it is printed."""
    lines = ["# Command line", "", MADE, "```text", help_of().rstrip(), "```", ""]
    lines += [
        "Exit codes: 0 done; 1 the data was refused, or `check` or `verify` said no; 2 any other",
        "error in the command or the settings, printed in one line; 3 the data can be read in two",
        "ways and the settings do not say which; 130 stopped by Ctrl-C; 141 the reader of the",
        "output has gone.",
    ]
    for verb in all_verbs():
        lines += ["", f"## {verb.name}", "", "```text", help_of(verb.name).rstrip(), "```"]
        for action in ACTIONS.get(verb.name, ()):
            text = help_of(verb.name, action.name).rstrip()
            lines += ["", f"### {verb.name} {action.name}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def help_of(*verbs: str) -> str:
    """The output of `propense VERBS --help` in 88 columns without colour."""
    page = io.StringIO()
    plain = mock.patch.dict(os.environ, COLUMNS="88", NO_COLOR="1", TERM="dumb")
    with plain, contextlib.redirect_stdout(page):
        cli.main([*verbs, "--help"])
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


PAGES = {"settings.md": settings_page, "cli.md": cli_page}


def main() -> int:
    """Write the pages that changed."""
    for name, make in PAGES.items():
        page = DOCS / name
        text = make()
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
