"""The encoder: every vocabulary, scale and rule, learned on train alone.

It is small, holds no customer, and is the same object in training and in serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from safetensors import SafetensorError

from propense.encoding.aggregates import AggregateSpec, aggregate_names, aggregates
from propense.encoding.history import slice_users
from propense.encoding.items import ContentSpec, ItemContent, encode_item
from propense.encoding.profiles import Profiles, ProfileSpec, profiles_of
from propense.encoding.storage import decode_arrays, save_arrays
from propense.encoding.time_zones import utc_offset
from propense.encoding.vocabulary import Vocabulary
from propense.errors import BundleError
from propense.schemas import Floats, Histories, Ids, Ints, TableFeatures

FORMAT: Final = 1
ROWS_AT_ONCE: Final = 100_000
_EVENTS_AT_ONCE: Final = 2_000_000


class Lexicon(msgspec.Struct, frozen=True, dict=True):
    """All of the encoder that is words and rules."""

    actions: Vocabulary
    sources: Vocabulary
    items: Vocabulary
    n_seen: int
    """Item indices 2 .. n_seen - 1 occurred in train; the rest only in the catalogue."""
    timed: bool
    profile: ProfileSpec
    content: ContentSpec
    aggregate: AggregateSpec
    positive: tuple[int, ...]
    """Indices of the actions that count as success."""
    repeat: bool
    value_scale: float
    """Standard deviation of signed log1p event values in train."""


class _File(msgspec.Struct, frozen=True):
    format: int
    lexicon: Lexicon


class Encoder(Lexicon, frozen=True, dict=True, eq=False):
    """Turns events, profiles and items into arrays.

    `bins` are the edges of the piecewise-linear encoding and `medians` the fill of each
    numeric column, both from train rows.
    """

    bins: tuple[Floats, ...]
    medians: Floats

    @staticmethod
    def of(lexicon: Lexicon, bins: tuple[Floats, ...], medians: Floats) -> Encoder:
        """The encoder with these words, rules and scales."""
        words = {name: getattr(lexicon, name) for name in Lexicon.__struct_fields__}
        return Encoder(**words, bins=bins, medians=medians)

    @property
    def lexicon(self) -> Lexicon:
        """The words and rules without the scales."""
        return Lexicon(**{name: getattr(self, name) for name in Lexicon.__struct_fields__})

    @property
    def time_zone(self) -> str:
        return self.aggregate.time_zone

    @property
    def until(self) -> int | None:
        """The as-of time of rows that have none."""
        return self.aggregate.until

    @cached_property
    def numeric_names(self) -> tuple[str, ...]:
        """Names of the profile's numbers, then of the aggregates."""
        return (*self.profile.numeric_names, *aggregate_names(self.aggregate))

    @property
    def categorical_names(self) -> tuple[str, ...]:
        return self.profile.categorical_names

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return self.profile.cardinalities

    def profiles_of(self, records: Sequence[Mapping[str, object]]) -> Profiles:
        """Profiles of live customers, one record each; {} is a customer nothing is known of."""
        return profiles_of(records, self.profile)

    def encode_item(self, features: Mapping[str, object]) -> ItemContent:
        """Content of one new item, as one row."""
        return encode_item(features, self.content)

    def utc_offset(self, time: Ints) -> Ints:
        """Seconds east of UTC of the project's time zone at each moment."""
        return utc_offset(time, self.time_zone)

    def features(
        self, histories: Histories, profiles: Profiles, user: Ids, as_of: Ints
    ) -> TableFeatures:
        """Profile and aggregates of rows (user, as_of); nothing from `as_of` on is read.

        The numbers of a row do not depend on the other rows or users.
        """
        spec = self.aggregate
        numeric = np.empty((len(user), len(self.numeric_names)), np.float32)
        categorical = np.empty((len(user), len(self.cardinalities)), np.int32)
        for rows, first, stop in _assign(histories, user):
            some, then = user[rows], as_of[rows]
            numbers, words = profiles.at(some, then, spec.until)
            here = some - np.int32(first)
            made, _ = aggregates(slice_users(histories, first, stop), here, then, spec)
            numeric[rows] = np.concatenate([numbers, made], axis=1)
            categorical[rows] = words
        return TableFeatures(
            numeric, categorical, self.numeric_names, self.categorical_names, self.cardinalities
        )

    def raw_features(
        self, histories: Histories, profiles: Profiles, user: Ids, as_of: Ints
    ) -> TableFeatures:
        """Profile, number of events, silence, and the last event as it is: no made features.

        What the rival on raw columns is given.
        """
        spec = self.aggregate
        numbers, words = profiles.at(user, as_of, spec.until)
        if not spec.has_events:
            return TableFeatures(
                numbers, words, self.numeric_names, self.categorical_names, self.cardinalities
            )
        plain = msgspec.structs.replace(
            spec, actions=(), action_names=(), sources=(), source_names=(), windows=(),
            window_names=(),
        )  # fmt: skip
        made, names = self._aggregates(histories, user, as_of, plain)
        wanted = ["events_all"] + (["value_last"] if spec.valued else [])
        wanted += ["days_since_last"] if spec.timed else []
        last = _last_event(histories, user, made[:, names.index("events_all")])
        return TableFeatures(
            np.concatenate([numbers, made[:, [names.index(name) for name in wanted]]], axis=1),
            np.concatenate([words, last], axis=1),
            (*self.profile.numeric_names, *wanted),
            (*self.categorical_names, "last_action", "last_item", "last_source"),
            (*self.cardinalities, self.actions.size, self.items.size, self.sources.size),
        )

    def _aggregates(
        self, histories: Histories, user: Ids, as_of: Ints, spec: AggregateSpec
    ) -> tuple[Floats, tuple[str, ...]]:
        names = aggregate_names(spec)
        out = np.empty((len(user), len(names)), np.float32)
        for rows, first, stop in _assign(histories, user):
            part = slice_users(histories, first, stop)
            out[rows], _ = aggregates(part, user[rows] - np.int32(first), as_of[rows], spec)
        return out, names

    def save(self, folder: Path) -> None:
        """Write encoder.json and encoder.safetensors; the same encoder gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.encode(_File(FORMAT, self.lexicon))
        (folder / "encoder.json").write_bytes(msgspec.json.format(text, indent=1))
        lengths = np.array([len(edges) for edges in self.bins], np.int64)
        edges = np.concatenate([np.zeros(0, np.float32), *self.bins])
        arrays = {"bin_edges": edges, "bin_lengths": lengths, "medians": self.medians}
        save_arrays(folder / "encoder.safetensors", arrays)

    @staticmethod
    def load(folder: Path) -> Encoder:
        """What `save` wrote.

        Raises BundleError if it is missing, torn or of another format.
        """
        try:
            file = msgspec.json.decode((folder / "encoder.json").read_bytes(), type=_File)
            arrays = decode_arrays((folder / "encoder.safetensors").read_bytes())
        except (OSError, msgspec.DecodeError, SafetensorError) as error:
            raise BundleError(
                f"encoder in {str(folder)!r} cannot be read: {error}; run the encode stage again"
            ) from error
        if file.format != FORMAT:
            raise BundleError(
                f"encoder in {str(folder)!r} has format {file.format}, this version reads "
                f"{FORMAT}; run the encode stage again"
            )
        stops = np.cumsum(arrays["bin_lengths"])
        bins = tuple(np.split(arrays["bin_edges"], stops[:-1])) if len(stops) else ()
        return Encoder.of(file.lexicon, bins, arrays["medians"])


def last_visible(histories: Histories, user: Ids, n_events: np.ndarray) -> Ints:
    """Index of the last event each row sees, -1 for none; `n_events` it sees in all."""
    seen = n_events.astype(np.int64)
    return np.where(seen > 0, histories.offsets[:-1][user] + seen - 1, -1)


def _last_event(histories: Histories, user: Ids, n_events: np.ndarray) -> Ids:
    """(n, 3) action, item and source of the last event each row sees."""
    index = last_visible(histories, user, n_events)
    # Nothing seen reads the appended 0, which is NONE.
    columns = (histories.action, histories.item, histories.source)
    return np.stack([np.append(column, 0)[index] for column in columns], axis=1).astype(np.int32)


def _assign(histories: Histories, user: Ids) -> list[tuple[Ints, int, int]]:
    """Rows in groups whose users lie side by side: (rows, first user, stop user).

    Bounds the memory of running sums by _EVENTS_AT_ONCE events (or one user's) and of
    columns by ROWS_AT_ONCE rows.
    """
    if not len(user):
        return []
    order = np.argsort(user, kind="stable")
    ordered = user[order].astype(np.int64)
    groups = []
    begin = 0
    while begin < len(order):
        first = int(ordered[begin])
        reach = int(histories.offsets[first]) + _EVENTS_AT_ONCE
        stop = max(first + 1, int(np.searchsorted(histories.offsets, reach, side="right")) - 1)
        end = int(np.searchsorted(ordered, stop))
        end = min(end, begin + ROWS_AT_ONCE)
        groups.append((order[begin:end], first, int(ordered[end - 1]) + 1))
        begin = end
    return groups
