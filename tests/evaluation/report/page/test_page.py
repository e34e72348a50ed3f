"""The page: one file, escaped, in two languages, with named pictures."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess

import msgspec
import pytest

from propense.evaluation.records import Interval, Report
from propense.evaluation.report.page.charts import fit_scale, nice_ticks
from propense.evaluation.report.page.render import render_page
from propense.schemas import Account, Rule, SplitPlan
from propense.words import Text, has_text
from support.outline import Outline
from support.sample_report import HOSTILE, make_report

VOID = {"meta", "rect", "line", "circle", "polyline", "br", "i"}


@pytest.fixture(scope="module")
def page():
    return render_page(make_report())


@pytest.fixture(scope="module")
def outline(page):
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    return outline


def test_it_is_one_small_file_that_fetches_nothing(page, outline):
    assert len(page.encode()) < 400_000
    for tag, attrs in outline.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "srcset", "action", "onclick", "onload", "onerror"} & set(attrs)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp", page)
    assert all(anchor.startswith("#") for anchor in outline.anchors)


def test_the_policy_allows_only_the_page_s_own_script(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_text_of_the_data_never_becomes_markup(page):
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in page


def hostile(value):
    """The value with every text in it made hostile, except words of a fixed choice."""
    fixed = {"binary", "value", "network", "rival", "average", "time", "f1", "level", "better"}
    if isinstance(value, str):
        return value if value in fixed or has_text(f"metric.{value}") else HOSTILE
    if isinstance(value, msgspec.Struct) and not isinstance(value, Text):
        changes = {f: hostile(getattr(value, f)) for f in value.__struct_fields__}
        for field in ("outcome", "kind", "criterion", "metric", "rule", "by", "plan_kind"):
            if field in changes:
                changes[field] = getattr(value, field)
        return type(value)(**changes)
    if isinstance(value, Text):
        return Text(HOSTILE, HOSTILE + "中")
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    if isinstance(value, dict):
        return {
            (key if has_text(f"metric.{key}") or "_at_" in key else key + HOSTILE): hostile(entry)
            for key, entry in value.items()
        }
    return value


def test_not_even_where_every_text_is_hostile():
    report = make_report()
    settings = report.settings
    attacked = hostile(msgspec.structs.replace(report, settings={}))
    attacked = msgspec.structs.replace(
        attacked,
        settings={**settings, HOSTILE: HOSTILE},
        goals=[keep_models(g, h) for g, h in zip(report.goals, attacked.goals, strict=True)],
        ranking=report.ranking,
    )
    page = render_page(attacked)
    assert page.count("<script>") == 1
    assert "alert('x')" not in page
    outline = Outline()
    outline.feed(page)
    assert outline.open == []


def keep_models(goal, attacked):
    """Models are looked up by name across a goal, so those names stay; all else is hostile."""
    fields = ("models", "differences", "champion", "reliability", "gains", "confusion")
    return msgspec.structs.replace(attacked, **{field: getattr(goal, field) for field in fields})


def test_every_picture_is_named_in_both_languages(outline):
    assert len(outline.pictures) > 100
    for attrs in outline.pictures:
        assert attrs["role"] == "img" and attrs["aria-label"].strip() and attrs["data-zh"].strip()


def test_links_lead_somewhere_and_ids_are_unique(outline):
    assert len(outline.ids) == len(set(outline.ids))
    assert {anchor[1:] for anchor in outline.anchors} <= set(outline.ids)


def test_an_empty_report_is_still_a_page():
    page = render_page(Report(title="Nothing yet", version="0.1.0"))
    assert "The test part is too small" in page
    assert 'id="measured"' in page and 'id="data"' not in page


def test_data_without_times_has_no_timeline_and_unbalanced_rows_are_reported():
    report = Report(
        title="Tables",
        version="0.1.0",
        accounts=[Account("users", 10, 8, [Rule("bot", dropped=1)])],
        plan=SplitPlan(by="user", timed=False, goals=[], counts=[]),
    )
    page = render_page(report)
    assert "Rows do not balance: 10 in, 8 kept, 1 dropped." in page
    assert 'class="segment' not in page and "nobody is in two parts" in page


def test_a_hopeless_model_does_not_squeeze_the_others():
    good = [Interval(v, v - 0.01, v + 0.01) for v in (0.80, 0.81, 0.82)]
    scale = fit_scale([*good, Interval(0.5, 0.5, 0.5)], lower_is_better=False)
    assert scale.low > 0.7 and not scale.shows(0.5)
    assert all(scale.shows(entry.low) and scale.shows(entry.high) for entry in good)
    assert len(scale.ticks()) >= 2
    alone = fit_scale([Interval(1.0)], lower_is_better=False)
    assert alone.low < 1 < alone.high
    assert nice_ticks(2, 2) == [2]


@pytest.mark.browser
def test_a_browser_shows_the_language_and_theme_asked_for(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    address = file.as_uri() + "?lang=zh&theme=dark"
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=120)
    root = re.search(r"<html[^>]*>", done.stdout)
    assert root is not None
    for wanted in ('lang="zh-Hans"', 'data-lang="zh"', 'data-theme="dark"'):
        assert wanted in root[0]
    pressed = re.findall(r'value="(\w+)"[^>]*aria-pressed="true"', done.stdout)
    assert pressed == ["zh", "dark"]
