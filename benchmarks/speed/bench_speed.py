"""Time to a peer's own best ndcg@10, on one machine in one run: `make bench-speed`.

    python -m benchmarks.speed.bench_speed    amazon-beauty, hours
    python -m benchmarks.speed.bench_speed --peer-epochs 3    the peers' speed only, minutes
    python -m benchmarks.speed.bench_speed --data ml-1m --peers recbole

The peers, SASRec of RecTools and of RecBole, are trained first and judged after every pass; then
propense with its defaults. All are fitted on the train part alone, with the same number of
threads. A peer that is stopped before its own recipe ends (RecTools': patience 50 of at most 200
passes; RecBole's: 11 of 300) is compared in two ways, and the table says so: at the best it had by
then, and by the fewest passes its recipe makes, its patience after the best, times its seconds a
pass. Written to build/bench/speed.json and speed.md. The peers' passes are also kept as they come:
after a stop, --peer-kept goes on with them, and the table says that too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.example_runs import DATA, ExampleRun, prepare
from benchmarks.harness.result_tables import (
    format_machine,
    machine,
    markdown,
    seconds_to_reach,
    write_json,
)
from benchmarks.peers import environments
from benchmarks.proof import ROOT

HERE = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Peer:
    """A model of another library, and the end of its own recipe."""

    name: str
    environment: str
    script: str
    words: tuple[str, ...]
    package: str
    most_epochs: int
    patience: int


def _rectools(name: str, loss: str, size: str = "light") -> Peer:
    """The recipe is that of RecTools' public benchmark of its transformers."""
    words = ("--loss", loss, "--size", size)
    return Peer(name, "rectools", "rectools_sasrec.py", words, "RecTools", 200, 50)


PEERS = {
    "rectools-softmax": _rectools("RecTools SASRec, softmax", "softmax"),
    "rectools-sampled": _rectools("RecTools SASRec, sampled softmax", "sampled_softmax"),
    "rectools-gbce": _rectools("RecTools SASRec, gBCE", "gbce"),
    "rectools-published": _rectools("RecTools SASRec, its defaults", "softmax", "published"),
    "recbole": Peer("RecBole SASRec, softmax", "recbole", "recbole_sasrec.py", (), "recbole",
                    300, 11),
}  # fmt: skip
USUAL = ("rectools-softmax", "rectools-sampled", "recbole")

PROTOCOL = (
    "Leave-one-out, fitted on train alone, full ranking, seen items left out. Seconds are of "
    "training alone; judging between passes is not in them. propense reads what the catalogue says "
    "of items, as its defaults do, the peers read their ids. Its validation ndcg is the network's "
    "own, on at most 10,000 customers; its test figures are of the whole ranking, with counts.\n"
)
ONE_NETWORK = "model.ensemble=1"
"""As the peer is one: a curve of passes is a single network's."""
EARLIER = "The peer's numbers are of an earlier run on this machine.\n"


def main() -> None:
    """Run every peer, then propense; add the result to the table."""
    chosen = arguments()
    prepare(chosen.data, folder := OUT / "speed" / chosen.data)
    find = read_peer if chosen.peer_kept else run_peer
    peers = [find(chosen, name) for name in chosen.peers]
    ours = run_propense(chosen, folder)
    for peer in peers:
        peer["against"] = compare(peer, ours, chosen, folder)
    record = {
        "machine": {**machine(), **versions(chosen.peers)},
        "data": chosen.data, "threads": chosen.threads, "seed": chosen.seed,
        "changes": [*chosen.set, ONE_NETWORK],
        "peer_kept": chosen.peer_kept,
        "made": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "peers": peers, "propense": ours,
    }  # fmt: skip
    name = "speed-trial" if chosen.peer_users else "speed"
    file = OUT / f"{name}.json"
    stream = json.loads(file.read_bytes()) if file.exists() else []
    records = [*(old for old in stream if old["data"] != chosen.data), record]
    write_json(file, records)
    (OUT / f"{name}.md").write_text("# Speed\n\n" + "\n".join(map(page, records)))
    print(page(record))


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", choices=["amazon-beauty", "ml-1m"], default="amazon-beauty")
    parser.add_argument("--peers", nargs="+", default=USUAL, choices=PEERS, metavar="PEER",
                        help=", ".join(PEERS))  # fmt: skip
    parser.add_argument("--peer-epochs", type=int, help="at most; default: to its recipe's end")
    parser.add_argument("--peer-kept", action="store_true", help="do not run it, take what is kept")
    parser.add_argument("--peer-users", type=int, help="to try the script; speed-trial.md")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for propense")
    return parser.parse_args()


def versions(peers: list[str]) -> dict[str, str]:
    """The version of each peer's library."""
    packages = {PEERS[name].environment: PEERS[name].package for name in peers}
    return {name: environments.version(name, package) for name, package in packages.items()}


def run_peer(chosen: argparse.Namespace, name: str) -> dict[str, Any]:
    """The peer to its end. Raises RuntimeError with its last words if it fails."""
    peer = PEERS[name]
    words = [
        "--data", chosen.data, "--folder", DATA, *peer.words,
        "--epochs", chosen.peer_epochs or peer.most_epochs, "--patience", peer.patience,
        "--threads", chosen.threads, "--seed", chosen.seed,
        *(("--users", chosen.peer_users) if chosen.peer_users else ()),
    ]  # fmt: skip
    command = [str(environments.interpreter(peer.environment)), str(HERE / "peers" / peer.script)]
    file = curve_file(chosen, name)
    log = file.with_suffix(".log")
    file.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors, file.open("w") as stream, subprocess.Popen(
        [*command, *map(str, words)], stdout=subprocess.PIPE, stderr=errors, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(chosen.threads)},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        for text in child.stdout:
            print(f"{name}: {text}", end="", flush=True)
            if text.startswith("{"):
                stream.write(text)
                stream.flush()
    if child.returncode:
        result = "\n".join(log.read_text().splitlines()[-15:])
        raise RuntimeError(f"{peer.name} ended with {child.returncode}:\n{result}")
    return read_peer(chosen, name)


def curve_file(chosen: argparse.Namespace, name: str) -> Path:
    """Where the peer's passes are kept, a JSON line each."""
    suffix = "-trial" if chosen.peer_users else ""
    return OUT / "peers" / f"{chosen.data}-{name}{suffix}.jsonl"


def read_peer(chosen: argparse.Namespace, name: str) -> dict[str, Any]:
    """The kept passes. Raises RuntimeError if there are none, or none with as many threads."""
    file = curve_file(chosen, name)
    texts = file.read_text().splitlines() if file.exists() else []
    lines = [json.loads(text) for text in texts]
    if len(lines) < 2 or lines[0]["threads"] != chosen.threads:
        raise RuntimeError(f"no pass of {name} with {chosen.threads} threads is kept in {file}")
    return summarise(PEERS[name], lines[0], lines[1:])


def summarise(peer: Peer, settings: dict[str, Any], curve: list[dict[str, Any]]) -> dict[str, Any]:
    """The peer's best pass by validation, and whether its recipe came to its end."""
    best = max(curve, key=lambda line: line["validation_ndcg"])
    last = curve[-1]
    return {
        "name": peer.name, **settings, "epochs": last["epoch"],
        "finished": last["epoch"] >= peer.most_epochs
        or last["epoch"] - best["epoch"] >= peer.patience,
        "recipe_epochs": best["epoch"] + peer.patience,
        "seconds_per_epoch": last["seconds"] / last["epoch"],
        "best_epoch": best["epoch"], "seconds_to_best": best["seconds"],
        "validation_ndcg": best["validation_ndcg"], "test_ndcg": best["test_ndcg"],
        "test_recall": best["test_recall"], "peak_mb": last["peak_mb"],
        "curve": curve,
    }  # fmt: skip


def run_propense(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """propense with its defaults, trained from the raw files and judged."""
    return _train_and_evaluate(chosen, folder, "whole", ())


def _train_and_evaluate(
    chosen: argparse.Namespace, folder: Path, name: str, more: tuple[str, ...]
) -> dict[str, Any]:
    changes = (
        f"train.seed={chosen.seed}", f"train.threads={chosen.threads}", *chosen.set, *more,
        ONE_NETWORK, 'rivals.items=["popularity"]',
    )  # fmt: skip
    # What an earlier run made must not be left out of the time, nor begun from.
    shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    run = ExampleRun(folder, changes, f"runs/{name}")
    trained = run.propense("train", "--force")
    run.propense("evaluate")
    (training,) = run.customer_model["trainings"]
    ranking = run.report["ranking"]
    (network,) = (entry for entry in ranking["models"] if entry["model"] == "network")
    seconds = [record["seconds"] for record in training["curves"]]
    return {
        "epochs": len(seconds), "best_epoch": training["passes"]["next_item"],
        "seconds_per_epoch": sum(seconds) / len(seconds), "training_seconds": sum(seconds),
        "wall_seconds": trained.seconds, "peak_mb": trained.peak_mb, "seconds": seconds,
        "validation_ndcg": [record["validation"]["ndcg"] for record in training["curves"]],
        "test_ndcg": network["metrics"]["ndcg_at_10"]["value"],
        "test_recall": network["metrics"]["recall_at_10"]["value"],
    }  # fmt: skip


def compare(
    peer: dict[str, Any], ours: dict[str, Any], chosen: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Where propense passes the peer's best; a second training stopped there confirms it on test.

    `ratio` is of training alone on both sides. `ratio_wall` sets the peer's training alone
    against all of `propense train`: reading, cleaning, encoding, training, counting.
    """
    recipe = peer["seconds_per_epoch"] * peer["recipe_epochs"]
    result: dict[str, Any] = {
        "recipe_seconds": None if peer["finished"] else recipe,
        "recipe_ratio": None if peer["finished"] else recipe / ours["wall_seconds"],
    }
    reached = seconds_to_reach(ours["seconds"], ours["validation_ndcg"], peer["validation_ndcg"])
    if reached is None:
        return {**result, "reached": False}
    epochs, seconds = reached
    stopped = _train_and_evaluate(chosen, folder, "stopped", (f"train.max_epochs={epochs}",))
    return {
        **result, "reached": True, "epochs": epochs, "seconds": seconds,
        "wall_seconds": stopped["wall_seconds"], "test_ndcg": stopped["test_ndcg"],
        "ratio": peer["seconds_to_best"] / seconds,
        "ratio_wall": peer["seconds_to_best"] / stopped["wall_seconds"],
    }  # fmt: skip


def page(record: dict[str, Any]) -> str:
    """One data set's tables."""
    ours = record["propense"]
    changes = dict(change.split("=", 1) for change in record["changes"]) or {"defaults": ""}
    sides = [*record["peers"], {"name": "propense", **ours, "settings": changes}]
    rows = [_side(side) for side in sides]
    head = ["", "settings", "s a pass", "passes", "best", "test ndcg@10", "recall@10", "peak MB"]
    parts = [
        f"## {record['data']}\n", format_machine(record["machine"]) + f", {record['threads']} "
        f"threads, seed {record['seed']}, {record['made']} UTC\n",
        PROTOCOL + (EARLIER if record["peer_kept"] else ""),
        markdown(head, rows), "", *(_verdict(peer, ours) for peer in record["peers"]),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _side(side: dict[str, Any]) -> list[Any]:
    settings = ", ".join(f"{key} {value}" for key, value in side["settings"].items())
    return [
        side["name"], settings.strip(), round(side["seconds_per_epoch"], 1), side["epochs"],
        side["best_epoch"], round(side["test_ndcg"], 4), round(side["test_recall"], 4),
        round(side["peak_mb"]),
    ]  # fmt: skip


def _verdict(peer: dict[str, Any], ours: dict[str, Any]) -> str:
    against = peer["against"]
    state = (
        "at the end of its recipe"
        if peer["finished"]
        else f"stopped after {passes(peer['epochs'])}, before its recipe ends"
    )
    sentence = (
        f"- **{peer['name']}**, {state}: validation ndcg@10 {peer['validation_ndcg']:.4f}, "
        f"test {peer['test_ndcg']:.4f}, after {peer['seconds_to_best']:.0f} s of training. "
    )
    if against["reached"]:
        sentence += (
            f"propense passes that validation ndcg@10 after {passes(against['epochs'])}, "
            f"{against['seconds']:.0f} s: **{against['ratio']:.1f} times** sooner "
            f"({against['ratio_wall']:.1f} times with all of its command, "
            f"{against['wall_seconds']:.0f} s); stopped there its test ndcg@10 is "
            f"{against['test_ndcg']:.4f}. "
        )
    else:
        sentence += f"propense did not reach it in {passes(ours['epochs'])}. "
    if against["recipe_ratio"] is not None:
        sentence += (
            "Extrapolated, not run: the peer's recipe makes at least "
            f"{passes(peer['recipe_epochs'])}, {against['recipe_seconds']:.0f} s, "
            f"{against['recipe_ratio']:.1f} times all of `propense train` "
            f"({ours['wall_seconds']:.0f} s)."
        )
    return sentence.rstrip()


def passes(n: int) -> str:
    """In words."""
    return f"{n} pass" if n == 1 else f"{n} passes"


if __name__ == "__main__":
    main()
