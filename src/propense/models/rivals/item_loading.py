"""Reading the item rivals: without what fits them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from propense.errors import BundleError, nearest
from propense.models.rivals.items import (
    ease,
    frequency,
    item_knn,
    markov,
    popular_now,
    popularity,
    reranker,
)
from propense.models.rivals.items.item_rival import ItemRival, read_stored

_KINDS = (
    popularity.Popularity, popular_now.PopularNow, frequency.Frequency, markov.Markov,
    item_knn.ItemKnn, ease.Ease, reranker.Reranker,
)  # fmt: skip


def load_item_rival(folder: Path) -> ItemRival:
    """The rival that `save` wrote to `folder`; numpy alone, no pickle.

    Raises BundleError if it is missing, unknown, or of another format.
    """
    stored = read_stored(folder)
    kinds: dict[str, Any] = {kind.name: kind for kind in _KINDS}
    if stored.name not in kinds:
        raise BundleError(
            f"{str(folder)!r} holds an item rival {stored.name!r} that this version does not "
            f"know; {nearest(stored.name, kinds)}"
        )
    rival: ItemRival = kinds[stored.name].restore(stored)
    return rival
