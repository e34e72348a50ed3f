"""Writes a bundle: everything that serving needs, completely or not at all."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from propense import __version__
from propense.encoding.dataset import Dataset
from propense.encoding.storage import save_arrays, save_record
from propense.evaluation.records import NETWORK, Report
from propense.evaluation.report.card import render_card
from propense.evaluation.report.storage import report_to_json, without_times
from propense.export.onnx import Exporter, check_parity
from propense.export.reference_profile import make_reference_profile
from propense.files import new_folder
from propense.inference.artifact.catalogue import write_catalogue
from propense.inference.artifact.manifest import name_bundle, write_manifest
from propense.inference.artifact.reference_profile import write_reference_profile
from propense.inference.bundle import (
    COUNTS,
    EVALUATED,
    INFO,
    POPULAR,
    REFRESHED,
    VECTORS,
    Info,
    Serving,
    open_bundle,
)
from propense.models.counts.transitions import TransitionCounts
from propense.models.rivals.items.item_rival import ItemRival
from propense.schemas import NO_TIME
from propense.security.signing import sign_bundle
from propense.settings import Settings
from propense.training.customer_model import CustomerModel
from propense.training.train import rankable_items
from propense.words import format_text


def write_bundle(
    dataset: Dataset,
    evaluated: CustomerModel,
    refreshed: CustomerModel | None,
    servings: list[Serving],
    rival_folder: Path,
    item_rival: tuple[str, ItemRival] | None,
    report: Report,
    folder: Path,
) -> Path:
    """Write the bundle to `folder`; it appears there only once it is complete.

    Every exported graph is first compared with torch (BundleError above 1e-5). `servings`
    say how each goal is answered; packed goal rivals are taken from
    `rival_folder`/goals/GOAL/NAME. `item_rival` is the champion of the lists where that is
    not the network.
    """
    with new_folder(folder) as unfinished:
        _write_content(
            dataset, evaluated, refreshed, servings, rival_folder, item_rival, report, unfinished
        )
        settings = dataset.settings
        name_bundle(unfinished, folder.name, settings.name)
        if settings.pack.signing_key is not None:
            sign_bundle(unfinished, Path(settings.folder) / settings.pack.signing_key)
    return folder


def _write_content(
    dataset: Dataset,
    evaluated: CustomerModel,
    refreshed: CustomerModel | None,
    servings: list[Serving],
    rival_folder: Path,
    item_rival: tuple[str, ItemRival] | None,
    report: Report,
    folder: Path,
) -> None:
    settings = dataset.settings
    dataset.encoder.save(folder / "encoder")
    (folder / "content").mkdir()
    save_record(folder / "content", "content", dataset.content)
    items = dataset.run.clean / "items.parquet"
    listed = settings.items is not None and items.exists()
    write_catalogue(items if listed else None, dataset.encoder.items, folder)
    exporter = Exporter()
    _write_network(evaluated, folder / EVALUATED, exporter)
    if refreshed is not None:
        _write_network(refreshed, folder / REFRESHED, exporter)
    for serving in servings:
        if serving.champion != "network" and serving.rival is not None:
            shutil.copytree(
                rival_folder / "goals" / serving.goal.name / serving.rival,
                folder / "goal_rivals" / serving.goal.name,
                ignore=shutil.ignore_patterns("notes.json"),
            )
    if item_rival is not None:
        item_rival[1].save(folder / "item_rival")
    info = _describe(dataset, settings, evaluated, refreshed, servings, item_rival)
    text = msgspec.json.format(msgspec.json.encode(info), indent=1)
    (folder / INFO).write_bytes(text)
    # Times and durations are left out: the same data give the same bundle. The examples are
    # customers and stay in the run folder, where they can be erased.
    carried = [] if refreshed is None else [format_text("trained.carried_over")]
    timeless = msgspec.structs.replace(
        without_times(report), examples=[], warnings=[*report.warnings, *carried]
    )
    (folder / "report.json").write_bytes(report_to_json(timeless))
    (folder / "model_card.md").write_text(render_card(timeless), "utf-8")
    made = datetime.now(UTC).isoformat(timespec="seconds")
    items_read = _changed(dataset.run.begun("clean")) if listed else 0
    write_manifest(folder, __version__, made, items_read)
    # The bundle's own answers make its reference profile, which the second manifest lists.
    answering = open_bundle(folder, verify=False, network=EVALUATED)
    write_reference_profile(make_reference_profile(dataset, answering), folder)
    write_manifest(folder, __version__, made, items_read)


def _changed(file: Path) -> int:
    """Time a file was written, microseconds UTC; 0 where it does not exist."""
    return file.stat().st_mtime_ns // 1000 if file.exists() else 0


def _write_network(model: CustomerModel, folder: Path, exporter: Exporter) -> None:
    exporter.write(model.networks, folder)
    check_parity(model.networks, folder, np.random.default_rng(0))
    shape, scorer, ranker = model.shape, model.scorer, model.ranker
    vectors: dict[str, np.ndarray] = {
        "item_vectors": scorer.item_vectors,
        "rankable": (rankable_items(shape) if ranker is None else ranker.rankable).astype(np.uint8),
        "popularity": np.zeros(shape.n_items) if ranker is None else ranker.popularity,
    }
    if scorer.goal_vectors is not scorer.item_vectors:
        vectors["goal_vectors"] = scorer.goal_vectors
    save_arrays(folder / VECTORS, vectors)
    if ranker is not None and isinstance(ranker.counts, TransitionCounts):
        ranker.counts.save(folder / COUNTS)
        if ranker.popular is not None:
            ranker.popular.save(folder / POPULAR)


def _describe(
    dataset: Dataset,
    settings: Settings,
    evaluated: CustomerModel,
    refreshed: CustomerModel | None,
    servings: list[Serving],
    item_rival: tuple[str, ItemRival] | None,
) -> Info:
    owned = evaluated.owned
    return Info(
        name=settings.name,
        currency=settings.currency,
        shape=evaluated.shape,
        goals=servings,
        recommends=evaluated.ranker is not None,
        item_champion=NETWORK if item_rival is None else item_rival[0],
        gate=evaluated.notes.gate,
        owned=None if owned is None else np.flatnonzero(owned).tolist(),
        k=settings.recommend.k if settings.recommend is not None else 10,
        end=dataset.plan.end,
        refreshed=refreshed is not None,
        timeless=bool(len(dataset.rows)) and bool((dataset.rows.as_of == NO_TIME).all()),
    )
