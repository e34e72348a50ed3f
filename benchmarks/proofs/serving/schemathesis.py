"""Requests made from the service's own description, sound and unsound, against a live service."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.harness.load_service import OPEN_LIMITS, PATIENT
from benchmarks.peers.environments import HERE, interpreter
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = (
    "no request that schemathesis makes from openapi.json, by its rules or against them, meets a "
    "defect, an answer that the document does not describe, or a door without a key"
)
EXAMPLES = int(os.environ.get("PROPENSE_EXAMPLES", "50"))
"""Examples of an operation."""
HOOKS = str(HERE / "schemathesis_hooks.py")
PHASES = "examples,coverage,fuzzing,stateful"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "missing_required_header", "unsupported_method", "allow_header_conformance", "ignored_auth",
    "use_after_free", "ensure_resource_availability",
)  # fmt: skip
"""All but `positive_data_acceptance`: a sound request may name a goal or an item there is none
of; and `object_level_authorization`, which takes two users: a key is the company's."""
LIMIT = f"0 failures of {len(CHECKS)} kinds of checks, {EXAMPLES} examples of what takes input"


def prove() -> Proof:
    """One service; schemathesis with a key of every scope."""
    words = [*PATIENT, *OPEN_LIMITS]
    with bundle_folder() as folder, serving(folder, *words) as service:
        code, recorded, output = _run(service)
    failures = Counter(
        check["name"]
        for one in recorded
        for checks in one["checks"].values()
        for check in checks
        if check["status"] != "success"
    )
    figure = _figure(recorded)
    if failures or code:
        summary = ", ".join(f"{check} {count}" for check, count in failures.most_common())
        figure += f"; failed: {summary or code}\n{output[-6000:]}"
        return Proof(CLAIM, KIND, "fail", figure, LIMIT)
    return Proof(CLAIM, KIND, "pass", figure, LIMIT)


def _figure(recorded: list[Any]) -> str:
    """How much was asked, and how it was answered."""
    asked: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    n_checks = 0
    for one in recorded:
        asked[one["label"]] += len(one["interactions"])
        n_checks += sum(len(checks) for checks in one["checks"].values())
        statuses.update(
            seen["response"]["status_code"]
            for seen in one["interactions"].values() if seen.get("response")
        )  # fmt: skip
    # A stateful scenario has a label of its own.
    operations = {label: count for label, count in asked.items() if " /" in label}
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return (
        f"{asked.total():,} requests, at least {min(operations.values(), default=0)} to each of "
        f"{len(operations)} operations, in the phases {PHASES}; {n_checks:,} checks; "
        f"answers {answers}"
    )


def _run(service: Running) -> tuple[int, list[Any], str]:
    """Exit code, what each scenario recorded, and what was printed."""
    tool = interpreter("schemathesis").parent / "schemathesis"
    with tempfile.TemporaryDirectory() as workdir:
        report = Path(workdir) / "events.ndjson"
        done = subprocess.run(
            [
                str(tool), "run", f"{service.url}/openapi.json", "--phases", PHASES,
                "--header", f"Authorization: Bearer {service.key}",
                "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", "0",
                "--generation-database", "none", "--continue-on-failure", "--no-color",
                "--request-timeout", "60", "--warnings", "off",
                "--report-ndjson-path", str(report),
            ],
            cwd=workdir, capture_output=True, text=True,
            env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS},
        )  # fmt: skip
        lines = report.read_text("utf-8").splitlines() if report.exists() else []
    finished = [json.loads(line).get("ScenarioFinished") for line in lines]
    recorded = [one["recorder"] for one in finished if one and "cases" in one["recorder"]]
    return done.returncode, recorded, done.stdout + done.stderr


if __name__ == "__main__":
    print(prove())
