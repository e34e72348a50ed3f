"""An opened bundle: everything that answers are made from. No torch, no table engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from propense.encoding.batches import EventClock, read_clock
from propense.encoding.encoder import Encoder
from propense.encoding.items import ItemContent
from propense.encoding.profiles import Profiles
from propense.encoding.storage import decode_arrays, open_record
from propense.errors import BundleError, MissingExtraError
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.calibration import Calibrator, ValueCalibrator
from propense.evaluation.records import NETWORK
from propense.inference.artifact.catalogue import Catalogue, open_catalogue
from propense.inference.artifact.manifest import Manifest, file_states, read_manifest
from propense.inference.artifact.reference_profile import ReferenceProfile, read_reference_profile
from propense.inference.scoring.gate import FADING, Gate
from propense.inference.scoring.onnx_graphs import ItemTower, OnnxGraphs
from propense.inference.scoring.ranking import Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.counts.decayed import load_decayed
from propense.models.counts.live import LiveCounts
from propense.models.counts.transitions import load_counts
from propense.models.rivals.goal_rival import GoalRival, load_goal_rival
from propense.models.rivals.item_loading import load_item_rival
from propense.models.rivals.items.item_rival import ItemRival
from propense.models.shape import ItemHead, NetworkShape
from propense.schemas import (
    FIRST_KNOWN,
    UNSEEN,
    Doubles,
    Floats,
    GoalPlan,
    Histories,
    Ids,
    Ints,
    TableFeatures,
)
from propense.security.signing import ANY_SIGNER, Signers

INFO: Final = "bundle.json"
VECTORS: Final = "vectors.safetensors"
COUNTS: Final = "counts.safetensors"
POPULAR: Final = "popular.safetensors"
EVALUATED: Final = "evaluated"
REFRESHED: Final = "refreshed"


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answers one goal, and its calibration."""

    goal: GoalPlan
    champion: Literal["network", "rival", "average"]
    rival: str | None = None
    calibrators: dict[str, Calibrator] = {}
    """Model -> its calibrator, for a binary goal."""
    scales: dict[str, ValueCalibrator] = {}
    """Model -> its calibrator, for a value goal."""
    threshold: float | None = None


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """bundle.json: the bundle's parts and how answers combine them."""

    name: str
    currency: str
    shape: NetworkShape
    goals: list[Serving]
    recommends: bool
    item_champion: str = NETWORK
    gate: Gate | None = None
    owned: list[int] | None = None
    """Actions that make an item the customer's own; None where customers repeat items."""
    k: int = 10
    end: int | None = None
    """Time of the last event that the bundle was made from, seconds UTC."""
    refreshed: bool = False
    timeless: bool = False
    """Whether goals were trained on whole histories without as-of times, and are answered so."""


@dataclass(frozen=True)
class Bundle:
    """Predictions and recommendations of one packed run."""

    folder: Path
    manifest: Manifest
    info: Info
    encoder: Encoder
    content: ItemContent
    catalogue: Catalogue
    scorer: Scorer
    ranker: Ranker | None
    goal_rivals: dict[str, GoalRival]
    item_rival: ItemRival | None
    tower: ItemTower
    """Makes the vectors of new items."""

    def clock(self, histories: Histories) -> EventClock:
        """The local calendar of every event."""
        if not histories.timed:
            return read_clock(histories)
        return read_clock(histories, self.encoder.utc_offset(histories.time))

    def predict(
        self,
        histories: Histories,
        clock: EventClock,
        profiles: Profiles,
        user: Ids,
        as_of: Ints,
    ) -> Doubles:
        """Every goal of each (user, as_of) by its champion, calibrated; (n, n_goals)."""
        if not self.info.goals:
            return np.zeros((len(user), 0))
        made = self.encoder.features(histories, profiles, user, as_of)
        network = self.scorer.score_goals(histories, clock, made, user, as_of)
        raw: TableFeatures | None = None
        columns = []
        for number, serving in enumerate(self.info.goals):
            network_answers = serve(serving, NETWORK, network[:, number])
            if serving.champion == "network" or serving.rival is None:
                columns.append(network_answers)
                continue
            rival = self.goal_rivals[serving.goal.name]
            if serving.rival.endswith("_raw"):
                raw = raw or self.encoder.raw_features(
                    self._as_packed(histories), profiles, user, as_of
                )
            rival_answers = serve(serving, serving.rival, rival.predict(
                raw if raw is not None and serving.rival.endswith("_raw") else made
            ))  # fmt: skip
            average = serving.champion == "average"
            columns.append(
                KINDS[serving.goal.kind].average(network_answers, rival_answers)
                if average
                else rival_answers
            )
        return np.stack(columns, axis=1)

    def recommend(
        self,
        histories: Histories,
        clock: EventClock,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
        k: int,
    ) -> tuple[Ids, Floats]:
        """Best `k` items after the events before `end`, at the times `as_of` (n,) in seconds, None
        where there are no times; and the network's probabilities.

        Items the customer already owns are left out. Raises ValueError where the bundle
        recommends nothing.
        """
        if self.ranker is None:
            raise ValueError("this bundle recommends nothing: its run had no items")
        owned = self.owned
        wanted, share = self.scorer.seek_items(histories, clock, user, end)
        ranked, p = self.ranker.rank(wanted, share, histories, user, end, as_of, k, owned)
        if self.item_rival is not None:
            exclude: Literal["none", "seen"] = "none" if owned is None else "seen"
            shown = self.ranker.rankable[: self.item_rival.n_items]
            ranked = self.item_rival.rank(
                self._as_packed(histories), user, end, k, exclude, owned, shown, as_of
            )
            p = np.zeros(ranked.shape, np.float32)
        return ranked, p

    @cached_property
    def reference_profile(self) -> ReferenceProfile:
        """How training's events, features, answers and lists were distributed."""
        return read_reference_profile(self.folder)

    def item_scores(
        self,
        histories: Histories,
        clock: EventClock,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
        heads: tuple[ItemHead, ...] | None = None,
    ) -> Floats:
        """The list champion's score of every item after the events before `end`, at the times
        `as_of`, (n, n_items), at least 0, before any item is left out: `recommend` ranks by these.

        The network's scores are probabilities; a rival scores items that are newer than it 0.
        `heads` replace the bundle's weights of the actions. Raises ValueError where the bundle
        recommends nothing.
        """
        if self.ranker is None:
            raise ValueError("this bundle recommends nothing: its run had no items")
        if self.item_rival is not None:
            scores = self.item_rival.scores(self._as_packed(histories), user, end, as_of)
            scores -= scores.min(axis=1, keepdims=True)
            scores[:, :FIRST_KNOWN] = 0
            return np.pad(scores, ((0, 0), (0, self.encoder.items.size - scores.shape[1])))
        ranker = self.ranker if heads is None else replace(self.ranker, heads=heads)
        wanted, share = self.scorer.seek_items(histories, clock, user, end)
        return ranker.probabilities(wanted, share, histories, user, end, as_of)

    def _as_packed(self, histories: Histories) -> Histories:
        """Histories as a rival reads them: items newer than the bundle become UNSEEN."""
        n_packed = self.info.shape.n_items
        if self.encoder.items.size == n_packed:
            return histories
        packed_items = np.where(histories.item < n_packed, histories.item, np.int32(UNSEEN))
        return replace(histories, item=packed_items)

    @property
    def owned(self) -> np.ndarray | None:
        """(n_actions,) the actions that make an item the customer's own."""
        if self.info.owned is None:
            return None
        owned = np.zeros(self.encoder.actions.size, bool)
        owned[self.info.owned] = True
        return owned


def serve(serving: Serving, model: str, p: Doubles) -> Doubles:
    """A model's answers as they are served: calibrated."""
    p = p.astype(np.float64)
    calibrator = serving.calibrators.get(model) or serving.scales.get(model)
    return p if calibrator is None else calibrator.apply(p)


def open_bundle(
    folder: Path | str,
    *,
    verify: bool = True,
    network: str | None = None,
    threads: int = 1,
    signers: Signers = ANY_SIGNER,
) -> Bundle:
    """Open the bundle in `folder`, every file checked against its manifest.

    `network` is "evaluated" (the one of the report) or "refreshed" (refitted up to the last
    event); by default the refreshed one where there is one. `signers`
    says who must have signed it (`signing.signers_of`).
    Raises BundleError on anything missing, changed, unsigned or of another format.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, verify, signers)
    checked = file_states(folder, manifest)
    try:
        bundle = _open(folder, manifest, network, threads)
        if file_states(folder, manifest) != checked:
            raise BundleError(f"bundle {str(folder)!r} was changed while it was opened; try again")
        return bundle
    except (BundleError, MissingExtraError, ImportError, MemoryError):
        raise
    except Exception as error:  # of JSON, arrays and graphs: each library has its own
        raise BundleError(
            f"bundle {str(folder)!r} cannot be opened: {type(error).__name__}: {error}; "
            f"pack it again"
        ) from error


def _open(folder: Path, manifest: Manifest, network: str | None, threads: int) -> Bundle:
    info = msgspec.json.decode((folder / INFO).read_bytes(), type=Info)
    chosen = folder / (network or (REFRESHED if info.refreshed else EVALUATED))
    vectors = decode_arrays((chosen / VECTORS).read_bytes())
    graphs, item_vectors = OnnxGraphs(chosen, threads), vectors["item_vectors"]
    scorer = Scorer(info.shape, graphs, item_vectors, vectors.get("goal_vectors", item_vectors))
    ranker = None
    if info.recommends:
        counts, popular = chosen / COUNTS, chosen / POPULAR
        gated = counts.exists() and info.gate is not None
        if gated and not popular.exists() and any(info.gate.used[FADING:]):  # type: ignore[union-attr]
            raise BundleError(f"{str(popular)!r} is missing; pack the bundle again")
        ranker = Ranker(
            scorer.item_vectors,
            info.shape.item_heads,
            vectors["rankable"].astype(bool),
            vectors["popularity"],
            load_counts(counts) if gated else None,
            info.gate if gated else None,
            LiveCounts.of(load_decayed(popular)) if gated and popular.exists() else None,
        )
    item_rival = folder / "item_rival"
    encoder = Encoder.load(folder / "encoder")
    content = open_record(folder / "content", "content", ItemContent, mapped=False)
    return Bundle(
        folder=folder,
        manifest=manifest,
        info=info,
        encoder=encoder,
        content=content,
        catalogue=open_catalogue(folder, encoder.items, content.titles, encoder.content),
        scorer=scorer,
        ranker=ranker,
        goal_rivals={
            serving.goal.name: load_goal_rival(folder / "goal_rivals" / serving.goal.name)
            for serving in info.goals
            if serving.champion != "network"
        },
        item_rival=load_item_rival(item_rival) if item_rival.exists() else None,
        tower=ItemTower(chosen),
    )
