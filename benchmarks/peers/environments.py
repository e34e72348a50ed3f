"""Virtual environments of peers, each with its own pins, made once.

    python benchmarks/peers/environments.py            all of them
    python benchmarks/peers/environments.py rectools   one

NAME is pinned by requirements-NAME.txt beside this file and lies in build/peers/NAME; it is made
again when the pins or the version of Python change.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent.parent / "build" / "peers"


def names() -> list[str]:
    """The peers that have pins."""
    return sorted(file.stem.removeprefix("requirements-") for file in HERE.glob("requirements-*"))


def interpreter(name: str) -> Path:
    """Python of the peer's environment, which is made if it is not there.

    Raises ValueError for a peer without pins, RuntimeError with pip's last lines if it fails.
    """
    if name not in names():
        raise ValueError(f"no pins for the peer {name!r}; there are {', '.join(names())}")
    folder, pins = ENVIRONMENTS / name, HERE / f"requirements-{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "pins"
    wanted = _pins_hash(pins)
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--requirement", str(pins))  # fmt: skip
    stamp.write_text(wanted)
    return python


def version(name: str, package: str) -> str:
    """The version of a package in a peer's environment."""
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    return _run(str(interpreter(name)), "-c", code, package).strip()


def _pins_hash(pins: Path) -> str:
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode())
    return digest.hexdigest()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{output}")
    return done.stdout


def main() -> None:
    """Make the environments named, or all."""
    for name in sys.argv[1:] or names():
        print(f"{name:<10}{interpreter(name)}", flush=True)


if __name__ == "__main__":
    main()
