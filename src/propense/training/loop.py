"""Training of one network: passes over the examples until validation stops improving."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from propense.encoding.batches import Sequences
from propense.errors import LossError
from propense.models.network.customer import Content, CustomerNetwork
from propense.models.network.dropout import draw_masks_from
from propense.models.network.sequence import Part
from propense.progress import Progress
from propense.schemas import FIRST_KNOWN, UNSEEN, Ints
from propense.training.checkpoints import (
    Best,
    EpochRecord,
    State,
    read_checkpoint,
    restore,
    write_checkpoint,
)
from propense.training.examples import (
    PASS_CELLS,
    QUERIES_PER_WINDOW,
    Batch,
    Examples,
    build_batch,
    draw_negatives,
    draw_steps,
    table_batches,
)
from propense.training.losses import goal_losses, mean_labelled
from propense.training.sampled_softmax import next_item_loss
from propense.training.validation import Scores, Validator
from propense.training.weight_ema import average_weights

Measure = Callable[[CustomerNetwork, Validator], Scores]
"""Scores a network on the validator's sample."""

FULL_SOFTMAX_ITEMS = 4096
"""Up to this catalogue every item is a candidate; above it negatives are sampled."""
NEGATIVES = 2048
ID_DROPOUT = 0.05
"""Share of item ids hidden in a step, so that content learns to identify items alone."""
WARMUP_STEPS = 100
TABLE_DECAY = 0.03
CLIP = 5.0


@dataclass(frozen=True)
class Schedule:
    """Everything that decides how one training proceeds."""

    name: str
    """Prefix of the epoch in the progress."""
    seed: int
    learning_rate: float
    passes: dict[str, int]
    """Graph -> largest number of passes; without a validator, the exact number."""
    patience: int
    max_cells: int
    table_rows: int
    """Rows in a step of a network without a sequence part."""
    max_seconds: float | None
    checkpoint_seconds: float
    inputs_hash: str
    mixed: bool = False
    """Products in bfloat16, sums and losses in float32."""


@dataclass(frozen=True)
class Step:
    """The input of one step: windows in parts of similar length with the pass's queries, or table
    rows."""

    parts: list[Ints]
    queries: Sequences | None


class Trainer:
    """One network in training; its whole state is in the checkpoint."""

    def __init__(
        self,
        network: CustomerNetwork,
        content: Content,
        examples: Examples,
        schedule: Schedule,
        folder: Path,
    ) -> None:
        self.network = network
        self.content = content
        self.examples = examples
        self.schedule = schedule
        self.folder = folder
        self.shape = network.shape
        self.device = next(network.parameters()).device
        table = [p for name, p in network.named_parameters() if name.startswith("tabular.")]
        others = [p for name, p in network.named_parameters() if not name.startswith("tabular.")]
        groups = [
            {"params": params, "weight_decay": decay}
            for params, decay in ((table, TABLE_DECAY), (others, 0.0))
            if params
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
        self.average = average_weights(network, self._steps_a_pass())
        self.chance = torch.Generator(self.device)
        draw_masks_from(network, self.chance)
        self.state = State(inputs_hash=schedule.inputs_hash)
        self.best: dict[str, dict[str, Tensor]] = {}
        """Graph -> its weights at its best pass."""
        self.numeric = self._tensor(examples.features.numeric)
        self.categorical = self._tensor(examples.features.categorical.astype(np.int64))
        self.y = self._tensor(examples.rows.y)

    def fit(
        self,
        validator: Validator | None,
        measure: Measure,
        progress: Progress,
        halted: threading.Event,
    ) -> None:
        """Train until validation stops improving; `best` then holds the weights of each graph.

        Without a validator, each graph keeps the average after exactly its own passes. Returns
        within a step once `halted` is set. Raises LossError if the loss stops being finite.
        """
        self._resume()
        began = time.monotonic() - sum(record.seconds for record in self.state.curves)
        saved = time.monotonic()
        while not self.state.done:
            epoch_began = time.monotonic() - self.state.epoch_seconds
            steps = self._steps(self.state.epoch)
            task = f"{self.schedule.name}epoch {self.state.epoch + 1}"
            progress.start(task, len(steps))
            progress.advance(task, self.state.step)
            for step in range(self.state.step, len(steps)):
                if halted.is_set():
                    return
                self.state.loss_sum += self._step(steps[step], self.state.epoch, step)
                self.state.step = step + 1
                progress.advance(task, 1, f"loss {self.state.loss_sum / (step + 1):.4f}")
                if time.monotonic() - saved > self.schedule.checkpoint_seconds:
                    self.state.epoch_seconds = time.monotonic() - epoch_began
                    self._save()
                    saved = time.monotonic()
            progress.finish(task)
            self._close_epoch(validator, measure, time.monotonic() - epoch_began, len(steps))
            spent = time.monotonic() - began
            limit = self.schedule.max_seconds
            if limit is not None and spent > limit and not self.state.done:
                self.state.done = self.state.cut_short = True
            self._save()
            saved = time.monotonic()

    def _steps_a_pass(self) -> int:
        if not self.shape.has_sequence:
            return -(-len(self.examples.rows) // self.schedule.table_rows)
        asked = np.minimum(self.examples.queries.n_queries, QUERIES_PER_WINDOW)
        cells = self.examples.n_tokens + int(asked.sum())
        return -(-min(cells, PASS_CELLS) // self.schedule.max_cells)

    def _steps(self, epoch: int) -> list[Step]:
        rng = np.random.default_rng([self.schedule.seed, epoch])
        if not self.shape.has_sequence:
            rows = len(self.examples.rows)
            batches = table_batches(rows, self.schedule.table_rows, rng)
            return [Step([batch], None) for batch in batches]
        steps, queries = draw_steps(self.examples, self.schedule.max_cells, rng)
        return [Step(parts, queries) for parts in steps]

    def _step(self, chosen: Step, epoch: int, step: int) -> float:
        self.network.train()
        rng = np.random.default_rng([self.schedule.seed, epoch, step])
        self.chance.manual_seed(int(rng.integers(2**63)))
        warm = 1.0 if epoch else min(1.0, (step + 1) / WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * warm
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.mixed):
            if chosen.queries is None:
                loss = self._table_loss(self._tensor(chosen.parts[0]), None)
            else:
                queries = chosen.queries
                batches = [build_batch(self.examples, part, queries) for part in chosen.parts]
                loss = self._loss(batches, rng)
        if not loss.requires_grad:
            # Windows without a target, from customers whose events all have one time.
            return 0.0
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise LossError(
                f"the loss is {value} in epoch {epoch + 1}, step {step + 1}; look for extreme "
                f"values with: propense check"
            )
        return value

    def _loss(self, parts: list[Batch], rng: np.random.Generator) -> Tensor:
        target = self._tensor(np.concatenate([part.pair_item for part in parts]))
        items = [self._tensor(part.events["item"]) for part in parts]
        sizes = [item.numel() for item in items]
        vectors, index = self._vectors(torch.cat([*(i.flatten() for i in items), target]), rng)
        read = functional.embedding(index[: sum(sizes)], vectors).split(sizes)
        states = self.network.read(
            [
                Part(
                    own.view(*item.shape, self.shape.dim),
                    {name: self._tensor(array) for name, array in part.events.items()},
                    self._tensor(part.query_length),
                    self._tensor(part.query_time),
                )
                for part, item, own in zip(parts, items, read, strict=True)
            ]
        )
        after = [
            events[self._tensor(part.pair_sequence), self._tensor(part.pair_position)]
            for part, (events, _) in zip(parts, states, strict=True)
        ]
        asked = [
            queries[self._tensor(part.query_row >= 0)]
            for part, (_, queries) in zip(parts, states, strict=True)
        ]
        loss = torch.zeros((), device=vectors.device)
        if len(target):
            head = self._tensor(np.concatenate([part.pair_head for part in parts]))
            loss = loss + self._next_loss(
                torch.cat(after), head, vectors, index[sum(sizes) :], self._weights(parts)
            )
        if self.shape.goals:
            rows = np.concatenate([part.query_row[part.query_row >= 0] for part in parts])
            if len(rows):
                loss = loss + self._table_loss(self._tensor(rows), torch.cat(asked))
        return loss

    def _vectors(self, needed: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The vectors that this step needs; the rows of the `needed` items, then of negatives."""
        assert self.network.items is not None
        if self.shape.n_seen <= FULL_SOFTMAX_ITEMS:
            distinct, index = torch.arange(self.shape.n_seen, device=self.device), needed
        else:
            negatives = self._tensor(draw_negatives(self.shape.n_seen, NEGATIVES, rng))
            distinct, index = torch.cat([needed, negatives]).unique(return_inverse=True)
        id_item = distinct
        if self.shape.has_content:
            hidden = self._tensor(rng.random(len(distinct)) < ID_DROPOUT)
            id_item = torch.where(hidden & (distinct >= FIRST_KNOWN), UNSEEN, distinct)
        return self.network.items(distinct, self.content, id_item), index

    def _weights(self, parts: list[Batch]) -> Tensor | None:
        """(n_pairs,) how much each next item counts; None where all count fully."""
        weights = [part.pair_weight for part in parts if part.pair_weight is not None]
        return self._tensor(np.concatenate(weights)) if weights else None

    def _next_loss(
        self, after: Tensor, head: Tensor, vectors: Tensor, index: Tensor, weight: Tensor | None
    ) -> Tensor:
        """Cross-entropy of the next item under its action's head, and of the head itself."""
        wanted = self.network.seek(after)[torch.arange(len(head), device=self.device), head]
        target = index[: len(head)]
        sampled = index[len(head) :] if self.shape.n_seen > FULL_SOFTMAX_ITEMS else None
        if sampled is None:
            vectors, target = vectors[FIRST_KNOWN:], target - FIRST_KNOWN
        loss = next_item_loss(wanted, target, vectors, sampled, weight)
        if self.shape.n_item_heads > 1:
            guesses = self.network.next_head(after)
            if weight is None:
                loss = loss + functional.cross_entropy(guesses, head)
            else:
                each = functional.cross_entropy(guesses, head, reduction="none")
                loss = loss + (each * weight).mean()
        # In units of an uninformed guess, so that it weighs like a goal.
        scale = float(np.log(max(self.shape.n_seen, 3)))
        return loss / scale if self.shape.goals else loss

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _table_loss(self, rows: Tensor, state: Tensor | None) -> Tensor:
        raw = self.network.answer(self.numeric[rows], self.categorical[rows], state).float()
        y = self.y[rows]
        return mean_labelled(goal_losses(raw, y, self.shape), y).sum()

    def _close_epoch(
        self, validator: Validator | None, measure: Measure, seconds: float, n_steps: int
    ) -> None:
        state = self.state
        average = self.average.module
        assert isinstance(average, CustomerNetwork)
        average.eval()
        scores = measure(average, validator) if validator is not None else Scores()
        record = EpochRecord(
            state.epoch, round(seconds, 3), state.loss_sum / max(n_steps, 1), scores
        )
        state.curves = [*state.curves, record]
        weights: dict[str, Tensor] | None = None
        for graph, passes in self.schedule.passes.items():
            score = scores.of(graph)
            if score is None:
                score = float(min(state.epoch + 1, passes))
            if graph not in state.best or score > state.best[graph].score:
                # Two graphs whose best pass is the same share one copy.
                if weights is None:
                    weights = {name: t.detach().clone() for name, t in average.state_dict().items()}
                state.best = state.best | {graph: Best(state.epoch, score)}
                self.best[graph] = weights
        epochs_without_gain = state.epoch - max(best.epoch for best in state.best.values())
        if all(scores.of(graph) is None for graph in self.schedule.passes):
            # No score distinguishes the passes: some are made, and the last one's weights are kept.
            epochs_without_gain = state.epoch + 1
        exhausted = validator is not None and epochs_without_gain >= self.schedule.patience
        state.epoch, state.step, state.loss_sum, state.epoch_seconds = state.epoch + 1, 0, 0.0, 0.0
        state.done = exhausted or state.epoch >= max(self.schedule.passes.values())

    def _resume(self) -> None:
        checkpoint = read_checkpoint(self.folder, self.schedule.inputs_hash)
        if checkpoint is not None:
            self.state, tensors = checkpoint
            self.best = restore(self.state, tensors, self.network, self.average, self.optimizer)

    def _save(self) -> None:
        write_checkpoint(
            self.folder, self.state, self.network.state_dict(), self.average.state_dict(),
            self.best, self.optimizer,
        )  # fmt: skip
