"""Attacks on what a customer allowed, and on what arrives late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks.harness.attackers import Target, event
from benchmarks.harness.attacks.attack import Attack, Outcome
from benchmarks.harness.attacks.identity import signed

ALL: Final = {"personalise": True, "train": True, "advertise": True}
NONE: Final = dict.fromkeys(ALL, False)


def stated(user_id: str, flags: dict[str, bool], hours: float, **more: Any) -> dict[str, Any]:
    """A message with consent, stated so many hours from now."""
    time = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    return {"type": "identify", "userId": user_id, "timestamp": time, "traits": {},
            "context": {"consent": {"purposes": flags}}, **more}  # fmt: skip


def flags_of(target: Target, user_id: str) -> dict[str, bool]:
    """What the customer allowed."""
    flags: dict[str, bool] = target.account(user_id).get("consent", {})
    return flags


def late_grants(target: Target, outcome: Outcome) -> None:
    """After a refusal a grant arrives that was stated before, by each way a message can come."""
    target.send(stated("late", NONE, 0))
    yesterday = stated("late", ALL, -24)
    shared = {"batch": [{"type": "page", "userId": "late", "timestamp": yesterday["timestamp"]}],
              "context": yesterday["context"]}  # fmt: skip
    for body in (
        {"batch": [yesterday]}, shared,
        {"batch": [yesterday], "sentAt": "9999-01-01T00:00:00Z"},
        {"batch": [{**yesterday, "originalTimestamp": yesterday["timestamp"], "sentAt": "x"}]},
        {"batch": [stated("late", ALL, -24), stated("late", ALL, -1)]},
    ):  # fmt: skip
        target.ask("server", "POST", "/v1/batch", body)
    target.ask("server", "POST", "/v1/import", json.dumps(yesterday).encode())
    outcome.expect(
        flags_of(target, "late") == NONE, f"a late grant won: {flags_of(target, 'late')}"
    )
    same = stated("late", ALL, 0)
    target.send({**same, "context": {"consent": {"purposes": NONE}}}, same)
    outcome.expect(flags_of(target, "late") == NONE, "of two words at once the grant won")
    target.send(stated("late", ALL, 24 * 365))
    target.send(stated("late", NONE, 0.0))
    outcome.expect(flags_of(target, "late") == NONE, "a grant of the future outlives a refusal")
    outcome.show("refused after 9 grants")


def grants_of_pages(target: Target, outcome: Outcome) -> None:
    """The page's key grants in the name of visitors and of customers."""
    target.send(stated("silent", NONE, -1))
    for user_id in ("silent", "fresh"):
        body = stated(user_id, ALL, 0) | signed(target, user_id)
        for route in ("identify", "track", "page"):
            target.visit(f"/v1/{route}", {**body, "event": "view"})
        body["context"] = {"consent": {"categoryPreferences": {"Advertising": True, "C0002": True}}}
        target.visit("/v1/identify", body)
    outcome.expect(flags_of(target, "silent") == NONE, "a page granted over a refusal")
    outcome.expect(not any(flags_of(target, "fresh").values()), "a page granted")
    target.visit("/v1/identify", stated("fresh", NONE, 0) | signed(target, "fresh"))
    outcome.expect(flags_of(target, "fresh") == NONE, "a page's refusal does not count")
    outcome.show("no grant, the refusal counts")


def unknown_categories(target: Target, outcome: Outcome) -> None:
    """Banners whose categories nobody mapped refuse."""
    banners = (
        {"functional_storage": False, "personalization_storage": False},
        {"Functional Cookies": False}, {"C9999": False}, {"\u200b": False},
        {"ad_storage": False, "unknown": False}, {"unknown": False, "Advertising": True},
    )  # fmt: skip
    for number, categories in enumerate(banners):
        user_id = f"banner-{number}"
        message = stated(user_id, {}, 0)
        message["context"] = {"consent": {"categoryPreferences": categories}}
        target.send(event(user_id, f"{user_id}-1"), message)
        flags = flags_of(target, user_id)
        refuses = flags.get("personalise") is False or "Advertising" in categories
        outcome.expect(refuses, f"{categories} means {flags}")
        policy = target.recommend(user_id).json.get("policy")
        outcome.expect(policy == "popular" or not refuses, f"{categories} gets {policy}")
    outcome.show(f"{len(banners)} banners refuse")


def erased_devices(target: Target, outcome: Outcome) -> None:
    """The next customer on the device of an erased one refuses."""
    target.visit("/v1/identify", signed(target, "former") | {"anonymousId": "device"})
    target.send(event("former", "former-1"))
    target.ask("admin", "POST", "/v1/customers/erase", {"user_id": "former"})
    reply = target.send(stated("next", NONE, 0, anonymousId="device"))
    outcome.expect(reply.n_written == 1, f"the refusal is thrown away: {reply.json}")
    outcome.expect(bool(reply.json.get("refusals")), "the id that was left out is not told")
    target.send(event("next", "next-1"))
    outcome.expect(flags_of(target, "next") == NONE, f"flags {flags_of(target, 'next')}")
    policy = target.recommend("next").json.get("policy")
    outcome.expect(policy == "popular", f"a list by {policy}")
    outcome.expect(target.n_events("former") == 0, "the erased customer is back")
    outcome.show("the refusal counts")


def late_traits(target: Target, outcome: Outcome) -> None:
    """An older word about a trait arrives after a newer one."""
    target.send(stated("moved", {}, 0, traits={"city": "new", "age": 41}))
    target.send(stated("moved", {}, -24, traits={"city": "old", "age": None}))
    traits = target.account("moved").get("traits")
    outcome.expect(traits == {"city": "new", "age": 41}, f"traits {traits}")
    outcome.show("the newer word stays")


def back_from_erasure(target: Target, outcome: Outcome) -> None:
    """An erased customer is sent again by every way, under each of its names."""
    target.send(
        {"type": "identify", "userId": "gone", "anonymousId": "gone-tablet", "traits": {"a": 1}},
        event("gone", "gone-1"), {"type": "alias", "userId": "gone", "previousId": "gone-old"},
    )  # fmt: skip
    target.recommend("gone")
    erased = target.ask("admin", "POST", "/v1/customers/erase", {"user_id": "gone-old"})
    outcome.expect(erased.status == 200, f"the erasure is answered with {erased.status}")
    for name in ("gone", "gone-tablet", "gone-old", " gone", "gone\u200b"):
        target.send(event(name, f"back-{name}"), {"type": "identify", "userId": name})
        target.send({"type": "alias", "userId": "carrier", "previousId": name})
        target.send({"type": "alias", "userId": name, "previousId": "carrier"})
        line = {"user_id": name, "action": "view", "event_id": f"line-{name}"}
        target.ask("server", "POST", "/v1/import", json.dumps(line).encode())
        target.visit("/v1/track", {"anonymousId": name, "event": "view"})
    for name in ("gone", "gone-tablet", "gone-old"):
        account = target.account(name)
        outcome.expect(not account.get("events"), f"{name} is back")
    policy = target.recommend("gone").json.get("policy")
    outcome.expect(policy == "popular", f"a list by {policy}")
    outcome.show("25 messages under 3 names, none stored")


ATTACKS: Final = (
    Attack("consent of yesterday after a refusal", "all purposes granted again", "refused",
           late_grants),
    Attack("consent granted by a page", "granted for any id", "refused", grants_of_pages),
    Attack("banners with unknown categories", "taken as consent", "refused", unknown_categories),
    Attack("refusal on the device of an erased customer", "thrown away, a personal list",
           "harmless", erased_devices),
    Attack("late traits", "the older word won", "refused", late_traits),
    Attack("an erased customer sent again", "failed", "refused", back_from_erasure),
)  # fmt: skip
