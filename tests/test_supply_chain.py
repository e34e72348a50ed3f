"""What is installed is what was named: files by hash, and the same wheel from the same source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "deploy" / "requirements.lock").read_text("utf-8")
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text("utf-8")


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[._-]+", "-", match[0]).lower()


def pins(text: str) -> dict[str, str]:
    lines = (line.split(";")[0].strip(" \\") for line in text.splitlines() if "==" in line)
    return {name_of(line): line.split("==")[1] for line in lines if not line.startswith("#")}


def test_every_locked_requirement_has_hashes_and_the_version_of_the_constraints():
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert len(entries) == len(pins(LOCK))
    pinned = pins((ROOT / "constraints.txt").read_text("utf-8"))
    differ = {
        name: version
        for name, version in pins(LOCK).items()
        if pinned.get(name, version) != version
    }
    assert not differ


def test_the_lock_has_all_that_the_service_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in ("serve", "postgres", "redis"):
        needed += extras[extra]
    assert {name_of(each) for each in needed} <= set(pins(LOCK))
    assert "torch" not in pins(LOCK)


def test_the_container_installs_by_hash_and_names_its_image_once():
    assert re.search(r"--require-hashes.*requirements\.lock", CONTAINER, re.DOTALL)
    assert "--no-deps --no-build-isolation /source" in CONTAINER
    assert re.findall(r"^FROM (\S+)", CONTAINER, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert "umask 077" in CONTAINER


def test_units_bound_memory_and_tasks():
    for unit in ("propense.service", "propense-run.service"):
        text = (ROOT / "deploy" / unit).read_text("utf-8")
        assert "UMask=0077" in text
        for bound in ("MemoryMax", "TasksMax"):
            assert re.search(rf"^{bound}=\d+", text, re.MULTILINE), (unit, bound)
