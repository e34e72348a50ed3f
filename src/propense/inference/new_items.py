"""Adds items to a bundle after it was packed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from propense import columns
from propense.encoding.items import content_of, lay_over
from propense.errors import PropenseError
from propense.inference.bundle import Bundle
from propense.models.counts.transitions import TransitionCounts
from propense.schemas import Floats, Ints

Record = Mapping[str, object]


def with_items(bundle: Bundle, records: Sequence[Mapping[str, object]]) -> Bundle:
    """The bundle with these items added to its catalogue, or what it says of them replaced.

    A record has `item_id` and columns of the catalogue; a missing one is a missing value. A
    new item has its vector from its content at once. One that the bundle was made with keeps
    the vector it has: rules and answers see the change, the network after the next training. It
    is shown from now on, also where the bundle's catalogue lacked it.
    A rival never lists items that are newer than it. The files are not changed.

    Raises SourceError on a record that does not fit the catalogue, BundleError where items
    would be new to a network that knows them by events alone.
    """
    catalogue = bundle.catalogue.with_records(records)
    encoder, n_old = bundle.encoder, bundle.encoder.items.size
    changed = {catalogue.index_of[str(record[columns.ITEM_ID])] for record in records}
    n_packed = bundle.info.shape.n_items
    index = np.array(sorted(item for item in changed if item >= n_packed), np.int64)
    content, scorer = bundle.content, bundle.scorer
    if len(index):
        fresh = content_of(catalogue.table_of(index), encoder.content)
        vectors, goal_vectors = bundle.tower.vectors_of(fresh)
        content = lay_over(content, fresh, index)
        made = _overlaid(scorer.item_vectors, vectors, index)
        same = scorer.goal_vectors is scorer.item_vectors
        of_goals = made if same else _overlaid(scorer.goal_vectors, goal_vectors, index)
        scorer = replace(scorer, item_vectors=made, goal_vectors=of_goals)
    ranker = bundle.ranker
    if ranker is not None:
        n_new = catalogue.n_items - n_old
        counts = ranker.counts
        if isinstance(counts, TransitionCounts) and n_new:
            counts = counts.with_new_items(n_new)
        rankable = np.pad(ranker.rankable, (0, n_new), constant_values=True)
        shape = bundle.info.shape
        # An item that only events named is in the catalogue now.
        rankable[[item for item in changed if shape.has_content or item < shape.n_seen]] = True
        ranker = replace(
            ranker,
            item_vectors=scorer.item_vectors,
            rankable=rankable,
            popularity=np.pad(ranker.popularity, (0, n_new)),
            counts=counts,
            popular=None if ranker.popular is None else ranker.popular.with_new_items(n_new),
        )
    with_more = replace(
        bundle,
        catalogue=catalogue,
        content=replace(content, titles=catalogue.titles),
        encoder=msgspec.structs.replace(encoder, items=catalogue.vocabulary),
        scorer=scorer,
        ranker=ranker,
    )
    if "reference_profile" in bundle.__dict__:
        # As it was read when every file had just been checked.
        with_more.__dict__["reference_profile"] = bundle.reference_profile
    return with_more


class Misfit(NamedTuple):
    """An item that a bundle cannot take."""

    item_id: str
    reason: str


def fitting_items(
    bundle: Bundle, records: Sequence[Record]
) -> tuple[list[Record], tuple[Misfit, ...]]:
    """The records that the bundle can take, and those that it cannot. Never raises for a record:
    its column may be gone, or its type another one, since it was sent."""
    misfits: list[Misfit] = []

    def split(part: Sequence[Record], attempt: Callable[[Sequence[Record]], object]) -> None:
        reason = _reason(attempt, part)
        if not reason:
            good.extend(part)
        elif len(part) == 1:
            misfits.append(Misfit(str(part[0].get(columns.ITEM_ID))[:256], reason))
        else:
            split(part[: len(part) // 2], attempt)
            split(part[len(part) // 2 :], attempt)

    good: list[Record] = []
    candidates: list[Record] = []
    for record in records:
        reason = _reason(bundle.catalogue.check_names, record) or _untakable(bundle, record)
        if reason:
            misfits.append(Misfit(str(record.get(columns.ITEM_ID))[:256], reason))
        else:
            candidates.append(record)
    if candidates:
        split(candidates, bundle.catalogue.typed)
    if good and _reason(lambda part: with_items(bundle, part), good):
        # Rare, and slow: each attempt makes a catalogue.
        candidates, good = good, []
        split(candidates, lambda part: with_items(bundle, part))
    return good, tuple(misfits)


def _untakable(bundle: Bundle, record: Record) -> str:
    """Why the network has no place for the item; empty where it has one."""
    index = bundle.catalogue.index_of.get(str(record[columns.ITEM_ID]))
    if bundle.tower.exists or (index is not None and index < bundle.info.shape.n_items):
        return ""
    return "the item is new, and the network knows items only from events"


def _reason(attempt: Callable[[Any], object], part: object) -> str:
    try:
        attempt(part)
    except (PropenseError, pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        return str(error) or type(error).__name__
    return ""


def _overlaid(old: Floats, fresh: Floats, index: Ints) -> Floats:
    """Vectors with some rows replaced or added at the end."""
    n_items = max(len(old), int(index.max(initial=-1)) + 1)
    out = np.zeros((n_items, old.shape[1]), np.float32)
    out[: len(old)] = old
    out[index] = fresh
    return out
