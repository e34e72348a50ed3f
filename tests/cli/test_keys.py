"""Keys, the audit log and signatures from the command line."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

from propense.cli import main
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate
from propense.security.key_ring import sign_user_id
from support.live_stores import opened_ring


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROPENSE_SECRET", raising=False)
    (tmp_path / "propense.toml").write_text('[users]\npath = "users.csv"\n')
    return tmp_path


def created(capsys, *words):
    assert main(["keys", "create", *words, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_key_is_shown_once_and_opens(shop, capsys):
    assert main(["keys", "create", "website", "--scope", "ingest", "--source", "web"]) == 0
    out = capsys.readouterr()
    assert re.fullmatch(r"pp_[a-z2-7]{8}_[\w-]{43}\n", out.out)
    assert "it is not shown again" in out.err
    with opened_ring(shop / "live") as ring:
        record = ring.check(out.out.strip(), 2_000_000_000_000_000)
    assert (record.name, record.source, sorted(record.scopes)) == ("website", "web", ["ingest"])
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert record.prefix in listed and "live" in listed and out.out.strip()[12:] not in listed


def test_keys_of_several_scopes_end_and_are_revoked(shop, capsys):
    answer = created(capsys, "console", "--scope", "read", "--scope", "admin", "--expires", "52w")
    assert answer["scopes"] == ["admin", "read"] and answer["expires"] > answer["created"]
    assert main(["keys", "revoke", answer["prefix"]]) == 0
    assert "is revoked" in capsys.readouterr().out
    assert main(["keys", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["state"] == "revoked" and "key" not in listed and "mac" not in listed
    assert main(["keys", "revoke", "aaaaaaaa"]) == 2
    assert "there is no key 'aaaaaaaa'" in capsys.readouterr().err


@pytest.mark.parametrize(("grace", "both"), [("0", False), ("2h", True)])
def test_a_rotated_key_has_its_grace(shop, capsys, grace, both):
    import time

    answer = created(capsys, "a", "--scope", "read")
    words = ["keys", "rotate", answer["prefix"], "--grace", grace, "--json", "--quiet"]
    assert main(words) == 0
    new = json.loads(capsys.readouterr().out)["key"]
    now = time.time_ns() // 1000
    with opened_ring(shop / "live") as ring:
        assert ring.check(new, now) is not None
        assert (ring.check(answer["key"], now) is not None) == both


def test_wrong_scopes_and_graces_are_one_line(shop, capsys):
    assert main(["keys", "create", "a", "--scope", "everything"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["keys", "create", "a"]) == 2
    assert "--kind page, server or admin" in capsys.readouterr().err
    answer = created(capsys, "a", "--scope", "read")
    assert main(["keys", "rotate", answer["prefix"], "--grace", "soon"]) == 2
    assert "duration 'soon'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind", "scopes"),
    [(["--kind", "page"], "page", ["ingest"]), (["--scope", "ingest"], "page", ["ingest"]),
     (["--kind", "server"], "server", ["decide", "ingest", "read"]),
     (["--kind", "server", "--scope", "ingest"], "server", ["ingest"]),
     (["--kind", "admin", "--scope", "people", "--scope", "export"], "admin",
      ["export", "people"])],
)  # fmt: skip
def test_the_kind_of_a_key(shop, capsys, words, kind, scopes):
    answer = created(capsys, "a", *words)
    assert (answer["kind"], answer["scopes"]) == (kind, scopes)
    assert ("signing_secret" in answer) == (kind == "page")


def test_a_page_key_has_origins_and_a_secret_that_signs(shop, capsys):
    answer = created(
        capsys, "a", "--kind", "page", "--origin", "https://shop.example",
        "--origin", "https://www.shop.example:443",
    )  # fmt: skip
    assert answer["origins"] == ["https://shop.example", "https://www.shop.example"]
    prefix = answer["prefix"]
    assert main(["keys", "secret", prefix]) == 0
    assert capsys.readouterr().out.strip() == answer["signing_secret"]
    assert main(["keys", "secret", prefix, "u-1017"]) == 0
    expected = sign_user_id(answer["signing_secret"], "u-1017")
    assert capsys.readouterr().out.strip() == expected
    server = created(capsys, "b", "--kind", "server")
    assert main(["keys", "secret", server["prefix"]]) == 2
    assert "only page keys have such a secret" in capsys.readouterr().err
    assert main(["keys", "create", "c", "--kind", "server", "--origin", "https://a.example"]) == 2
    assert "is for no web page" in capsys.readouterr().err
    assert main(["keys", "create", "c", "--kind", "page", "--origin", "shop.example/x"]) == 2
    assert "is not the origin of a web page" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "end"),
    [("2099-12-31", "2099-12-31T00:00:00+00:00"),
     ("2099-12-31T18:00:00+08:00", "2099-12-31T10:00:00+00:00"), ("52w", None)],
)  # fmt: skip
def test_a_key_ends(shop, capsys, text, end):
    answer = created(capsys, "a", "--kind", "server", "--expires", text)
    assert answer["expires"] == end if end else answer["expires"] > answer["created"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("soon", "is neither a date such as"), ("2099-12-31T18:00:00", "has no offset from UTC"),
     ("2001-01-01", "would never be valid"), ("2099-13-01", "is neither a date such as")],
)  # fmt: skip
def test_an_end_that_is_none_is_refused(shop, capsys, text, message):
    assert main(["keys", "create", "a", "--kind", "server", "--expires", text]) == 2
    assert message in capsys.readouterr().err


def test_keys_of_an_older_version_are_moved_and_that_is_told(shop, capsys):
    prefix = created(capsys, "new", "--kind", "server")["prefix"]
    old = {"prefix": "aaaabbbb", "mac": "AAAA", "name": "old", "scopes": ["ingest"],
           "created": 1_700_000_000_000_000}  # fmt: skip
    (shop / "live" / "keys.json").write_text(json.dumps([old]))
    assert main(["keys", "list", "--json"]) == 0
    out = capsys.readouterr()
    assert "1 of 1 keys of" in out.err and "'keys.json.moved'" in out.err
    listed = {one["prefix"]: one for one in json.loads(out.out)}
    assert listed["aaaabbbb"]["kind"] == "page" and set(listed) == {"aaaabbbb", prefix}
    assert listed["aaaabbbb"]["last_used"] is None
    assert main(["keys", "list"]) == 0
    out = capsys.readouterr()
    assert not out.err and "never used" in out.out


def test_what_is_enabled_is_named(shop, capsys):
    prefix = created(capsys, "a", "--kind", "server")["prefix"]
    assert main(["keys", "enable"]) == 2
    assert "propense keys enable PREFIX" in capsys.readouterr().err
    assert main(["keys", "enable", "--all", prefix]) == 2
    assert "propense keys enable PREFIX" in capsys.readouterr().err
    assert main(["keys", "enable", "--all"]) == 0
    assert "no key was switched off" in capsys.readouterr().out


def test_no_keys_yet(shop, capsys):
    assert main(["keys", "list"]) == 0
    assert "there are no keys; create one with: propense keys create" in capsys.readouterr().out


def test_the_audit_log_is_verified(shop, capsys):
    assert main(["audit"]) == 2
    assert "there is no audit log" in capsys.readouterr().err
    assert not (shop / "live").exists(), "looking makes nothing"
    prefix = created(capsys, "a", "--scope", "read")["prefix"]
    assert main(["keys", "revoke", prefix, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["audit", "--json"]) == 0
    earlier = capsys.readouterr().out
    (shop / "audit.json").write_text(earlier)
    assert json.loads(earlier)["verdict"]["rows"] == 4
    assert main(["audit", "--earlier", "audit.json"]) == 0
    assert capsys.readouterr().out == "4 rows unchanged\n"
    con = sqlite3.connect(shop / "live" / "audit.db")
    con.execute("UPDATE entries SET actor = 'nobody' WHERE seq = 2")
    con.commit()
    con.close()
    assert main(["audit"]) == 2
    assert "row 2 was changed" in capsys.readouterr().out
    (shop / "audit.json").write_text("{}")
    assert main(["audit", "--earlier", "audit.json"]) == 2
    assert "'audit.json' is not an output of `propense audit --json`" in capsys.readouterr().err


def test_a_key_that_cannot_be_logged_is_not_made(shop, capsys):
    created(capsys, "a", "--scope", "read")
    head = shop / "live" / "audit.head"
    head.write_bytes(head.read_bytes()[:20])
    assert main(["keys", "create", "b", "--scope", "read"]) == 2
    assert "audit log" in capsys.readouterr().err
    assert main(["keys", "list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["a"]


def test_a_bundle_is_signed_and_only_then_promoted(shop, capsys):
    bundle = shop / "shelf" / "v0001"
    bundle.mkdir(parents=True)
    (bundle / "notes.json").write_text("{}")
    write_manifest(bundle, "0.1.0", "2025-03-01T00:00:00+00:00")
    assert main(["shelf", "keygen", "keys/shelf.pem"]) == 0
    assert "[pack] public_key" in capsys.readouterr().out
    assert main(["shelf", "sign", "v0001"]) == 2
    assert "propense shelf keygen" in capsys.readouterr().err
    (shop / "propense.toml").write_text(
        '[users]\npath = "users.csv"\n'
        '[pack]\nsigning_key = "keys/shelf.pem"\npublic_key = "keys/shelf.pem.pub"\n'
    )
    assert main(["shelf", "promote", "v0001", "--reason", "x"]) == 2
    assert "is not signed" in capsys.readouterr().err
    assert main(["shelf", "sign", "v0001"]) == 0
    assert capsys.readouterr().out == "v0001 is signed\n"
    assert (bundle / "manifest.sig").stat().st_size == 64
    assert main(["shelf", "sign", "v0002"]) == 2
    assert "did you mean 'v0001'" in capsys.readouterr().err
    (bundle / "notes.json").write_text("[]")
    activate(shop / "shelf", "v0001", "first", "now")
    assert main(["shelf", "sign", "v0001", "--key", "keys/shelf.pem"]) == 2
    assert "was changed" in capsys.readouterr().err
