"""Count the house's own words that are left in identifiers: `make words`.

    python tools/words.py            a line a word and file; exit code 1 if a word is left
    python tools/words.py --words    a line a word only

Identifiers are the names in the Python files of src, tests and benchmarks, and the names of the
files, split at underscores and capitals: `waitingDeeds` has the words "waiting" and "deeds". A word
of WORDS may stay in an identifier of ALLOWED, for the reason given there.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("src", "tests", "benchmarks")
OWN: Final = ("propense", "support", "benchmarks")
"""Packages whose names count; others choose their own."""
CUSTOMER: Final = "customer in prose and classes, user_id in data"
RESULT: Final = "the name of what the variable holds"

WORDS: Final = {
    "apart": "disjoint, separate",
    "came": "observed",
    "cell cells": "shared counter; a cell of a table is a cell",
    "contest contests": "scoring",
    "contestant contestants": "model, ModelSet",
    "course courses": "Schedule; a course of the education world is a course",
    "deal dealt deals dealing": "assign, Assignment",
    "deed deeds": "CustomerUpdate, updates",
    "devoted doubted pushers newcomers trust": "shilling, downweight_shilling",
    "door doors": "endpoint",
    "exposure exposures": "item_share; exposure is for treatment alone",
    "fingerprint fingerprints": "reference_profile, inputs_hash, key_id",
    "flood floods": "quota",
    "following": "reloader",
    "found": RESULT,
    "gather gathered gathering": "batcher, batch",
    "given": RESULT,
    "hourly": "timer",
    "intake": "admission",
    "judge": "validator; judge_* of evaluation/judging is the step's name",
    "kept": RESULT,
    "known": "customer_state, customer",
    "laid": "transferred",
    "lean": "no_pandas",
    "learned": "customer_model",
    "mark marks": "suppression_hash, state_token, done_file",
    "moment moments": "as_of, time; moment is a set of simultaneous events",
    "news": "updates",
    "nominate nominated nominee nominees": "retrieval, candidates",
    "pair pairs": "cooccurrence",
    "people person persons": CUSTOMER,
    "place placed places": "index, position, path, pointer, slot, PreparedScenario",
    "plausible": "outliers",
    "remnant remnants": "page_scan",
    "rivalry": "rival_fitting",
    "said say says": "format, log; observed",
    "stock": "item_updates",
    "taken": RESULT,
    "tell tells told": "format, log, report; predicted",
    "trail trails": "recent_items",
    "trial trials": "test_customers; a search of settings has trials",
    "trouble troubles": "error",
    "turn turns": "cycle",
    "watch watched watching": "monitor",
    "who whom whose": CUSTOMER,
    "wish wishes": "pending request",
    "worth": "min_gain",
    "writing": "transaction",
}
"""The house's words, with their forms -> the field's word."""

JARGON: Final = frozenset((
    "deed deeds", "devoted doubted pushers newcomers trust", "door doors", "hourly", "intake",
    "lean", "nominate nominated nominee nominees", "remnant remnants", "rivalry", "trail trails",
    "wish wishes",
))  # fmt: skip
"""Words that are also looked for in the names of tests, which are sentences of plain English."""

_SEARCH = "a search of settings has trials"
_CELL = "a cell of a table, matrix or database page; counters are SharedCounters"
_COURSE = "the education world sells courses"
_TREATMENT = "a treatment by a campaign"
_PYTHON = "named by Python"
_JUDGING = "a step of evaluation/judging: it compares models and gives a verdict"
_MOMENT = "a customer's events of one time"

ALLOWED: Final[dict[str, str]] = {
    "FileNotFoundError": _PYTHON,
    "ModuleNotFoundError": _PYTHON,
    "tell": _PYTHON,
    "allow_writing_files": "an argument of CatBoost",
    "gather": "a method of PyTorch",
    "marks": "an argument of pytest.param",
    "get_known_item_ids": "a method of RecTools",
    "known_before": "a setting: cells that were known before as_of",
    "object_pairs_hook": "an argument of json.loads",
    "exposure": _TREATMENT,
    "exposures": _TREATMENT,
    "_EXPOSURES": _TREATMENT,
    "EXPOSURE_TIME": _TREATMENT,
    "EXPOSURE_COLUMNS": _TREATMENT,
    "judge_goal": _JUDGING,
    "judge_goal_task": _JUDGING,
    "judge_items_task": _JUDGING,
    "judge_ranking": _JUDGING,
    "judge_cuts": _JUDGING,
    "judge_subgroups": _JUDGING,
    "moment_start": _MOMENT,
    "moment_starts": _MOMENT,
    "_moment_start": _MOMENT,
    "trials": _SEARCH,
    "peer_kept": "a key of the results of a benchmark",
    "FIRST_KNOWN": "the first index of a word that is in a vocabulary",
}
"""Identifier -> why a word of WORDS is right in it."""

ROOMS: Final[dict[tuple[str, str], str]] = {
    ("cell", ""): _CELL,
    ("course", "src/propense/worlds"): _COURSE,
    ("course", "tests/worlds"): _COURSE,
    ("course", "tests/support/sample_report.py"): _COURSE,
    ("course", "tests/tables"): _COURSE,
    ("course", "benchmarks/quality"): _COURSE,
    ("following", "src/propense/tables/cleaning"): "an argument of ibis.window",
    ("judge", "src/propense/evaluation/judging"): _JUDGING,
    ("judge", "tests/evaluation/report"): _JUDGING,
    ("judge", "tests/method/test_verdicts.py"): _JUDGING,
    ("kept", "src/propense/serving"): "a key of the answers of /v1/track",
    ("mark", "src/propense/evaluation/report"): "a mark of a chart",
    ("moment", "encoding/test_targets.py"): _MOMENT,
    ("moment", "models/counts"): _MOMENT,
    ("moment", "src/propense/training/checkpoints.py"): "the moments of Adam",
    ("pair", ""): "two things of a kind; counts of items bought together are cooccurrence",
    ("trial", "src/propense/tables/doctor"): _SEARCH,
    ("trial", "src/propense/training"): _SEARCH,
    ("trial", "src/propense/models/rivals"): _SEARCH,
    ("trial", "tests/training"): _SEARCH,
    ("trial", "tests/models/rivals"): _SEARCH,
    ("trial", "benchmarks/"): _SEARCH,
}
"""(first form of a word, folder or file) -> why the word is right in all identifiers there."""

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FORMS = {form: forms for forms in WORDS for form in forms.split()}


def split(identifier: str) -> list[str]:
    """Its words in small letters.

    >>> split("_waitingDeeds_ofHTTPCall")
    ['waiting', 'deeds', 'of', 'http', 'call']
    """
    return [part.lower() for part in _PARTS.findall(identifier)]


def names_of(file: Path) -> Counter[str]:
    """The identifiers of a Python file -> how often they occur; its own name once.

    Names of other projects are left out: those that the file imports, and attributes of modules
    that it imports, such as `pytest.mark`.
    """
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    foreign = _foreign_names(tree)
    names = Counter([file.stem])
    before = ["", ""]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            is_attribute = before[1] == "." and before[0] in foreign
            if token.string not in foreign and not is_attribute:
                names[token.string] += 1
        before = [before[1], token.string]
    for name in _names_in_formatted_texts(tree) - foreign:
        names.setdefault(name, 1)
    return names


def _foreign_names(tree: ast.Module) -> set[str]:
    """Names that a module imports from other projects."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] not in OWN:
            names |= {alias.name for alias in node.names}
    return names


def _names_in_formatted_texts(tree: ast.Module) -> set[str]:
    """Variables in f-strings, which are single tokens before Python 3.12."""
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
    return {node.id for text in texts for node in ast.walk(text) if isinstance(node, ast.Name)}


def occurrences() -> Iterator[tuple[str, str, str, int]]:
    """Forms of a word, file below ROOT, identifier with that word, how often it occurs there."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for name, count in sorted(names_of(file).items()):
                for forms in {_FORMS[word] for word in split(name) if word in _FORMS}:
                    if forms in JARGON or not name.startswith("test_"):
                        yield forms, str(file.relative_to(ROOT)), name, count


def reason(forms: str, file: str, name: str) -> str:
    """Why the word may stay in this identifier of this file; "" if it may not."""
    rooms = (r for (word, room), r in ROOMS.items() if forms.split()[0] == word and room in file)
    return ALLOWED.get(name) or next(rooms, "")


def unused() -> list[str]:
    """Entries of ALLOWED and ROOMS that allow nothing any more."""
    used = {(forms.split()[0], file, name) for forms, file, name, _ in occurrences()}
    names = {name for _, _, name in used}
    rooms = [
        f"{word} in {room}" for word, room in ROOMS
        if not any(word == one and room in file for one, file, _ in used)
    ]  # fmt: skip
    return [name for name in ALLOWED if name not in names] + rooms


def main(words: list[str]) -> int:
    """Exit code 1 if a word is left without a reason."""
    left: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    n_allowed = 0
    for forms, file, name, count in occurrences():
        if reason(forms, file, name):
            n_allowed += count
        else:
            left[forms][file][name] += count
    for forms, files in sorted(left.items()):
        total = sum(sum(names.values()) for names in files.values())
        print(f"{total:5} {forms}  (use: {WORDS[forms]})")
        if "--words" not in words:
            for file, names in files.items():
                shown = ", ".join(f"{name} {n}" for name, n in names.most_common())
                print(f"      {sum(names.values()):5} {file}: {shown}")
    n_left = sum(n for files in left.values() for names in files.values() for n in names.values())
    print(f"{n_left} left, {n_allowed} allowed with a reason")
    return int(n_left > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
