"""The command line: one verb for each step of the flow, imported when it is used.

Exit codes: 0 done; 1 the data was refused, or `check` or `verify` said no; 2 an error in the
command, the settings or elsewhere; 3 the data can be read in two ways and the settings do not say
which; 130 stopped by Ctrl-C; 141 the reader of the output has gone. Anything else is a defect of
propense and shows its traceback.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence

from propense.cli.verbs import ACTIONS, VALUE_OPTIONS, front_page, verb_names
from propense.errors import (
    LeakError,
    MissingExtraError,
    PropenseError,
    QuestionError,
    SourceError,
    nearest,
)

REFUSED = 1
FAILED = 2
OPEN_QUESTION = 3
STOPPED = 130
READER_GONE = 141

EXTRAS = {
    **dict.fromkeys(
        ("torch", "jaxtyping", "sklearn", "threadpoolctl", "lightgbm", "onnx", "onnxscript"),
        "train",
    ),
    **dict.fromkeys(
        ("starlette", "uvicorn", "uvloop", "httptools", "faiss", "prometheus_client",
         "cryptography"), "serve",
    ),
    "optuna": "tuning",
    "pyspark": "spark",
    "psycopg": "postgres",
    "redis": "redis",
}  # fmt: skip
"""Packages that only some verbs need -> the extra that installs them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, `sys.argv` by default, and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except QuestionError as error:
        _print_error(str(error), words, as_written=True)
        return OPEN_QUESTION
    except (SourceError, LeakError) as error:
        # Lines that are set in are there to be copied into the settings.
        _print_error(str(error), words, as_written="\n  " in str(error))
        return REFUSED
    except PropenseError as error:
        return _print_error(str(error), words)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        return _print_error(str(MissingExtraError(EXTRAS[package], package)), words)
    except KeyboardInterrupt:
        print(
            f"\nstopped; finished stages are kept, resume with: propense {shlex.join(words)}",
            file=sys.stderr,
        )
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:
        if not _disk_is_full(error):
            raise
        where = getattr(error, "filename", None) or "the disk of the run folder"
        return _print_error(
            f"no space left on device: {where}; finished stages are kept, "
            f"free some space and resume with: propense {shlex.join(words)}",
            words,
        )


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(front_page(bold=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
        return 0
    if words[0] == "--version":
        from propense import __version__

        print(f"propense {__version__}")
        return 0
    words = _verb_first(words)
    if words[0].startswith("-"):
        raise PropenseError(f"{shlex.join(words)!r} names no verb; see: propense --help")
    if words[0] not in verb_names():
        raise PropenseError(f"unknown verb {words[0]!r}; {nearest(words[0], verb_names())}")
    return _call(words)


def _call(words: list[str]) -> int:
    from cyclopts import CycloptsError

    from propense.cli.app import build

    try:
        result = build()(
            words, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        error.verbose = False
        reason = " ".join(str(error).split())
        names = {action.name for action in ACTIONS.get(words[0], ())}
        verb = " ".join(words[:2] if len(words) > 1 and words[1] in names else words[:1])
        raise PropenseError(f"{reason} See: propense {verb} --help") from error
    return result if isinstance(result, int) else 0


def _verb_first(words: list[str]) -> list[str]:
    """Options are allowed before the verb too.

    >>> _verb_first(["--settings", "shop.toml", "-v", "run", "--force"])
    ['run', '--settings', 'shop.toml', '-v', '--force']
    """
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in VALUE_OPTIONS else 1
    if index >= len(words):
        return words
    return [words[index], *words[:index], *words[index + 1 :]]


def _print_error(reason: str, words: list[str], as_written: bool = False) -> int:
    """Print an error on one line, or with its own line breaks where it is `as_written`."""
    if "-v" in words or "--verbose" in words:
        import traceback

        traceback.print_exc()
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    line = reason.strip() if as_written else " ".join(reason.split())
    print(f"\033[31merror: {line}\033[0m" if red else f"error: {line}", file=sys.stderr)
    return FAILED


def _disk_is_full(error: BaseException) -> bool:
    """Libraries written in C++ or Rust report a full disk in words, not as an error number."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)
