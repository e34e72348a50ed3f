"""Attacks on who somebody is: stolen histories, ids that look alike, message ids, quotas."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final
from urllib.parse import quote

from benchmarks.harness.attackers import VISITOR, Target, event
from benchmarks.harness.attacks.attack import Attack, Outcome

LOOK_ALIKES: Final = (
    "{} ", " {}", "\t{}\n", "{}\u200b", "\ufeff{}", "{}\u00ad", '="{}"', "\u2028{}", "{}\u3000",
)  # fmt: skip
"""Spellings that are the same id once what nobody sees is removed."""
NO_IDS: Final[tuple[Any, ...]] = ([], {}, True, 1.5, 10**30, "", " ", "x" * 257, "\ud800", "a\0b")


def signed(target: Target, user_id: str) -> dict[str, Any]:
    """The fields of a customer who is signed in on a page."""
    return {"userId": user_id, "userIdSignature": target.sign(user_id)}


def make_victim(target: Target, name: str) -> None:
    """A customer with a purchase, a trait and a visitor's id, sent by the shop's server."""
    target.send(
        {"type": "identify", "userId": name, "anonymousId": f"{name}-tablet",
         "traits": {"email": "v@shop.example"}, "messageId": f"{name}-1"},
        event(name, f"{name}-2", event="pay"),
    )  # fmt: skip


def expect_unharmed(target: Target, outcome: Outcome, name: str, *thieves: str) -> None:
    """The victim has its history, and nobody else does. A visitor's id alone may begin anew, as
    somebody else's who signs in with it."""
    account = target.account(name)
    good = account.get("user_id") == name and not set(account["names"]) - {f"{name}-tablet"}
    good = good and len(account["events"]) == 1 and "email" in account["traits"]
    outcome.expect(good, f"the victim is {account.get('user_id')}, {account.get('names')}")
    for thief in thieves:
        stolen = target.account(thief)
        outcome.expect("email" not in stolen.get("traits", {}), f"{thief!r} has the traits")
        outcome.expect(name not in stolen.get("names", []), f"{thief!r} has the name")
        bought = [one for one in stolen.get("events", []) if one["action"] == "pay"]
        outcome.expect(not bought, f"{thief!r} has the purchase")


def stolen_histories(target: Target, outcome: Outcome) -> None:
    """Every call and spelling by which a page could join a customer to another."""
    make_victim(target, "victim")
    own = signed(target, "thief")
    alias = {"previousId": "victim"}
    tries: list[tuple[str, dict[str, Any]]] = [
        ("alias", {"userId": "thief", **alias}), ("a", own | alias), ("alias", own | alias),
        ("batch", {"batch": [{"type": "alias", **own, **alias}]}),
        ("batch", {"batch": [{"type": "Alias", **own, **alias}]}),
        ("identify", {"type": "alias", **own, **alias}), ("group", {**own, "groupId": "victim"}),
        ("identify", {"userId": "thief", "anonymousId": "victim"}),
        ("track", {"userId": "victim", "event": "view"}),
        ("track", {"anonymousId": "victim", "event": "view"}),
        ("identify", {"anonymousId": "victim", "traits": {"email": "x"}}),
    ]  # fmt: skip
    thieves = ["thief"]
    for spelling in ("{}", *LOOK_ALIKES):
        for name in ("victim", "victim-tablet"):
            tries.append(("identify", own | {"anonymousId": spelling.format(name)}))
        # Somebody signs up under a name that only looks like another.
        tries.append(("track", signed(target, spelling.format("victim")) | {"event": "view"})
                     if spelling != "{}" else ("i", own | {"anonymousId": "victim"}))  # fmt: skip
    for number, (route, body) in enumerate(tries):
        target.visit(f"/v1/{route}", {"messageId": f"steal-{number}", **body})
    expect_unharmed(target, outcome, "victim", *thieves)
    bought = target.send(event("victim", "after", event="pay"))
    outcome.expect(bought.n_written == 1, "the victim's next purchase is refused")
    target.ask("admin", "POST", "/v1/customers/erase", {"user_id": "thief"})
    outcome.expect(target.n_events("victim") == 2, "the thief's erasure erased the victim")
    outcome.show(f"{len(tries)} ways, none joined")


def forged_signatures(target: Target, outcome: Outcome) -> None:
    """Signatures of others, of nobody, of parts, of other types; ids of other types."""
    make_victim(target, "patient")
    good = target.sign("patient")
    forged: list[Any] = [
        "", good[:-1], good + "0", "0" * 64, target.sign("thief"), target.sign("patient "),
        [good], {"a": good}, True, 0, None, good.encode().hex(), f" {good}", f"{good}\0",
        "x" * 60_000, "\u0660" * 64, good[::-1], target.keys["page"],
    ]  # fmt: skip
    n_written = 0
    for number, signature in enumerate(forged):
        message = {"userId": "patient", "event": "view", "messageId": f"forged-{number}"}
        for body in (
            message | {"userIdSignature": signature},
            message | {"context": {"userIdSignature": signature}},
        ):
            n_written += target.visit("/v1/track", body).n_written
    for no_id in NO_IDS:
        body = json.dumps({**signed(target, "thief"), "userId": no_id, "event": "view"}).encode()
        n_written += target.visit("/v1/track", body).n_written
    outcome.expect(n_written == 0, f"{n_written} forged messages were stored")
    expect_unharmed(target, outcome, "patient")
    fields = '{"userId":"patient","userId":"thief","userIdSignature":"%s","event":"view"}'
    for name in ("thief", "patient"):
        body = (fields % target.sign(name)).encode()
        outcome.expect(target.visit("/v1/track", body).n_written == 0, "an id that is sent twice")
    outcome.show(f"{2 * len(forged) + len(NO_IDS) + 2} forgeries, none stored")


def shared_tablet(target: Target, outcome: Outcome) -> None:
    """Two customers sign in one after the other on a device whose visitor's id stays."""
    for name in ("alice", "bob"):
        target.visit("/v1/track", {"anonymousId": "tablet", "event": "view"})
        target.visit("/v1/identify", {**signed(target, name), "anonymousId": "tablet"})
        target.send(event(name, f"{name}-buys", item=name, event="pay"))
    for name in ("alice", "bob"):
        account = target.account(name)
        bought = [one["item_id"] for one in account.get("events", []) if one["action"] == "pay"]
        outcome.expect(account.get("user_id") == name, f"{name} is {account.get('user_id')}")
        outcome.expect(bought == [name], f"{name} has bought {bought}")
    outcome.show("two customers stay two")


def ids_before_use(target: Target, outcome: Outcome) -> None:
    """A visitor takes the id of a customer who comes later."""
    for number in range(3):
        target.visit("/v1/track", {"anonymousId": "later", "event": "view", "messageId": number})
    target.visit("/v1/identify", {**signed(target, "thief-2"), "anonymousId": "later"})
    target.send(event("later", "later-buys", event="pay"))
    account = target.account("later")
    good = account.get("user_id") == "later" and len(account["events"]) == 1
    outcome.expect(good, f"the customer is {account.get('user_id')}")
    outcome.show("the customer has its own purchase alone")


def message_ids(target: Target, outcome: Outcome) -> None:
    """A visitor uses the message ids of orders first, also as another kind and customer."""
    for number in range(5):
        for kind, more in (("track", {"event": "pay"}), ("page", {}), ("identify", {})):
            target.visit(f"/v1/{kind}", {"anonymousId": "guesser", "messageId": f"order-{number}"}
                         | more)  # fmt: skip
        target.send(event("other", f"order-{number}"))
    orders = [event("buyer", f"order-{number}", event="pay") for number in range(5)]
    reply = target.send(*orders)
    outcome.expect(reply.n_written == 5, f"{reply.n_written} of 5 purchases stored")
    again = target.send(*orders, {**orders[0], "event": "refund"})
    outcome.expect(again.n_written == 0, f"{again.n_written} purchases stored twice")
    outcome.expect(again.json.get("conflicts") == 1, "another message under an id is not told")
    outcome.show("5 of 5 purchases stored, once")


def spent_days(target: Target, outcome: Outcome) -> None:
    """A visitor spends the events that a customer may have a day."""
    make_victim(target, "busy")
    views = [{"type": "page", "anonymousId": "busy"} for _ in range(1_200)]
    for body in (
        {"batch": views}, {"batch": [{**one, "anonymousId": "busy-tablet"} for one in views]},
        {"batch": [{"type": "page", "userId": "busy"}] * 1_200},
    ):  # fmt: skip
        for _ in range(5):
            target.visit("/v1/batch", body)
    reply = target.send(event("busy", "busy-buys", event="pay"))
    outcome.expect(reply.n_written == 1, f"the shop's purchase: {reply.json}")
    outcome.show("the shop's purchase is stored")


def paths_of_ids(target: Target, outcome: Outcome) -> None:
    """Ids with dots and slashes in a path, written in every way, name no other customer."""
    target.send(event("u-1017", "path-1"))
    paths = [
        "x/../u-1017", "x/%2e%2e/u-1017", "x%2f..%2fu-1017", "x%2F%2E%2E%2Fu-1017", "./u-1017",
        "//u-1017", "u-1017/.", "u-1017%2f", "u-1017;x", "u-1017%00", "u-1017%0d%0a", "u-1017%20x",
        "x\\..\\u-1017", "..%c0%afu-1017", "%75-1017/../u-1017", "..", ".", "%2e%2e",
    ]  # fmt: skip
    for path in paths:
        data = (
            f"DELETE /v1/users/{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
            f"authorization: Bearer {target.keys['admin']}\r\n\r\n"
        )
        status = target.raw(data.encode())[9:12]
        outcome.expect(status[:1] == b"4", f"{path} is answered with {status!r}")
    outcome.expect(target.n_events("u-1017") == 1, "the customer is erased")
    outcome.show(f"{len(paths)} spellings, nobody erased")


def unknown_erasures(target: Target, outcome: Outcome) -> None:
    """Erasing an id that nobody has, and ids that differ from a customer's by what is unseen."""
    composed = "Ren\u00e9"
    target.send(event(composed, "rene-1"), event("Case", "case-1"))
    for user_id in ("nobody-at-all", "case", "Cas"):
        reply = target.ask("admin", "POST", "/v1/customers/erase", {"user_id": user_id})
        outcome.expect(reply.status == 404, f"{user_id!r} is answered with {reply.status}")
    path = "/v1/users/" + quote("nobody-by-path")
    target.ask("admin", "DELETE", path)
    later = target.send(event("nobody-at-all", "n-1"), event("nobody-by-path", "n-2"))
    outcome.expect(later.n_written == 2, f"an id is refused for ever: {later.json}")
    outcome.expect(target.n_events("Case") == 1, "another spelling was erased")
    decomposed = unicodedata.normalize("NFD", composed)
    target.ask("admin", "POST", "/v1/customers/erase", {"user_id": decomposed})
    outcome.expect(target.n_events(composed) == 0, "the other spelling of the letters stayed")
    outcome.show("404, and nobody refused")


def test_ids(target: Target, outcome: Outcome) -> None:
    """Ids of integration tests join no customer, and a bad one harms no neighbour."""
    make_victim(target, "real")
    test = "verify:0123456789abcdef:a"
    tries = [
        {"type": "alias", "userId": "real", "previousId": test},
        {"type": "alias", "userId": test, "previousId": "real"},
        {"type": "identify", "userId": "real", "anonymousId": test},
        {"type": "identify", "userId": test, "anonymousId": "real"},
        {"type": "identify", "userId": test, "anonymousId": "verify:fedcba9876543210:a"},
    ]
    for key in ("mixed", "verify", "server", "page"):
        for message in tries:
            reply = target.ask(key, "POST", "/v1/batch", {"batch": [message]},
                               {"x-forwarded-for": VISITOR})  # fmt: skip
            outcome.expect(reply.n_written == 0, f"{key} joined {message}")
    expect_unharmed(target, outcome, "real")
    neighbours = [event("verify:zz:x", "bad"), event("neighbour", "good")]
    reply = target.send(*neighbours, key="mixed")
    outcome.expect(reply.n_written == 1, f"a bad test id took its neighbour: {reply.json}")
    for path, body in (("/v1/recommend", {"user_id": "real"}), ("/v1/predict", {"user_id": "real"}),
                       ("/v1/customers/read", {"user_id": "real"})):  # fmt: skip
        status = target.ask("verify", "POST", path, body).status
        outcome.expect(status in (403, 404), f"a key of verify opens {path}: {status}")
    target.ask("verify", "DELETE", "/v1/verify/0123456789abcdef")
    outcome.show("no test joined, one of two neighbours stored")


ATTACKS: Final = (
    Attack("stolen histories", "two customers were one for good", "refused", stolen_histories),
    Attack("forged signatures of ids", "", "refused", forged_signatures),
    Attack("two customers on one tablet", "the first became the second", "harmless", shared_tablet),
    Attack("ids taken before they are used", "", "refused", ids_before_use),
    Attack("message ids of others", "a purchase dropped as repeated", "harmless", message_ids),
    Attack("a customer's day spent by a visitor", "the shop's purchase refused", "harmless",
           spent_days),
    Attack("ids with dots and slashes in paths", "another customer erased", "refused",
           paths_of_ids),
    Attack("erasing what nobody has", "the id refused for ever", "refused", unknown_erasures),
    Attack("ids of integration tests", "a batch lost for one bad id", "refused", test_ids),
)  # fmt: skip
