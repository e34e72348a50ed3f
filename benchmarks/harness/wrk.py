"""Load by wrk, which takes less of a core than Python: https://github.com/wg/wrk."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRK = """
local lines = {}
for line in io.lines("%(bodies)s") do lines[#lines + 1] = line end
local at = 0
request = function()
  at = at %% #lines + 1
  return wrk.format("POST", nil, {["content-type"] = "application/json",
    ["authorization"] = "Bearer %(key)s"}, lines[at])
end
done = function(summary, latency, requests)
  io.write(string.format('{"seconds": %%f, "requests": %%d, "refused": %%d, "lost": %%d, '
    .. '"p50": %%f, "p90": %%f, "p99": %%f, "p99.9": %%f}\\n',
    summary.duration / 1e6, summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3))
end
"""
"""Every answer that is no 2xx or 3xx counts as refused."""


@dataclass(frozen=True)
class Wrk:
    """The counts of wrk: https://github.com/wg/wrk."""

    rate: float
    """Good answers a second."""
    ms: dict[str, float]
    """Percentile -> milliseconds."""
    refused: int
    lost: int


def has_wrk() -> bool:
    """Whether wrk is installed: apt-get install wrk."""
    return shutil.which("wrk") is not None


def run_wrk(
    url: str, path: str, key: str, messages: Sequence[Any], connections: int, seconds: float
) -> Wrk:
    """POST the messages in turn from one thread of wrk, which takes less of a core than Python.

    Raises RuntimeError where wrk is missing or fails.
    """
    if not has_wrk():
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        bodies, script = Path(folder) / "bodies", Path(folder) / "post.lua"
        lines = [json.dumps(message, separators=(",", ":")) for message in messages]
        bodies.write_text("\n".join(lines) + "\n")
        script.write_text(WRK % {"bodies": bodies, "key": key})
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s",
             "-s", str(script), url + path],
            capture_output=True, text=True,
        )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode or not last[0].startswith("{"):
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}"[-800:])
    counts = json.loads(last[0])
    good = counts["requests"] - counts["refused"]
    ms = {name: counts[name] for name in ("p50", "p90", "p99", "p99.9")}
    return Wrk(good / counts["seconds"], ms, counts["refused"], counts["lost"])
