"""Count the house's own words that are left in identifiers: `make words`.

    python tools/words.py            a line a word and file; exit code 1 if a word is left
    python tools/words.py --words    a line a word only

Identifiers are the names in the Python files of src, tests and benchmarks, and the files' own names,
split at underscores and capitals: `waitingDeeds` has the words "waiting" and "deeds". A word of
WORDS may stay in an identifier of ALLOWED, for the reason given there.
"""

from __future__ import annotations

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

ALLOWED: Final = {
    "DataLossError": "",
}
"""Identifier -> why a word of WORDS is right in it."""
ALLOWED.clear()

_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def split(identifier: str) -> list[str]:
    """Its words in small letters.

    >>> split("_waitingDeeds_ofHTTPCall")
    ['waiting', 'deeds', 'of', 'http', 'call']
    """
    return [word.lower() for word in _SPLIT.findall(identifier)]


def names_of(file: Path) -> Counter[str]:
    """The identifiers of a Python file -> how often they occur; its own name once."""
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text("utf-8")).readline)
    names = Counter(token.string for token in tokens if token.type == tokenize.NAME)
    names[file.stem] += 1
    return names


def find(files: Iterator[Path]) -> dict[str, dict[Path, Counter[str]]]:
    """Word -> file -> identifiers with that word, allowed ones too, and how often they occur."""
    keys = {form: forms for forms in WORDS for form in forms.split()}
    found: dict[str, dict[Path, Counter[str]]] = defaultdict(dict)
    for file in files:
        for name, count in names_of(file).items():
            for word in {keys[word] for word in split(name) if word in keys}:
                found[word].setdefault(file, Counter())[name] += count
    return found
