"""A rich report of an invented education platform, judged by the real code.

`make_report()` is the same every time. Run as a script it writes the page:
python tests/support/sample_report.py FOLDER
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np

from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.judging.rankings import judge_ranking
from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.metrics.propensity import auc, log_loss
from propense.evaluation.records import Epoch, Example, ExampleItem, Report, RivalNote
from propense.schemas import (
    Account,
    GoalPlan,
    GoalScores,
    PartCount,
    RankingScores,
    Rule,
    SplitPlan,
)
from propense.settings import Evaluate, Goal

DAY = 86_400
START = 1_735_689_600  # 2025-01-01
SETTINGS = Evaluate(resamples=150)
NOISE = {
    "network": 0.35, "lightgbm": 0.55, "lightgbm_raw": 1.1, "mlp": 1.0, "logistic": 1.2,
    "svm": 1.3, "tree": 1.6,
}  # fmt: skip
HOSTILE = "<script>alert('x')</script> & \"friends\""


def binary_scores(rng, plan, n_rows, offset, network_noise=0.35):
    """Scores that see the true logit through noise, and the truth itself."""
    signal = rng.normal(size=n_rows)
    truth = sigmoid(1.3 * signal + offset)
    y = (rng.random(n_rows) < truth).astype(np.float64)
    scores = {}
    for model, noise in (NOISE | {"network": network_noise}).items():
        blurred = signal + noise * rng.normal(size=n_rows)
        slope = 1.3 / (1 + noise**2)
        scores[model] = sigmoid(slope * blurred + offset)
    scores["majority"] = np.full(n_rows, y.mean())
    groups = {
        "age_band": rng.choice(
            ["18-24", "25-34", "35-44", "45+"], n_rows, p=[0.4, 0.4, 0.19, 0.01]
        ),
        "city_tier": rng.choice(["一线", "二线", "其他"], n_rows, p=[0.3, 0.3, 0.4]),
    }
    words = {column: values.astype(object) for column, values in groups.items()}
    user = np.arange(n_rows, dtype=np.int32) // 2
    return GoalScores(plan, user, y, scores, words), truth


def value_scores(rng, plan, n_rows):
    signal = rng.normal(size=n_rows)
    paid = rng.random(n_rows) < sigmoid(1.2 * signal - 2)
    y = np.where(paid, np.round(np.exp(4 + 0.5 * signal + 0.7 * rng.normal(size=n_rows)), 2), 0)
    scores = {}
    for model, noise in {"network": 0.5, "lightgbm": 0.5, "linear": 0.5}.items():
        blurred = (signal + noise * rng.normal(size=n_rows)) / (1 + noise**2)
        expected = sigmoid(1.2 * blurred - 2) * np.exp(4.3 + 0.5 * blurred)
        scores[model] = expected * y.sum() / expected.sum()
    scores["mean"] = np.full(n_rows, y.mean())
    return GoalScores(plan, np.arange(n_rows, dtype=np.int32), y, scores)


def ranking_scores(rng, n_rows, n_items=400):
    popularity = np.zeros(n_items)
    popularity[2:] = 1 / np.arange(3, n_items + 1) ** 0.8
    popularity /= popularity.sum()
    chances = np.sqrt(popularity) / np.sqrt(popularity).sum()
    relevant = rng.choice(n_items, n_rows, p=chances).astype(np.int32)
    chance = {"network": 0.34, "markov": 0.27, "ease": 0.30, "item_knn": 0.25, "popularity": 0.14}
    ranked = {}
    for model, p in chance.items():
        lists = np.argsort(rng.random((n_rows, n_items - 2)), axis=1)[:, :20].astype(np.int32) + 2
        if model == "popularity":
            lists = np.tile(np.arange(2, 22, dtype=np.int32), (n_rows, 1))
        else:
            lists = np.where(lists == relevant[:, None], n_items - 1, lists)
            hit = rng.random(n_rows) < p
            position = np.minimum(rng.geometric(0.25, n_rows) - 1, 19)
            lists[hit, position[hit]] = relevant[hit]
        ranked[model] = lists
    return RankingScores(
        user=np.arange(n_rows, dtype=np.int32) // 3,
        item_offsets=np.arange(n_rows + 1),
        items=relevant,
        ranked=ranked,
        n_items=n_items,
        popularity=popularity,
        seconds={"network": 4.1, "markov": 0.3, "ease": 1.9, "item_knn": 0.8, "popularity": 0.1},
    )


PLANS = {
    "pay": GoalPlan("pay", "binary", 30 * DAY,
                    "pays within 30 days, among customers active within 90 days"),
    "churn": GoalPlan("churn", "binary", 30 * DAY, "does nothing at all within 30 days"),
    "upgrade": GoalPlan("upgrade", "binary", 30 * DAY, "takes a yearly plan within 30 days"),
    "spend": GoalPlan("spend", "value", 90 * DAY, "spends within 90 days, refunds net"),
}  # fmt: skip


@cache
def make_goals():
    rng = np.random.default_rng(7)
    goals, truth = [], {}
    shapes = {"pay": (-3.0, 0.35, 5000), "churn": (0.8, 0.6, 3000), "upgrade": (-5.2, 0.35, 3000)}
    for name, (offset, noise, n_rows) in shapes.items():
        validation, _ = binary_scores(rng, PLANS[name], n_rows, offset, noise)
        test, p_true = binary_scores(rng, PLANS[name], n_rows, offset, noise)
        goal = Goal(action=name, within="30d")
        if name == "churn":
            goal = Goal(absent="*", within="30d", cost=2.0, benefit=5.0)
        goals.append(judge_goal(validation, test, goal, SETTINGS, rng))
        network = test.scores["network"]
        truth[name] = {
            "AUC of the truth": auc(test.y, p_true),
            "AUC of the network": auc(test.y, network),
            "log loss of the truth": log_loss(test.y, p_true),
            "log loss of the network": log_loss(test.y, network),
        }
    spend = [value_scores(rng, PLANS["spend"], 3000) for _ in range(2)]
    goals.append(judge_goal(spend[0], spend[1], Goal(value_of="pay", within="90d"), SETTINGS, rng))
    return tuple(goals), truth


@cache
def make_ranking():
    rng = np.random.default_rng(8)
    return judge_ranking(ranking_scores(rng, 2400), ranking_scores(rng, 2400), SETTINGS, rng)


def make_accounts():
    return [
        Account("events", 2_113_480, 2_041_377, [
            Rule("exact duplicate", dropped=31_205, note="equal in every column"),
            Rule("near duplicate", dropped=18_440, note="within 1s"),
            Rule("bot", dropped=14_902, note="over 5000 events on one day"),
            Rule("clock skew", dropped=6_210, mended=1_204, note="after the last plausible event"),
            Rule("impossible value", dropped=1_346),
            Rule("action spelling", mended=88_310),
        ]),
        Account("users", 100_412, 100_000, [Rule("duplicate id", dropped=412)]),
        Account("items", 398, 398, []),
    ]  # fmt: skip


def make_plan():
    def count(part, events, users, rows, pay, churn):
        return PartCount(
            part, events, users, rows,
            positives={"pay": pay, "churn": churn},
            labelled={"pay": rows, "churn": rows},
        )  # fmt: skip

    return SplitPlan(
        by="time", timed=True, goals=list(PLANS.values()),
        counts=[
            count("train", 1_633_101, 88_204, 812_330, 48_700, 512_004),
            count("validation", 306_206, 61_120, 152_400, 9_210, 97_120),
            count("test", 102_070, 40_310, 61_200, 3_702, 39_004),
        ],
        validation_from=START + 220 * DAY, test_from=START + 280 * DAY, end=START + 340 * DAY,
        notes=["as-of moments every 7 days"],
    )  # fmt: skip


def make_curves():
    epochs = []
    for epoch in range(1, 25):
        fall = np.exp(-epoch / 6)
        epochs.append(
            Epoch(
                epoch=epoch, seconds=31.0 + epoch % 3, train_loss=5.2 + 1.9 * fall,
                validation={
                    "pay log_loss": 0.19 + 0.06 * fall + 0.0004 * max(0, epoch - 17) ** 1.4,
                    "ndcg_at_10": 0.17 - 0.12 * fall - 6e-4 * max(0, epoch - 17),
                },
                best=["pay log_loss"] * (epoch == 17) + ["ndcg_at_10"] * (epoch == 19),
            )
        )  # fmt: skip
    return epochs


COURSES = (
    "Python 入门", "Data analysis with SQL", HOSTILE, "机器学习基础", "Spoken English A2",
    "产品经理实战", "Watercolour for beginners", "Excel 高效办公",
)  # fmt: skip


def make_examples():
    courses = COURSES
    rng = np.random.default_rng(1)
    examples = []
    for number in range(4):
        picks = rng.permutation(len(courses))
        history = [ExampleItem(title=courses[p], note="view") for p in picks[:4]]
        shown = [
            ExampleItem(title=courses[p], hit=bool(rank == number % 3))
            for rank, p in enumerate(picks[3:])
        ]
        examples.append(Example(customer=f"u{10_482 + number}", history=history, recommended=shown))
    return examples


def make_rivals():
    notes = [
        RivalNote(model=model, goal=goal, trials=8, rows=200_000, seconds=seconds,
                  note="sampled from 812,330 rows by customer")
        for goal in ("pay", "churn")
        for model, seconds in (("logistic", 12.4), ("tree", 8.0), ("lightgbm", 64.2))
    ]  # fmt: skip
    return [*notes, RivalNote(model="ease", rows=1_633_101, seconds=9.5, note="398 items")]


def make_report() -> Report:
    goals, truth = make_goals()
    return Report(
        title="Education platform",
        version="0.1.0",
        made="2025-12-08 10:00 UTC",
        settings={"engine": "duckdb", "split": {"by": "time"}, "train": {"seed": 0}},
        accounts=make_accounts(),
        plan=make_plan(),
        curves=make_curves(),
        goals=list(goals),
        ranking=make_ranking(),
        examples=make_examples(),
        rivals=make_rivals(),
        stage_seconds={"clean": 14.2, "split": 6.0, "encode": 21.7, "train": 744.0,
                       "evaluate": 96.4, "pack": 11.3},
        truth=truth,
        truth_note="education world, seed 7",
        warnings=["identities.csv joins 214 ids to more than one customer"],
    )  # fmt: skip


if __name__ == "__main__":
    from propense.evaluation.report.card import render_card
    from propense.evaluation.report.page.render import render_page
    from propense.evaluation.report.storage import report_to_json

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    report = make_report()
    (folder / "report.html").write_text(render_page(report), encoding="utf-8")
    (folder / "model_card.md").write_text(render_card(report), encoding="utf-8")
    (folder / "report.json").write_bytes(report_to_json(report))
