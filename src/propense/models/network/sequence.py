"""The sequence part: events in order, and queries (as-of times) that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from propense.models.network.dropout import Dropout
from propense.models.network.layers import (
    Block,
    Size,
    bucket_age,
    cut,
    index_type,
    join,
    relate,
    relate_events,
)
from propense.models.shape import NetworkShape

SMALL = 0.02
"""Standard deviation of the initial embeddings."""


class Part(NamedTuple):
    """Sequences padded to one length, and the queries that read them.

    `query_length` counts the events a query reads, `query_time` is in days since the
    sequence's first event.
    """

    item_vectors: Tensor
    """(batch, length, dim)"""
    events: dict[str, Tensor]
    """(batch, length) each."""
    query_length: Tensor
    """(batch, queries)"""
    query_time: Tensor


class EventTokens(nn.Module):
    """item + action + source + time gap + local hour and weekday + value + count."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.action = nn.Embedding(shape.n_actions, shape.dim, padding_idx=0)
        self.source = nn.Embedding(shape.n_sources, shape.dim, padding_idx=0)
        self.hour = nn.Embedding(25, shape.dim, padding_idx=0)
        self.weekday = nn.Embedding(8, shape.dim, padding_idx=0)
        last = nn.Linear(shape.dim, shape.dim, bias=False)
        nn.init.normal_(last.weight, std=SMALL)
        self.numbers = nn.Sequential(nn.Linear(4, shape.dim), nn.SiLU(), last)
        self.scale = shape.dim**0.5
        for table in (self.action, self.source, self.hour, self.weekday):
            nn.init.normal_(table.weight, std=SMALL)
            with torch.no_grad():
                table.weight[0].zero_()

    def forward(
        self, item_vectors: Float[Tensor, "*cells dim"], events: dict[str, Tensor]
    ) -> Float[Tensor, "*cells dim"]:
        numbers = torch.stack(
            [events["gap"] / 4, events["value"] / 4, events["valued"], events["count"]], dim=-1
        )
        words: Tensor = (
            item_vectors
            + self.action(events["action"])
            + self.source(events["source"])
            + self.hour(events["hour"])
            + self.weekday(events["weekday"])
        )
        # On the scale of the numbers from the first step on, though item vectors start small.
        out: Tensor = words * self.scale + self.numbers(numbers)
        return out


class QueryTokens(nn.Module):
    """A query: time since the customer's last event, and whether there was any event at all."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.silence = nn.Sequential(nn.Linear(3, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(
        self, silence_days: Float[Tensor, "*cells"], length: Int[Tensor, "*cells"]
    ) -> Float[Tensor, "*cells dim"]:
        log_silence = torch.log1p(silence_days.clamp(min=0))
        heard = (length > 0).float()
        log_length = torch.log1p(length.float())
        out: Tensor = self.silence(torch.stack([log_silence, heard, log_length / 4], dim=-1))
        return out


class SequencePart(nn.Module):
    """Causal layers over events; queries read earlier events and are read by nothing."""

    among_events: Tensor

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.events = EventTokens(shape)
        self.queries = QueryTokens(shape.dim)
        self.norm_in = nn.LayerNorm(shape.dim)
        self.dropout = Dropout(shape.dropout)
        self.blocks = nn.ModuleList(
            Block(shape.dim, shape.n_attention_heads, shape.timed, shape.dropout)
            for _ in range(shape.n_layers)
        )
        self.norm_out = nn.LayerNorm(shape.dim)
        self.timed = shape.timed
        among = relate_events(shape.max_length, shape.timed)
        self.register_buffer("among_events", among, persistent=False)

    def forward(
        self, parts: Sequence[Part]
    ) -> list[tuple[Float[Tensor, "batch length dim"], Float[Tensor, "batch queries dim"]]]:
        """States after each event, and of each query, of every part.

        All that looks at a token alone runs once over the tokens of all parts; only attention
        needs sequences. States of padded events and queries mean nothing.
        """
        shapes = [(*part.events["time"].shape, part.query_length.shape[1]) for part in parts]
        tokens = self.dropout(self.norm_in(self._embed(parts, shapes)))
        relations = [self._relate(part) for part in parts]
        for block in self.blocks:
            tokens = block(tokens, relations)
        states = cut(self.norm_out(tokens), [n * (width + asked) for n, width, asked in shapes])
        split = [
            own.unflatten(0, (n, width + asked))
            for own, (n, width, asked) in zip(states, shapes, strict=True)
        ]
        return [
            (own[:, :width], own[:, width:])
            for own, (_, width, _) in zip(split, shapes, strict=True)
        ]

    def at(
        self, part: Part, positions: Int[Tensor, "batch asked"]
    ) -> Float[Tensor, "batch asked dim"]:
        """The states of `forward` at some positions of each sequence, whose queries follow its
        events. The last block, which nothing reads, computes those positions alone.
        """
        tokens = self.events(part.item_vectors, part.events)
        if part.query_length.shape[1]:
            asking = self.queries(_silence(part), part.query_length)
            tokens = torch.cat([tokens, asking], dim=1)
        tokens, relation = self.norm_in(tokens), self._relate(part)
        *before, last = self.blocks
        for block in before:
            assert isinstance(block, Block)
            tokens = block.whole(tokens, relation)
        assert isinstance(last, Block)
        states: Tensor = self.norm_out(last.at(tokens, relation, positions))
        return states

    def _embed(
        self, parts: Sequence[Part], shapes: list[tuple[Size, Size, Size]]
    ) -> Float[Tensor, "cells dim"]:
        """The tokens of all parts, sequence by sequence: its events, then its queries."""
        names = parts[0].events.keys()
        events = cut(
            self.events(
                join([part.item_vectors.flatten(0, 1) for part in parts]),
                {name: join([part.events[name].flatten() for part in parts]) for name in names},
            ),
            [n * width for n, width, _ in shapes],
        )
        queries = cut(
            self.queries(
                join([_silence(part).flatten() for part in parts]),
                join([part.query_length.flatten() for part in parts]),
            ),
            [n * asked for n, _, asked in shapes],
        )
        rows = [
            torch.cat([heard.unflatten(0, (n, width)), asking.unflatten(0, (n, asked))], dim=1)
            for heard, asking, (n, width, asked) in zip(events, queries, shapes, strict=True)
        ]
        return join([row.flatten(0, 1) for row in rows])

    def _relate(self, part: Part) -> Int[Tensor, "batch total total"]:
        """Which token may read which, how many positions back and how long after.

        The event at position i reads events 0..i; a query takes the position of the next event
        and reads the events before it and itself.
        """
        time = part.events["time"]
        length, n_queries = time.shape[1], part.query_length.shape[1]
        near = self.among_events[:length, :length].to(index_type())
        if self.timed:
            since = time[:, :, None] - time[:, None, :]
            events = near + bucket_age(since, (near > 0).float())
        else:
            events = near.expand(time.shape[0], -1, -1)
        if n_queries == 0:
            return events
        position = torch.arange(length, device=time.device)
        back = part.query_length[:, :, None] - position
        silent = part.query_time[:, :, None] - time[:, None, :] if self.timed else None
        asking = relate(back > 0, back, silent).to(events.dtype)
        itself = torch.eye(n_queries, dtype=events.dtype, device=time.device)
        queries = torch.cat([asking, itself.expand(time.shape[0], -1, -1)], dim=2)
        return torch.cat([functional.pad(events, (0, n_queries)), queries], dim=1)


def _silence(part: Part) -> Float[Tensor, "batch queries"]:
    """Days from the last event that each query reads to its as-of time; 0 without any event."""
    time = part.events["time"]
    last = (part.query_length - 1).clamp(min=0)
    padded = torch.cat([time, time.new_zeros(time.shape[0], 1)], dim=1)
    since = part.query_time - padded.gather(1, last)
    return torch.where(part.query_length > 0, since, part.query_time * 0)
