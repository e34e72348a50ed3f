"""The shelf: every bundle packed so far, and which one serves."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import BundleError, EvaluationError, nearest
from propense.evaluation.judging.verdict import beats_base
from propense.evaluation.records import (
    LOWER_IS_BETTER,
    GoalReport,
    Interval,
    RankingReport,
    Report,
)
from propense.evaluation.report.storage import report_from_json
from propense.files import locked, replace_file
from propense.inference.artifact.manifest import (
    FILE,
    decode_manifest,
    format_error,
    number_of,
    read_manifest,
)
from propense.security.signing import ANY_SIGNER, Signers, read_plain

REPORT: Final = "report.json"
CURRENT: Final = "current.json"
LOCK: Final = "current.lock"
PRUNED: Final = ".pruned-"
"""Before the name of a bundle that is being deleted."""
_CURRENT_BYTES: Final = 64_000_000
_NAME: Final = re.compile(r"v[0-9A-Za-z][0-9A-Za-z._-]{0,60}")
"""Names of bundles. Nothing that leads out of the shelf is one."""


class Promotion(msgspec.Struct, frozen=True):
    """One change of the active bundle."""

    version: str
    reason: str
    made: str


class Current(msgspec.Struct, frozen=True):
    """The active bundle and those before it; the last entry is the active one."""

    history: list[Promotion] = []
    last: int = 0
    """The highest number that a bundle was given, which no other bundle gets; 0 in a shelf of
    version 0.2."""

    @property
    def version(self) -> str | None:
        return self.history[-1].version if self.history else None


class Version(msgspec.Struct, frozen=True):
    """One bundle on the shelf."""

    name: str
    content: str
    made: str
    serving: bool
    error: str = ""
    """Why it cannot serve: another format, or an unreadable manifest; `content` and `made` are then
    empty."""


def list_versions(shelf: Path) -> list[Version]:
    """Every bundle, oldest first, including those that cannot serve."""
    current = read_current(shelf).version
    versions = []
    for folder in sorted(shelf.glob("v*")) if shelf.exists() else []:
        if _NAME.fullmatch(folder.name) and (folder / FILE).exists():
            content, made, error = _read_version(folder)
            versions.append(Version(folder.name, content, made, folder.name == current, error))
    return versions


def _read_version(folder: Path) -> tuple[str, str, str]:
    try:
        manifest = decode_manifest(bundle_folder(folder.parent, folder.name))
    except BundleError as error:
        return "", "", str(error)
    return manifest.content, manifest.made, format_error(folder, manifest)


def new_version(shelf: Path) -> str:
    """A name for a new bundle: v0001, v0002, ... None is given twice, also where the bundle of
    that name was deleted, so that a name always means the same content."""
    shelf.mkdir(parents=True, exist_ok=True)
    with locked(shelf / LOCK):
        current = read_current(shelf)
        names = [folder.name for folder in shelf.glob("*v*")]
        names += [entry.version for entry in current.history]
        numbers = [number_of(name.removeprefix(PRUNED)) for name in names]
        last = max(current.last, *numbers, 0) + 1
        _write(shelf, msgspec.structs.replace(current, last=last))
    return f"v{last:04d}"


def read_current(shelf: Path) -> Current:
    """The active bundle; an empty shelf has none."""
    try:
        content = read_plain(shelf / CURRENT, _CURRENT_BYTES)
    except FileNotFoundError:
        return Current()
    except OSError as error:
        if error.errno is not None and error.errno != errno.ELOOP:
            raise
        raise BundleError(
            f"{CURRENT} of shelf {str(shelf)!r} cannot be read: {error}; it must be a plain file"
        ) from error
    try:
        return msgspec.json.decode(content, type=Current)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BundleError(
            f"{CURRENT} of shelf {str(shelf)!r} cannot be read: {error}; restore it from a copy"
        ) from error


def serving_bundle(shelf: Path) -> Path:
    """Folder of the active bundle. Raises BundleError if there is none."""
    version = read_current(shelf).version
    if version is None:
        raise BundleError(f"shelf {str(shelf)!r} is empty; make a bundle with: propense run")
    return bundle_folder(shelf, version)


def bundle_folder(shelf: Path, version: str) -> Path:
    """The folder of a bundle, which need not exist. Raises BundleError unless it is a folder
    of the shelf itself: a link, or a name like "../v0001", would lead out of it."""
    if not _NAME.fullmatch(version):
        raise BundleError(
            f"{version[:80]!r} is not the name of a bundle of shelf {str(shelf)!r}; names are "
            f"like 'v0001', see: propense shelf list"
        )
    folder = shelf / version
    if folder.is_symlink():
        raise BundleError(
            f"bundle {str(folder)!r} is a link; copy the bundle into the shelf instead"
        )
    return folder


def find_version(shelf: Path, version: str) -> Path:
    """Folder of a bundle. Raises BundleError naming the nearest where there is none."""
    names = [entry.name for entry in list_versions(shelf)]
    if version not in names:
        hint = nearest(version, names) if names else "the shelf is empty"
        raise BundleError(f"shelf {str(shelf)!r} has no bundle {version[:80]!r}; {hint}")
    return bundle_folder(shelf, version)


def activate(shelf: Path, version: str, reason: str, made: str) -> None:
    """Make `version` the active bundle without checking the gate; the change is recorded.

    Raises BundleError for an unknown version, naming the nearest, and for a bundle of another
    format.
    """
    read_manifest(find_version(shelf, version), verify=False)
    with locked(shelf / LOCK):
        _append(shelf, Promotion(version, reason, made))


def promote(
    shelf: Path, version: str, reason: str | None, made: str, signers: Signers = ANY_SIGNER
) -> None:
    """Activate `version` if it passes the gate: outside the reports' intervals it must not be worse
    than the active bundle, nor than a plain rival. A `reason` overrides the gate and is recorded;
    it overrides neither a changed file nor a missing signature.

    Raises BundleError naming what is worse and by how much, or which file was changed.
    """
    read_manifest(find_version(shelf, version), signers=signers)
    with locked(shelf / LOCK):
        worse = _what_is_worse(shelf, version)
        if worse and not reason:
            raise BundleError(
                f"bundle {version!r} was not promoted: {'; '.join(worse)}. To promote it anyway, "
                f"give a reason: propense shelf promote {version} --reason '...'"
            )
        _append(shelf, Promotion(version, reason or "not worse than what served", made))


def _what_is_worse(shelf: Path, version: str) -> list[str]:
    """Reasons against the bundle, as sentences; empty where there are none."""
    try:
        report = report_from_json(shelf / version / REPORT)
    except EvaluationError as error:
        return [str(error)]
    reasons = []
    for entry in _reports(report):
        if entry.champion.kind != "rival" and entry.verdict.outcome == "worse":
            reasons.append(
                f"{_name(entry)}: the {entry.champion.kind} is worse than {entry.champion.rival}"
            )
    serving = read_current(shelf).version
    if serving is None or serving == version:
        return reasons
    try:
        before = report_from_json(shelf / serving / REPORT)
    except EvaluationError as error:
        return [*reasons, f"it cannot be compared with what serves: {error}"]
    old = {_name(j): j for j in _reports(before)}
    for entry in _reports(report):
        was = old.get(_name(entry))
        if was is None:
            continue
        base = entry.champion.base
        if not _beats_base(entry) and was.champion.base is not None and _beats_base(was):
            reasons.append(
                f"{_name(entry)}: {entry.champion.model} serves, which is not shown to be better "
                f"than {base}; what {serving} serves is"
            )
        elif _falls_behind(_served(entry), _served(was), entry):
            reasons.append(
                f"{_name(entry)}: {entry.champion.criterion} is {_served(entry).value:.4f}, "
                f"{serving} has {_served(was).value:.4f} and the intervals do not meet"
            )
    return reasons


AnyReport = GoalReport | RankingReport


def _reports(report: Report) -> list[AnyReport]:
    return [*report.goals, *([report.ranking] if report.ranking is not None else [])]


def _name(report: AnyReport) -> str:
    return report.name if isinstance(report, GoalReport) else "recommendations"


def _beats_base(report: AnyReport) -> bool:
    return beats_base(report.champion, report.differences)


def _served(report: AnyReport) -> Interval:
    """The champion's criterion on test."""
    for entry in report.models:
        if entry.model == report.champion.model:
            return entry.metrics.get(report.champion.criterion, Interval())
    return Interval()


def _falls_behind(new: Interval, old: Interval, report: AnyReport) -> bool:
    if None in (new.low, new.high, old.low, old.high):
        return False
    if report.champion.criterion in LOWER_IS_BETTER:
        return bool(new.low > old.high)  # type: ignore[operator]
    return bool(new.high < old.low)  # type: ignore[operator]


def version_before(shelf: Path) -> str:
    """The bundle that served before the present one. Raises BundleError where none did."""
    history = read_current(shelf).history
    earlier = [entry.version for entry in history if entry.version != history[-1].version]
    if not earlier:
        raise BundleError(f"shelf {str(shelf)!r} has no earlier bundle to go back to")
    return earlier[-1]


def rollback(shelf: Path, made: str, signers: Signers = ANY_SIGNER) -> str:
    """Activate the bundle that was active before the present one; returns its name.

    Raises BundleError where there is none, it was changed, or `signers` refuses it.
    """
    with locked(shelf / LOCK):
        version = version_before(shelf)
        read_manifest(find_version(shelf, version), signers=signers)
        reason = f"rolled back from {read_current(shelf).version}"
        _append(shelf, Promotion(version, reason, made))
    return version


def _append(shelf: Path, promotion: Promotion) -> None:
    """Record a change of the active bundle, while the lock is held."""
    current = read_current(shelf)
    _write(shelf, msgspec.structs.replace(current, history=[*current.history, promotion]))


def _write(shelf: Path, current: Current) -> None:
    content = msgspec.json.format(msgspec.json.encode(current), indent=1)
    replace_file(shelf / CURRENT, content, private=False)
