"""Two worlds where the network should not win: the report has to say so."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.proof import BIN, Proof, measure

KIND = "truth"
CLAIM = "where nothing lies in the order of events the report says that the simpler model suffices"
WORLDS = ("generate_no_sequence", "generate_no_heterogeneity")
GENERATE = (
    "import sys; from pathlib import Path; from propense.worlds import small; "
    "getattr(small, sys.argv[2])(Path(sys.argv[1]))"
)


def prove() -> Proof:
    """`propense run` with its defaults on each; every goal's verdict, AUC beside the truth."""
    lines, good = [], True
    for world in WORLDS:
        with tempfile.TemporaryDirectory() as folder:
            made = measure(BIN / "python", "-c", GENERATE, folder, world)
            done = measure(
                BIN / "propense", "run", "--until", "evaluate", "--quiet", cwd=Path(folder)
            )
            if made.code or done.code:
                return Proof(CLAIM, KIND, "fail", (done if done.code else made).tail)
            (page,) = Path(folder).glob("runs/*/evaluation/report.json")
            report = json.loads(page.read_bytes())
            truth = json.loads((Path(folder) / "truth" / "world.json").read_bytes())["auc"]
        for goal in report["goals"]:
            verdict, name = goal["verdict"], goal["name"]
            good = good and verdict["outcome"] in ("level", "worse")
            of = {entry["model"]: entry["metrics"]["auc"]["value"] for entry in goal["models"]}
            rival = goal["champion"]["rival"]
            lines.append(
                f"{world.removeprefix('generate_')} {name}: {verdict['headline']['en']} AUC "
                f"network {of['network']:.4f}, {rival} {of[rival]:.4f}, truth {truth[name]:.4f}"
            )
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), "level or worse")
