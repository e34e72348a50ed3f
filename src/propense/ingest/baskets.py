"""The money of an order, shared over its lines to the micro-unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_PIECE: Final = 1_000_000
"""Weight of one piece where lines are weighed by their counts."""


def line_values(
    prices: Sequence[int | None], counts: Sequence[float | None], paid: int | None
) -> list[int | None]:
    """What each line of a basket cost, in micro-units.

    `prices` are those of whole lines (price times count), None where a line has none; `paid` is
    what the order states. Without it a line is worth its price. With it the lines share it:

    - by their prices, where all have one;
    - by their counts, where none has one, or all are 0;
    - otherwise lines with a price have at most that, and the others share the rest by count.

    The sum is `paid` exactly. Prices and `paid` are of the same sign.

    >>> line_values([50_000_000, 50_000_000], [1.0, 1.0], 80_000_000)
    [40000000, 40000000]
    >>> line_values([50, None, None], [None, 1.0, 2.0], 80)
    [50, 10, 20]
    """
    if paid is None or not prices:
        return list(prices)
    stated = [price for price in prices if price is not None]
    pieces = [round((1.0 if count is None else count) * _PIECE) for count in counts]
    rest = paid - sum(stated)
    if len(stated) < len(prices) and any(stated) and rest * paid > 0:
        unpriced = [
            piece if price is None else 0 for price, piece in zip(prices, pieces, strict=True)
        ]
        others = share(rest, unpriced)
        return [
            other if price is None else price
            for price, other in zip(prices, others, strict=True)
        ]  # fmt: skip
    weights = [abs(price or 0) for price in prices]
    return list(share(paid, weights if any(weights) else pieces))


def share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to `weights`, which are at least 0, by the largest remainders.

    Equal weights of all lines stand for weights that are all 0. Of equal remainders the first gets
    more.

    >>> share(100, [1, 1, 1]), share(-5, [1, 3])
    ([34, 33, 33], [-1, -4])
    """
    weights = weights if any(weights) else [1] * len(weights)
    whole, size = sum(weights), abs(total)
    shares = [size * weight // whole for weight in weights]
    left = size - sum(shares)
    rests = [size * weight % whole for weight in weights]
    for index in sorted(range(len(weights)), key=lambda i: (-rests[i], i))[:left]:
        shares[index] += 1
    return shares if total >= 0 else [-one for one in shares]
