"""What is written of a report: JSON and the model card, and what is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from propense.errors import EvaluationError
from propense.evaluation.judging.champions import pick_ranking_champion
from propense.evaluation.judging.evidence import too_little
from propense.evaluation.report.card import render_card
from propense.evaluation.report.page.render import render_page
from propense.evaluation.report.storage import report_from_json, report_to_json, without_times
from propense.schemas import GoalPlan, GoalScores
from support.sample_report import make_report


def test_a_ranking_needs_the_network():
    with pytest.raises(EvaluationError, match=r"no model 'network', only \['ease'\]"):
        pick_ranking_champion({"ease": np.array([0.1])}, np.arange(1), "ndcg_at_10")


def test_json_keeps_everything_and_nan_becomes_null():
    report = msgspec.structs.replace(make_report(), stage_seconds={"train": np.float64(2.5)})
    content = report_to_json(report)
    again = report_from_json(content)
    assert again.goals == report.goals and again.ranking == report.ranking
    assert again.verdict is not None and again.stage_seconds == {"train": 2.5}
    assert report_to_json(again) == content
    assert b"NaN" not in content


def test_what_is_no_report_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="is not of this version"):
        report_from_json(b'{"title": 3}')
    with pytest.raises(EvaluationError, match=r"nothing\.json.*propense evaluate"):
        report_from_json(tmp_path / "nothing.json")
    strange = msgspec.structs.replace(make_report(), settings={"a": object()})
    with pytest.raises(EvaluationError, match="of type object cannot be written"):
        report_to_json(strange)


def test_the_card_says_it_all_and_escapes_the_data():
    report = msgspec.structs.replace(make_report(), title="<script>|")
    card = render_card(report)
    for heading in ("Intended use", "Data", "Parts", "Goal: pay", "Limits", "How to reproduce"):
        assert f"## {heading}" in card
    assert "<script>" not in card and "&lt;script&gt;\\|" in card
    assert "customer network" in card and "age\\_band" in card
    assert "Customers with a positive in test: 43" in card
    widths = {line.count(" | ") for line in card.splitlines() if line.startswith("| city")}
    assert len(widths) == 1


def test_a_report_without_times_still_draws_and_holds_no_duration():
    bare = without_times(make_report())

    def walk(node):
        if isinstance(node, dict):
            for key, value in node.items():
                assert key not in ("seconds", "stage_seconds", "made") or not value, key
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(msgspec.json.decode(report_to_json(bare)))
    assert render_page(bare)
    assert render_card(bare)


def test_many_rows_of_one_customer_are_no_proof():
    y, user = np.ones(60), np.zeros(60, np.int32)
    few = too_little(GoalScores(GoalPlan("pay", "value"), user, y, {}), 50)
    assert few is not None and "Customers with a positive in test: 1, under 50" in few.en
    assert too_little(GoalScores(GoalPlan("pay", "value"), np.arange(60), y, {}), 50) is None
