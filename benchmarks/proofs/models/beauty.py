"""amazon-beauty, leave-one-out: the network with its counts against the counting Markov chain."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.proof import BIN, ROOT, Proof, measure
from benchmarks.proofs.flow.examples import DATA

KIND = "quality"
CLAIM = "amazon-beauty, leave-one-out, full ranking, fitted on train alone: ndcg@10 in 10 minutes"
LEAST, MOST_SECONDS = 0.0523, 600


def prove() -> Proof:
    """The example's own settings, with the Markov chain as the only rival."""
    if not (DATA / "amazon-beauty").is_dir():
        return Proof(CLAIM, KIND, "skip", f"no data set at {DATA}; set PROPENSE_DATA")
    with tempfile.TemporaryDirectory() as folder:
        example = Path(folder) / "beauty"
        shutil.copytree(ROOT / "examples" / "amazon-beauty", example)
        measure(BIN / "python", example / "prepare.py", "--data", DATA, "--out", example / "data")
        trained = measure(BIN / "propense", "train", "--quiet", cwd=example)
        if trained.code:
            return Proof(CLAIM, KIND, "fail", trained.tail)
        judged = measure(
            BIN / "propense", "evaluate", "--quiet", "--set", 'rivals.items=["markov"]', cwd=example
        )
        if judged.code:
            return Proof(CLAIM, KIND, "fail", judged.tail)
        (file,) = example.glob("runs/*/evaluation/report.json")
        ranking = json.loads(file.read_bytes())["ranking"]
    ndcg = {entry["model"]: entry["metrics"]["ndcg_at_10"] for entry in ranking["models"]}
    network, markov = ndcg["network"], ndcg["markov"]
    seconds = trained.seconds + judged.seconds
    text = ", ".join(
        f"{name} {value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})"
        for name, value in (("network", network), ("markov", markov))
    )
    good = network["value"] >= LEAST and seconds <= MOST_SECONDS
    return Proof(
        CLAIM, KIND, "pass" if good else "fail", f"{text}; {seconds:.0f} s in all",
        f"network >= {LEAST}, {MOST_SECONDS} s",
    )  # fmt: skip
