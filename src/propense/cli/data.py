"""`propense init` and `propense check`: the verbs before the flow."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from propense.cli.options import ACCEPT, DEFAULTS, AcceptGuesses, Common, Flag, load_settings
from propense.cli.output import open_output
from propense.errors import SettingsError
from propense.settings import Settings
from propense.tables.questions import Question


def init(
    folder: Path,
    /,
    *,
    force: Annotated[bool, Flag] = False,
    common: Common = DEFAULTS,
) -> None:
    """Inspect a folder of files, guess what they are, and write the settings.

    Only samples are read, and only the settings file is written. Every guess is
    written there with its reason. What only you can know is asked at a terminal;
    elsewhere it is written as an open question, which check, clean and run refuse.

    Parameters
    ----------
    folder
        Folder of CSV, JSON lines, Parquet or web access logs.
    force
        Overwrite an existing settings file.
    """
    from propense.tables.guessing.guess import guess_settings

    output = open_output(common)
    target = common.settings
    if target.exists() and not force:
        raise SettingsError(
            f"{str(target)!r} exists already; overwrite it with --force, "
            "or choose another file with --settings FILE"
        )
    if not target.resolve().parent.is_dir():
        raise SettingsError(
            f"folder {str(target.resolve().parent)!r} of the settings file does not exist; "
            "create it, or choose another file with --settings FILE"
        )
    answer = None if output.json or not _at_terminal() else _ask
    guess = guess_settings(folder, target.resolve().parent, answer)
    target.write_text(guess.toml, encoding="utf-8")
    record = {
        "settings": target, "roles": guess.roles, "sources": guess.sources,
        "questions": [_as_record(question) for question in guess.questions],
        "remarks": guess.remarks, "notes": guess.notes,
    }  # fmt: skip
    lines = [f"wrote {target}", "", "Roles"]
    lines += [f"  {role:<12}{path}" for path, role in guess.roles.items()]
    if guess.questions:
        lines += ["", "Open questions, each with its choices in the file"]
        lines += [f"  - {question.key}: {question.sentence}" for question in guess.questions]
    if guess.remarks:
        lines += ["", "Please check", *(f"  - {remark}" for remark in guess.remarks)]
    if guess.notes:
        lines += ["", "Notes", *(f"  - {note}" for note in guess.notes)]
    output.result(record, "\n".join(lines))
    if guess.questions:
        output.message(f"next: answer the open questions in {target}, then propense check")
    else:
        output.message("next: propense check")


def _at_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: Question) -> Any:
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


def _as_record(question: Question) -> dict[str, Any]:
    """A question as JSON tells it."""
    return {
        "key": question.key,
        "sentence": question.sentence,
        "choices": [
            {"value": choice.value, "effect": choice.effect} for choice in question.choices
        ],
        "examples": question.examples,
    }


def check(*, accept_guesses: AcceptGuesses = False, common: Common = DEFAULTS) -> int:
    """Examine the data before a run.

    Reports what is dirty and what cleaning will do, whether each goal has enough
    data, which columns leak the answer, and how much time and memory a run takes.
    Exit code 1 if something must be corrected first, 3 if a question is open.

    Parameters
    ----------
    accept_guesses
        Read data that can be read in two ways in the likelier one, without asking.
    """
    from rich.console import Console

    from propense.schemas import RunFolder
    from propense.tables.doctor.examine import examine
    from propense.tables.doctor.page import render
    from propense.tables.engine.engine import connect

    output = open_output(common)
    settings = load_settings(common, (ACCEPT,) if accept_guesses else ())
    run_folder = RunFolder(Path(settings.folder) / settings.run)
    engine = connect(settings.engine, run_folder.root / "scratch", settings.memory_limit)
    output.message(f"examining the data of {common.settings}")
    with _live_history(settings):
        diagnosis = examine(settings, engine)
    if output.json:
        print(diagnosis.to_json())
    else:
        Console().print(render(diagnosis))
    return 1 if diagnosis.worst == "error" else 0


def _live_history(settings: Settings) -> AbstractContextManager[None]:
    """The live store's views, where the sources name them; the pipeline, which loads much, is
    imported only for stores that need an export."""
    from propense.tables.sources.live import needs_export

    if not needs_export(settings):
        return nullcontext()
    from propense.pipeline.live import exported_live

    return exported_live(settings)
