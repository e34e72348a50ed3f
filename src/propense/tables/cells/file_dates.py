"""What the dates of each file show of their order, where the files are judged one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

DateOrder = Literal["day", "month", "year"]

ORDERS: Final[tuple[DateOrder, ...]] = ("day", "month", "year")
_MARGIN: Final = 20.0
"""Days that another order must save before it puts a file in doubt."""
_NAMED: Final = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])(?:\2([0-3]\d))?(?!\d)")
"""2024-03, 2024_03_05 or 20240305 in the name of a file."""


@dataclass
class FileDates:
    """One file's dates of one column."""

    n: int = 0
    points: int = 0
    example: str = ""
    unfit: dict[DateOrder, tuple[int, int, str]] = field(
        default_factory=lambda: dict.fromkeys(ORDERS, (0, 0, ""))
    )
    """Order -> dates that it cannot be, the row of the first, its text."""
    span: dict[DateOrder, tuple[int, int]] = field(default_factory=dict)
    """Order -> first and last day as 20240131."""

    @property
    def pointed(self) -> bool:
        return 2 * self.points > self.n

    def add(self, n: int, row: int, text: str, days: dict[DateOrder, int]) -> None:
        """Count `n` rows of one date, the first of them `row`; rows come in order."""
        self.n += n
        self.points += n if "." in text[:3] else 0
        self.example = self.example or text
        for order in ORDERS:
            if order in days:
                first, last = self.span.get(order, (days[order], days[order]))
                self.span[order] = (min(first, days[order]), max(last, days[order]))
            else:
                count, first_row, shown = self.unfit[order]
                self.unfit[order] = (count + n, first_row if count else row, shown or text)


def order_of_name(name: str, spans: Mapping[DateOrder, tuple[int, int]]) -> DateOrder | None:
    """The one order whose dates all lie in the month or on the day that a file's name has.

    >>> order_of_name("log-2024-03.csv", {"day": (20240501, 20240512), "month": (20240305,) * 2})
    'month'
    """
    match = _NAMED.search(name.rsplit("/", 1)[-1])
    if match is None:
        return None
    year, _, month, day = match.groups()
    first = int(year) * 10_000 + int(month) * 100 + int(day or 0)
    last = first if day else first + 31
    fitting = [one for one, (low, high) in spans.items() if first <= low and high <= last]
    return fitting[0] if len(fitting) == 1 and len(spans) > 1 else None


def find_doubtful_files(
    proved: DateOrder, files: Mapping[int, FileDates], names: Mapping[int, str]
) -> tuple[dict[int, DateOrder], str]:
    """Files without a proof of their own that another order than `proved` fits better.

    Such a file would span clearly less, or would lie clearly closer to the files that prove the
    order. Returns file -> that order, and what to say of the files without a proof.
    """
    doubts: dict[int, DateOrder] = {}
    open_files = {
        number: [one for one in ORDERS if one != proved and not file.unfit[one][0]]
        for number, file in files.items()
    }
    sure = [file.span[proved] for number, file in files.items()
            if not open_files[number] and proved in file.span]  # fmt: skip
    unproved = [number for number, others in open_files.items() if others]
    if not sure or not unproved:
        return {}, ""
    ends = (min(first for first, _ in sure), max(last for _, last in sure))
    for number in unproved:
        spans = files[number].span
        possible = {one: spans[one] for one in (proved, *open_files[number])}
        named = order_of_name(names[number], possible)
        if named is not None:
            if named != proved:
                doubts[number] = named
            continue
        better = [
            one for one in open_files[number]
            if _saves(_days(*spans[one]), _days(*spans[proved]), 0.5)
            or _saves(_hull(ends, spans[one]), _hull(ends, spans[proved]), 0.8)
        ]  # fmt: skip
        if better:
            doubts[number] = min(better, key=lambda one: _hull(ends, spans[one]))
    shown = names[unproved[0]] + (f" and {len(unproved) - 1:,} more" if unproved[1:] else "")
    note = (
        f"dates of {shown} such as {files[unproved[0]].example!r} could have another order; "
        f"{proved} first is proved by other files"
    )
    return doubts, note


def _saves(other: float, proved: float, share: float) -> bool:
    return other <= share * proved and proved - other >= _MARGIN


def _hull(ends: tuple[int, int], span: tuple[int, int]) -> float:
    return _days(min(ends[0], span[0]), max(ends[1], span[1]))


def _days(first: int, last: int) -> float:
    """About how many days lie between two days such as 20240131."""
    return _number(last) - _number(first)


def _number(day: int) -> float:
    return (day // 10_000) * 365.25 + (day // 100 % 100) * 30.44 + day % 100
