"""What each verb does, with the flow itself left out where it would take minutes."""

from __future__ import annotations

import io
import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from propense.cli import main, output
from propense.pipeline.verification import Verification
from propense.pipeline.verification.judging import Check
from propense.schemas import RunFolder

TRUTH = {
    "pay": {"n": 90.0, "pearson": 0.876, "auc": 0.8, "auc_truth": 0.9},
    "items": {"n": 5.0, "captured_at_10": 0.42, "ideal": 0.6, "popularity": 0.1},
    "churn": {"n": 90.0, "pearson": None},
}

REPORT = SimpleNamespace(truth=TRUTH, goals=[], ranking=None, verdict=None, examples=[])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


@pytest.fixture
def shop(here):
    (here / "propense.toml").write_text('run = "runs/one"\n[users]\npath = "users.csv"\n')
    return here


@pytest.fixture
def flow(monkeypatch):
    """The calls that would have run the pipeline."""
    calls = []

    def fake(settings, output, until=None, force=False, with_curve=False):
        calls.append((settings, until, force))
        root = RunFolder(Path(settings.folder) / settings.run)
        return SimpleNamespace(
            run=root, report=REPORT, bundle=Path("shelf/v0001"),
            promotion=None,
            learning_curve=None,
            stage_seconds={"split": 61.0, "train": 3700.4}, skipped=["clean"],
        )  # fmt: skip

    monkeypatch.setattr("propense.cli.flow.run_pipeline", fake)
    monkeypatch.setattr("propense.cli.demo.run_pipeline", fake, raising=False)
    return calls


def write_events(folder):
    folder.mkdir()
    rows = [
        f"u{n % 7},c{n % 3},{'pay' if n % 5 == 0 else 'view'},2025-{1 + n // 28:02}-{1 + n % 28:02}"
        for n in range(300)
    ]
    (folder / "events.csv").write_text("\n".join(["user_id,course_id,action,event_time", *rows]))


def test_init_writes_settings_that_can_be_read(here, capsys):
    write_events(here / "data")
    assert main(["init", "data", "--json"]) == 0
    out = capsys.readouterr()
    printed = json.loads(out.out)
    assert printed["roles"] == {"data/events.csv": "events"}
    assert "next: propense check" in out.err
    raw = tomllib.loads((here / "propense.toml").read_text())
    (source,) = raw["sources"].values()
    assert source["columns"]["item_id"] == "course_id"


def test_init_in_words(here, capsys):
    write_events(here / "data")
    assert main(["init", "data"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wrote propense.toml\n\nRoles\n  events      data/events.csv")


def test_init_writes_over_nothing(shop, capsys):
    write_events(shop / "data")
    before = (shop / "propense.toml").read_text()
    assert main(["init", "data"]) == 2
    assert "'propense.toml' exists already" in capsys.readouterr().err
    assert (shop / "propense.toml").read_text() == before
    assert main(["init", "data", "--force"]) == 0
    assert (shop / "propense.toml").read_text() != before


def test_init_names_the_folder_that_is_not_there(here, capsys):
    write_events(here / "data")
    assert main(["init", "data", "--settings", "nowhere/propense.toml"]) == 2
    assert f"folder {str(here / 'nowhere')!r}" in capsys.readouterr().err


@pytest.mark.parametrize(("among", "code"), [("ever view", 0), ("ever purchase", 1)])
def test_check_says_whether_a_run_can_be(among, code, here, capsys):
    write_events(here / "data")
    (here / "propense.toml").write_text(
        f"""[sources.app]
        events = "data/events.csv"
        columns = {{ item_id = "course_id" }}
        [goals.pay]
        action = "pay"
        within = "7d"
        among = "{among}"
        """
    )
    if code == 0:
        assert main(["check", "--quiet"]) == code
        out = capsys.readouterr()
        assert out.err == "" and "The data " in out.out
    else:
        assert main(["check", "--json"]) == code
        out = capsys.readouterr()
        assert json.loads(out.out)["worst"] == "error"
        assert out.err.startswith("examining the data of propense.toml")
    assert not (here / "runs/main/clean").exists(), "nothing is made"


def test_run_in_words(shop, flow, capsys):
    assert main(["run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  clean     up to date",
        "  split     1:01",
        "  train     1:01:40",
        f"run     {shop / 'runs/one'}",
        f"report  {shop / 'runs/one/evaluation/report.html'}   (open it with: propense report)",
        "bundle  shelf/v0001",
    ]


def test_run_for_machines(shop, flow, capsys):
    assert main(["run", "--json", "--until", "train", "--force"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["stage_seconds"] == {"split": 61.0, "train": 3700.4}
    assert printed["skipped"] == ["clean"]
    assert printed["bundle"] == "shelf/v0001"
    assert printed["report"] == str(shop / "runs/one/evaluation/report.html")
    assert flow[0][1:] == ("train", True)


@pytest.mark.parametrize(
    "stage", ["clean", "split", "encode", "train", "rivals", "evaluate", "pack"]
)
def test_a_stage_is_run_up_to(stage, shop, flow):
    (shop / "runs/one/clean").mkdir(parents=True)
    (shop / "runs/one/clean/account.json").write_text("[]")
    words = [stage, "--set", "train.max_epochs=3", "--set", "model.size=small", "--quiet"]
    assert main(words) == 0
    ((settings, until, force),) = flow
    assert (until, force) == (stage, False)
    assert (settings.train.max_epochs, settings.model.size) == (3, "small")


def test_report_is_opened_or_its_path_is_printed(shop, capsys, monkeypatch):
    assert main(["report"]) == 2
    assert "runs/one/evaluation/report.html" in capsys.readouterr().err
    page = shop / "runs/one/evaluation/report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<html>")
    page.with_suffix(".json").write_text('{"goals": {}}')
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    for words in (["report", "--no-open"], ["report"]):
        assert main(words) == 0
        assert capsys.readouterr().out == f"{page}\n"
    assert opened == [], "no window without a display"
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("sys.platform", "linux")
    assert main(["report"]) == 0
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", f"opened {page}\n")
    assert opened == [page.as_uri()]
    assert main(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"goals": {}}


def test_where_windows_can_be_shown(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert output.has_display()
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4")
    assert not output.has_display()


def test_demo_generates_once(here, flow, capsys, monkeypatch):
    # The flow is a stand-in here, so that there is no bundle to serve.
    verification = Verification("v0001", [Check("pay: auc", 0.8, 0.8, 1e-5)])
    monkeypatch.setattr("propense.cli.demo._verify", lambda *_: verification)
    assert main(["demo", "--users", "30", "--no-open", "--json"]) == 0
    out = capsys.readouterr()
    assert "generate: An education platform of 30 users" in out.err
    assert json.loads(out.out)["report"].endswith("demo/runs/main/evaluation/report.html")
    assert json.loads(out.out)["truth"] == TRUTH
    assert json.loads(out.out)["deployed"]["verified"] is True
    facts = here / "demo/truth/world.json"
    written = facts.stat().st_mtime_ns
    assert main(["demo", "--users", "30", "--no-open"]) == 0
    assert facts.stat().st_mtime_ns == written
    assert len(flow) == 2
    printed = capsys.readouterr().out.splitlines()
    assert "verified: v0001 answers as reported" in printed
    first = printed.index("Compared with the truth of this platform, on the test part")
    assert printed[first : first + 3] == [
        "Compared with the truth of this platform, on the test part",
        "  pay    AUC 0.800; the true probabilities reach 0.900; correlation with them 0.88",
        (
            "  items  ten items cover 42.0% of what customers want next; the ideal list 60.0%, "
            "the most popular items 10.0%"
        ),
    ]
    assert printed[-5:] == [
        "Next",
        "  cd demo",
        "  propense report             read why, with every interval",
        "  propense score --user ID    what to show one customer, and how likely they pay",
        "  propense serve --first-key  answer over HTTP; docs/serving.md continues from here",
    ]
    assert main(["demo", "--users", "31"]) == 2
    assert "has a platform of 30 users, not of 31" in capsys.readouterr().err


def test_demo_touches_no_folder_of_yours(here, flow, capsys):
    (here / "mine").mkdir()
    (here / "mine/propense.toml").write_text("[users]\npath = 'x.csv'\n")
    assert main(["demo", "--folder", "mine", "--no-open"]) == 2
    assert "'mine' has a propense.toml that no demo wrote" in capsys.readouterr().err
    assert flow == []


def test_score_writes_a_file_in_the_asked_form(shop, monkeypatch, capsys):
    asked = []

    def score_all(settings, out, kind, progress, lists):
        asked.append((settings.run, out, kind))
        return 1234

    monkeypatch.setattr("propense.inference.batch_scoring.score_all", score_all)
    for words in ([], ["--out", "a/b.csv"], ["--out", "b.csv", "--format", "parquet"]):
        assert main(["score", *words]) == 0
    assert asked == [
        ("runs/one", Path("scores.parquet"), "parquet"),
        ("runs/one", Path("a/b.csv"), "csv"),
        ("runs/one", Path("b.csv"), "parquet"),
    ]
    assert capsys.readouterr().out.splitlines()[0] == "1,234 customers scored: scores.parquet"
    assert main(["score", "--format", "csv", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"out": "scores.csv", "format": "csv", "users": 1234}


def test_score_of_one_user(shop, monkeypatch, capsys):
    answer = {
        "user_id": "u-7", "as_of": datetime(2025, 3, 1, tzinfo=UTC), "n_events": 1200,
        "goals": {"pay": 0.25, "spend": 12.5}, "thresholds": {"pay": 0.2, "spend": None},
        "items": [{"item_id": "c-1", "title": "线性代数", "score": 0.5},
                  {"item_id": "c-2", "title": "", "score": 0.125}],
        "bundle": "v0001",
    }  # fmt: skip
    monkeypatch.setattr(
        "propense.inference.batch_scoring.score_user", lambda settings, user, lists: answer
    )
    assert main(["score", "--user", "u-7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "u-7: 1,200 events, bundle v0001",
        "  pay             0.2500   (threshold 0.2000)",
        "  spend           12.5000",
        "    1. 线性代数  [c-1]  0.5000",
        "    2. c-2  [c-2]  0.1250",
    ]
    assert main(["score", "--user", "u-7", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["as_of"] == "2025-03-01T00:00:00Z"
    assert printed["goals"] == {"pay": 0.25, "spend": 12.5}


@pytest.mark.parametrize(("typed", "answer"), [("\n", "day"), ("7\n2\n", "month"), ("", None)])
def test_init_asks_at_a_terminal(
    typed: str, answer: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"u{i % 9},{i % 12 + 1:02d}/{i % 11 + 1:02d}/2024" for i in range(200)]
    (tmp_path / "log.csv").write_text("user_id,date\n" + "\n".join(rows) + "\n")
    stdin = io.StringIO(typed)
    monkeypatch.setattr("propense.cli.data._at_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", stdin)
    settings = tmp_path / "propense.toml"
    assert main(["init", str(tmp_path), "--settings", str(settings)]) == 0
    raw = tomllib.loads(settings.read_text("utf-8"))
    assert raw["sources"]["log"].get("date_order") == answer
    assert raw.get("open_questions") == (None if answer else ["sources.log.date_order"])
