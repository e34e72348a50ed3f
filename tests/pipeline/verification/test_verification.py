"""The integration test of a deployed model: green where it is the evaluated one, red else."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from propense.cli import main
from propense.encoding.encoder import Encoder
from propense.errors import VerifyError
from propense.evaluation.metrics.calibration import Calibrator
from propense.inference.artifact.manifest import write_manifest
from propense.inference.bundle import INFO, Info
from propense.ingest import json_lines
from propense.pipeline.verification import Verification, verify
from propense.serving.service import Service
from support.live_stores import opened_ring
from support.service_bundle import ServedWorld, make_served_world, served_world
from support.service_live import listening

# What ONNX's own Python tells of its future.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOUR = 3_600_000_000


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    return served_world("refreshed", tmp_path_factory)


@contextmanager
def deployed(
    world: ServedWorld, data: Path, shelf: Path | None = None
) -> Iterator[tuple[str, Service]]:
    """The service over the place's shelf, or another one."""
    settings = world.serving(data)
    if shelf is not None:
        pack = msgspec.structs.replace(settings.pack, shelf=str(shelf))
        settings = msgspec.structs.replace(settings, pack=pack)
    with listening(settings, data) as (url, service):
        yield url, service


def key_of(data: Path, scope: str = "verify") -> str:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = time.time_ns() // 1000
    with opened_ring(data) as ring:
        return ring.create(scope, [scope], now=now, kind="admin")[1]


def hold(world: ServedWorld, data: Path, shelf: Path | None = None, **more) -> Verification:
    """Verify what is deployed by the place's own run; nothing of it may be left."""
    key = key_of(data)
    with deployed(world, data, shelf) as (url, service):
        verification = verify(world.settings, url, key, **more)
        assert not list(data.glob("verify-*"))
        assert service.store.n_customers() == 0
        metrics = service.monitor.metrics.render("")[0].decode()
        assert 'propense_events_total{outcome="kept"} 0.0' in metrics
    return verification


def test_the_deployed_model_is_the_evaluated_one(shop: ServedWorld, tmp_path: Path):
    verification = hold(shop, tmp_path)
    assert verification.failed == [] and verification.whole and verification.bundle == shop.version
    assert verification.n_rows > 20 and verification.n_lists > 20 and verification.n_customers > 10
    names = " ".join(check.name for check in verification.checks)
    for word in ("pay: auc", "churn: accuracy", "churn: recall", "pay: f1", "spend: mae",
                 "recall_at_10", "ndcg_at_10", "refreshed network"):  # fmt: skip
        assert word in names, word
    checks = {check.name: check for check in verification.checks}
    assert 0 < checks["pay: auc"].live < 1 and checks["recommendations: recall_at_10"].live > 0


def test_a_sample_is_held_against_offline_answers(shop: ServedWorld, tmp_path: Path):
    verification = hold(shop, tmp_path, customers=5)
    assert verification.failed == [] and not verification.whole and verification.n_customers == 5


@pytest.mark.parametrize("kind", ["untimed", "table"])
def test_order_alone_and_profiles_alone(kind: str, tmp_path_factory, tmp_path: Path):
    world = served_world(kind, tmp_path_factory)
    verification = hold(world, tmp_path)
    assert verification.failed == [] and verification.checks
    assert (verification.n_lists > 0) == (kind == "untimed") and (verification.n_rows > 0) == (
        kind == "table"
    )


@pytest.mark.slow
def test_rivals_that_answer_and_items_that_are_taken_again(tmp_path_factory, tmp_path: Path):
    world = served_world("repeat", tmp_path_factory)
    assert any(serving.champion != "network" for serving in world.bundle.info.goals)
    assert hold(world, tmp_path).failed == []


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no time.tzset here")
def test_the_time_zone_of_the_machine_changes_nothing(
    shop: ServedWorld, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert hold(shop, tmp_path, customers=8).failed == []
    finally:
        monkeypatch.undo()
        time.tzset()


@contextmanager
def tampered(world: ServedWorld, tmp_path: Path, change: Callable[[Path], None]) -> Iterator[Path]:
    """A shelf whose bundle was changed, its manifest written anew, so that it opens."""
    shelf = tmp_path / "shelf"
    shutil.copytree(world.bundles, shelf)
    folder = shelf / world.version
    change(folder)
    write_manifest(folder, "0", "2024-01-01T00:00:00+00:00")
    yield shelf


def swap_two_actions(folder: Path) -> None:
    """View and pay change their places in the vocabulary."""
    encoder = Encoder.load(folder / "encoder")
    words = list(encoder.actions.words)
    words[0], words[-1] = words[-1], words[0]
    _write_lexicon(folder, encoder, actions=type(encoder.actions)(tuple(words)))


def swap_two_items(folder: Path) -> None:
    encoder = Encoder.load(folder / "encoder")
    words = list(encoder.items.words)
    words[0], words[1] = words[1], words[0]
    _write_lexicon(folder, encoder, items=type(encoder.items)(tuple(words)))


def live_elsewhere(folder: Path) -> None:
    """The hour of the day of another continent."""
    encoder = Encoder.load(folder / "encoder")
    aggregate = msgspec.structs.replace(encoder.aggregate, time_zone="America/New_York")
    _write_lexicon(folder, encoder, aggregate=aggregate)


def _write_lexicon(folder: Path, encoder: Encoder, **changes) -> None:
    msgspec.structs.replace(encoder, **changes).save(folder / "encoder")


def tilt_the_calibrator(folder: Path) -> None:
    """Every probability of one goal a little higher; its order, hence AUC, stays."""
    info = msgspec.json.decode((folder / INFO).read_bytes(), type=Info)
    goals = list(info.goals)
    calibrators = dict(goals[0].calibrators)
    network = calibrators["network"]
    assert network.kind == "platt"
    calibrators["network"] = Calibrator(kind="platt", a=network.a, b=network.b + 1)
    goals[0] = msgspec.structs.replace(goals[0], calibrators=calibrators)
    changed = msgspec.structs.replace(info, goals=goals)
    (folder / INFO).write_bytes(msgspec.json.encode(changed))


def train_a_little_more(folder: Path) -> None:
    """Another network: every weight of the evaluated one is nudged by a percent."""
    rng = np.random.default_rng(1)
    for name in ("goals.onnx", "next_item.onnx"):
        graph = onnx.load(folder / "evaluated" / name)
        for weights in graph.graph.initializer:
            if weights.data_type == onnx.TensorProto.FLOAT and len(weights.dims) == 2:
                array = numpy_helper.to_array(weights)
                noise = 1 + 0.01 * rng.standard_normal(array.shape).astype(np.float32)
                weights.CopyFrom(numpy_helper.from_array(array * noise, weights.name))
        onnx.save(graph, folder / "evaluated" / name)


def serve_the_evaluated_one(folder: Path) -> None:
    """The network that was not refitted stands where the refitted one should."""
    shutil.rmtree(folder / "refreshed")
    shutil.copytree(folder / "evaluated", folder / "refreshed")


@pytest.mark.parametrize(
    ("change", "check_name"),
    [
        (swap_two_actions, "churn: largest difference"),
        (swap_two_items, "lists unlike offline"),
        (live_elsewhere, "pay: largest difference"),
        (tilt_the_calibrator, "pay: largest difference"),
        (train_a_little_more, "pay: largest difference"),
        (serve_the_evaluated_one, "pay, refreshed network"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_another_model_is_found_out(shop: ServedWorld, tmp_path: Path, change, check_name: str):
    with tampered(shop, tmp_path, change) as shelf:
        verification = hold(shop, tmp_path / "live", shelf)
    assert any(check_name in check.name for check in verification.failed), verification.failed
    if change is tilt_the_calibrator:
        failed = {check.name for check in verification.failed}
        assert "pay: auc" not in failed and "pay: log_loss" in failed
        assert not any(name.startswith(("churn", "recommendations")) for name in failed)


def test_a_bundle_that_was_only_copied_is_the_same(shop: ServedWorld, tmp_path: Path):
    with tampered(shop, tmp_path, lambda folder: None) as shelf:
        assert hold(shop, tmp_path / "live", shelf).failed == []


def test_a_clock_that_is_an_hour_off_is_found_out(shop: ServedWorld, tmp_path: Path, monkeypatch):
    honest = json_lines.time_of

    def late(body, key, pointer):
        sent = honest(body, key, pointer)
        return None if sent is None else sent + HOUR

    monkeypatch.setattr(json_lines, "time_of", late)
    verification = hold(shop, tmp_path)
    assert any("largest difference" in check.name for check in verification.failed)


@pytest.mark.slow
def test_the_bundle_of_another_seed_is_found_out(shop: ServedWorld, tmp_path: Path):
    other = make_served_world(tmp_path / "other", "refreshed", seed=1)
    verification = hold(shop, tmp_path / "live", other.bundles)
    assert len(verification.failed) > 3


def test_a_key_of_another_scope_verifies_nothing(shop: ServedWorld, tmp_path: Path):
    for scope in ("read", "admin"):
        key = key_of(tmp_path, scope)
        with deployed(shop, tmp_path) as (url, service):
            with pytest.raises(VerifyError, match="403"):
                verify(shop.settings, url, key)
            assert service.store.n_customers() == 0


def test_where_nothing_answers_it_says_so(shop: ServedWorld):
    with pytest.raises(VerifyError, match="no service answers at"):
        verify(shop.settings, "http://127.0.0.1:9", "pp_key")
    with pytest.raises(VerifyError, match="not the address of a service"):
        verify(shop.settings, "ftp://somewhere", "pp_key")


def test_the_verb_says_yes_and_no(shop: ServedWorld, tmp_path: Path, monkeypatch, capsys):
    def run(url: str, key: str) -> tuple[int, dict]:
        monkeypatch.setenv("PROPENSE_KEY", key)
        file = str(shop.folder / "propense.toml")
        code = main(["verify", url, "--json", "--settings", file])
        return code, json.loads(capsys.readouterr().out)

    key = key_of(tmp_path / "a")
    with deployed(shop, tmp_path / "a") as (url, _):
        code, answer = run(url, key)
    assert code == 0 and answer["verified"] and all(check["met"] for check in answer["checks"])
    key = key_of(tmp_path / "b")
    with tampered(shop, tmp_path, tilt_the_calibrator) as shelf:
        with deployed(shop, tmp_path / "b", shelf) as (url, _):
            code, answer = run(url, key)
    assert code == 1 and not answer["verified"]
