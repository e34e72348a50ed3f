"""Unmodified client libraries send to `propense serve`, and everything they sent is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.proof import Proof

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients"))

from senders import SENDERS, Sender
from unreliable import unreliable

KIND = "truth"
CLAIM = (
    "unmodified Segment libraries (Python, Node, the browser's in Chromium) need a host name "
    "alone to send to propense serve; calls that fail are sent again and obeyed once"
)
MAPPED = """
[serve.events."Course Viewed"]
action = "view"
item = ["properties.course_id"]
[serve.events."Course Paid"]
action = "pay"
item = ["properties.course_id"]
"""
EVENTS = [
    ("page", None, None), ("pay", "c1", 129.9), ("screen", None, None), ("view", "c1", None),
    ("view", "c2", None),
]  # fmt: skip
LIMIT = "5 events, 4 traits, 3 names of each, once, also where every call had to be sent 3 times"
TRAITS = {"age": 31, "city": "Delft", "group_id": "school-7", "group_name": "TU"}


def prove() -> Proof:
    """One service, each library in turn; what the service holds is what the script says."""
    sent, missing, wrong = [], [], []
    with bundle_folder() as folder:
        with (folder / "propense.toml").open("a") as settings:
            settings.write(MAPPED)
        with serving(folder) as service:
            for sender in SENDERS:
                lacks = sender.missing()
                if lacks:
                    missing.append(f"{sender.name}: {lacks}")
                    continue
                sent.append(sender.name)
                wrong += [f"{sender.name}: {fault}" for fault in _faults(service, sender)]
    figure = f"{len(sent)} ways of sending: {', '.join(sent)}"
    if wrong:
        return Proof(CLAIM, KIND, "fail", "; ".join(wrong))
    if missing:
        return Proof(CLAIM, KIND, "skip", f"{figure}; not run: {'; '.join(missing)}")
    return Proof(CLAIM, KIND, "pass", figure, LIMIT)


def _faults(service: Running, sender: Sender) -> list[str]:
    """Differences from the script of calls, sent directly and through a proxy that fails."""
    differences = _differences(service, sender, service.url, sender.writer, lambda: True)
    with unreliable(service.url) as (url, tries):

        def confirmed() -> bool:
            return bool(tries) and min(tries.values()) >= 3

        again = _differences(service, sender, url, f"{sender.writer}-again", confirmed)
    few = [f"{n} tries of a call" for n in tries.values() if n < 3]
    return differences + [f"sent again: {difference}" for difference in again + few]


def _differences(
    service: Running, sender: Sender, url: str, writer: str, confirmed: Callable[[], bool]
) -> list[str]:
    """`confirmed`: whether the library has seen every message accepted."""
    user_id = f"{writer}-user"

    def arrived() -> bool:
        if not confirmed():
            return False
        status, held = service.ask("GET", f"/v1/users/{user_id}")
        return status == 200 and len(held["events"]) == len(EVENTS) and len(held["names"]) == 2

    sender.send(url, service.key, writer, arrived)
    status, held = service.ask("GET", f"/v1/users/{user_id}")
    if status != 200:
        return [f"GET /v1/users/{user_id} answers {status}: {held}"]
    events = sorted(
        ((one["action"], one.get("item_id"), one.get("value")) for one in held["events"]), key=str
    )
    faults = []
    if events != sorted(EVENTS, key=str):
        faults.append(f"events {events}")
    if held["traits"] != TRAITS:
        faults.append(f"traits {held['traits']}")
    names = {f"{writer}-anonymous", f"{writer}-old"}
    if set(held["names"]) != names:
        faults.append(f"names {held['names']}")
    status, other = service.ask("GET", f"/v1/users/{writer}-anonymous")
    if status != 200 or _events(other) != _events(held):
        faults.append(f"by its anonymous id: {status}")
    status, answer = service.ask("POST", "/v1/recommend", {"user_id": user_id})
    if status != 200 or not answer["items"]:
        faults.append(f"POST /v1/recommend answers {status}: {answer}")
    return faults


def _events(held: Any) -> Any:
    return held.get("events")
