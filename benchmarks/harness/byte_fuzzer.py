"""Feeds the parsers of bytes from outside with what a fuzzer that sees their branches makes.

    python -m benchmarks.harness.byte_fuzzer CORPUS FINDINGS --seconds 120

CORPUS is a folder of inputs, which grows; a body that raises what is no described refusal, or takes
too long, is written to FINDINGS. The first byte of an input chooses the parser. Needs atheris.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["propense.ingest", "propense.web", "propense.ids"]):
    from benchmarks.harness.hostile_bytes import (
        FAMILIES,
        FUZZ_COUNTS,
        FUZZ_MS,
        heads,
        query,
        tidy_id,
    )
from propense.errors import PropenseError
from propense.web.problems import Problem

LARGEST: Final = 8_192
"""Bytes of an input: what grows faster than its length is slow already."""
_EVERY: Final = 500
CORPUS_BYTES: Final = 100_000
CORPUS: Final = Path(__file__).with_name("fuzz_corpus.jsonl")
"""The inputs that the project keeps: the smallest of those that met a new branch."""


def _named(data: bytes) -> Any:
    return tidy_id(data.decode("utf-8", "surrogateescape"))


def parsers() -> dict[str, Callable[[bytes], Any]]:
    """Name -> parser, in the order that the first byte of an input chooses from."""
    chosen: dict[str, Callable[[bytes], Any]] = {"ids": _named, "query": query, "headers": heads}
    for name, family in FAMILIES.items():
        if family.parser not in ("ids", "query", "headers", "filters"):
            chosen.setdefault(family.parser if family.parser != "key" else name, family.parse)
    return chosen


class Target:
    """What the fuzzer calls. It never returns to its caller, so that the counts are in a file."""

    def __init__(self, findings: Path) -> None:
        findings.mkdir(parents=True, exist_ok=True)
        self._findings = findings
        self._parsers = list(parsers().items())
        self.n = 0
        self.slowest = 0.0

    def __call__(self, data: bytes) -> None:
        if not data:
            return
        name, parse = self._parsers[data[0] % len(self._parsers)]
        self.n += 1
        began = time.thread_time()
        try:
            parse(data[1:])
        except (PropenseError, Problem, ValueError):
            pass
        except Exception:
            self._write(name, data, traceback.format_exc())
        seconds = time.thread_time() - began
        self.slowest = max(self.slowest, seconds)
        if seconds * 1e3 > FUZZ_MS:
            self._write(name, data, "slow")
        if self.n % _EVERY == 0:
            counts = {"n": self.n, "slowest_ms": self.slowest * 1e3}
            (self._findings / FUZZ_COUNTS).write_text(json.dumps(counts))

    def _write(self, name: str, data: bytes, reason: str) -> None:
        key = blake2b(reason.encode(), digest_size=6).hexdigest()
        file = self._findings / f"{name.replace(': ', '-').replace(' ', '_')}-{key}.json"
        if not file.exists():
            body = base64.b64encode(data[1:]).decode()
            file.write_text(json.dumps({"parser": name, "reason": reason, "body": body}))


def unpack_corpus(folder: Path) -> int:
    """Write the kept inputs to a folder; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(parsers())
    inputs = []
    for line in CORPUS.read_text().splitlines() if CORPUS.exists() else ():
        one = json.loads(line)
        inputs.append((one["parser"], base64.b64decode(one["body"])))
    for name, family in FAMILIES.items():
        parser = name if name in names else family.parser
        small = family.make(512) if parser in names else None
        if isinstance(small, str):
            small = small.encode()
        if isinstance(small, bytes):
            inputs.append((parser, small))
    for parser, body in inputs:
        data = bytes([names.index(parser)]) + body
        (folder / blake2b(data, digest_size=16).hexdigest()).write_bytes(data)
    return len(inputs)


def pack_corpus(folder: Path) -> int:
    """Keep the smallest inputs of a folder, CORPUS_BYTES together; returns how many."""
    names = list(parsers())
    lines: list[str] = []
    left = CORPUS_BYTES
    for data in sorted((file.read_bytes() for file in folder.iterdir()), key=lambda x: (len(x), x)):
        left -= len(data)
        if left < 0:
            break
        if data:
            body = base64.b64encode(data[1:]).decode()
            lines.append(json.dumps({"parser": names[data[0] % len(names)], "body": body}))
    CORPUS.write_text("".join(f"{line}\n" for line in dict.fromkeys(lines)))
    return len(lines)


def main() -> None:
    """Fuzz until the time is over."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("findings", type=Path)
    options.add_argument("--seconds", type=int, default=120)
    options.add_argument("--keep", action="store_true", help="keep a corpus in the project")
    words = options.parse_args()
    if words.keep:
        print(f"{pack_corpus(words.corpus)} inputs in {CORPUS.name}")
        return
    logging.disable(logging.CRITICAL)
    target = Target(words.findings)
    unpack_corpus(words.corpus)
    arguments = [
        sys.argv[0],
        f"-max_len={LARGEST}",
        "-rss_limit_mb=0",
        "-timeout=60",
        "-verbosity=0",
    ]
    arguments += [f"-max_total_time={words.seconds}", str(words.corpus)]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
