"""The list of attacks, and the table of what became of them."""

from __future__ import annotations

from benchmarks.harness.attackers import STORES, Cost
from benchmarks.harness.attacks.attack import LONGEST_MS, Attack, Outcome
from benchmarks.proofs.serving.attacks import ATTACKS, table


def test_every_attack_has_a_name_and_stores() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
    assert all(attack.stores and set(attack.stores) <= set(STORES) for attack in ATTACKS)
    assert not any("|" in f"{attack.name}{attack.was}" for attack in ATTACKS)


def test_an_outcome_has_its_faults() -> None:
    outcome = Outcome()
    outcome.bound(Cost(LONGEST_MS, 1.0, {200}, 9))
    outcome.expect(True, "no fault")
    assert outcome.faults == [] and outcome.figures == ["500 ms, +1 MB"]
    outcome.bound(Cost(LONGEST_MS + 1, 1.0, {200, 0}, 9))
    assert len(outcome.faults) == 2


def test_the_table_names_what_succeeded() -> None:
    attack = Attack("lists", "2.7 s", "refused", lambda target, outcome: None)
    good, bad = Outcome(figures=["1 ms", "0 MB"]), Outcome(faults=["stood still"])
    outcomes = {("lists", "sqlite"): good, ("lists", "redis"): bad}
    assert table([attack], STORES, outcomes)[2] == (
        "| lists | 2.7 s | refused: 1 ms, 0 MB | - | NOT refused: stood still |"
    )
