"""The report as JSON: written, read, and without its times."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from propense.errors import EvaluationError
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.records import Report


def report_to_json(report: Report) -> bytes:
    """The report as indented JSON, the overall verdict filled in.

    The same report gives the same bytes.
    """
    if report.verdict is None:
        verdict = overall_verdict(report.goals, report.ranking)
        report = msgspec.structs.replace(report, verdict=verdict)
    content = msgspec.json.encode(report, enc_hook=_plain_scalar)
    return msgspec.json.format(content, indent=1) + b"\n"


def report_from_json(content: bytes | Path) -> Report:
    """The report of JSON bytes or of a file.

    Raises EvaluationError if it is no report of this format.
    """
    where = "report"
    if isinstance(content, Path):
        where = f"report {str(content)!r}"
        try:
            content = content.read_bytes()
        except OSError as error:
            raise EvaluationError(
                f"{where} cannot be read: {error}; make it with: propense evaluate"
            ) from error
    try:
        return msgspec.json.decode(content, type=Report)
    except msgspec.DecodeError as error:
        raise EvaluationError(
            f"{where} is not of this version of propense: {error}; "
            f"make it again with: propense evaluate"
        ) from error


def without_times(report: Report) -> Report:
    """The report without when it was made and how long anything took.

    What is left is the same for the same data, settings and seed. A learning curve goes as a
    whole: it compares times.
    """
    replace = msgspec.structs.replace
    ranking = report.ranking
    return replace(
        report,
        made=None,
        curves=[replace(epoch, seconds=None) for epoch in report.curves],
        ranking=None if ranking is None else replace(ranking, seconds={}),
        rivals=[replace(note, seconds=None) for note in report.rivals],
        stage_seconds={},
        learning_curve=None,
    )


def _plain_scalar(value: object) -> object:
    """numpy's own numbers, which callers may have put into a record."""
    if isinstance(value, np.generic):
        return value.item()
    raise EvaluationError(
        f"report: {value!r} of type {type(value).__name__} cannot be written as JSON"
    )
