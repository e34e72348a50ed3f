"""A thousand damaged and forged bundles, none of which is opened."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.harness.mutations import MUTATIONS, link_copy
from benchmarks.harness.small_runs import command, measure
from benchmarks.proof import Proof
from propense.errors import BundleError
from propense.inference.artifact.manifest import sign
from propense.inference.bundle import open_bundle
from propense.security.signing import Signers, make_signing_key, read_public_keys

KIND = "safety"
N = 1_000
CLAIM = (
    f"{N:,} signed bundles damaged or forged in {len(MUTATIONS)} ways: each is refused with a "
    f"BundleError before anything of it is used"
)


def prove() -> Proof:
    """A small demo's bundle, signed, opened once as it is, then mutated by chance."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        done = measure(*command(root))
        if done.code:
            return Proof(CLAIM, KIND, "fail", f"the demo ended with code {done.code}: {done.tail}")
        bundle = next((root / "demo" / "shelf").glob("v*"))
        return mutate_all(bundle, root, N)


def mutate_all(bundle: Path, root: Path, n: int) -> Proof:
    """Mutate `bundle` `n` times in the folder `root`; it is signed first."""
    key = root / "key.pem"
    keys = read_public_keys(make_signing_key(key))
    sign(bundle, key)
    open_bundle(bundle, signers=Signers(keys))
    rng = random.Random(0)
    refused: Counter[str] = Counter()
    wrong: list[str] = []
    tried = 0
    while tried < n:
        mutate = MUTATIONS[tried % len(MUTATIONS)]
        for rest in root.glob("mutated*"):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        folder = root / "mutated" / bundle.name  # its name is signed
        link_copy(bundle, folder)
        if not mutate(folder, rng):
            continue
        tried += 1
        try:
            open_bundle(folder, signers=Signers(keys))
            wrong.append(f"{mutate.__name__}: opened")
        except BundleError:
            refused[mutate.__name__] += 1
        except Exception as error:
            wrong.append(f"{mutate.__name__}: {type(error).__name__}: {error}")
    open_bundle(bundle, signers=Signers(keys))
    figure = f"{refused.total():,} of {n:,} refused"
    if wrong:
        figure += f"; {len(wrong)} were not, first: {wrong[0][:200]}"
    return Proof(CLAIM, KIND, "fail" if wrong else "pass", figure, "all")
