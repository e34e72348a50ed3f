"""A damage of a file stays where it hits."""

from __future__ import annotations

import random

import pytest

from tests.support.reading.damage import damages, read, verdict
from tests.support.trials import INPUTS

FILES = {"headless-two/data/part-00000.csv": b",", "tsv-quotes/data/events.tsv": b"\t"}


@pytest.mark.parametrize("name", list(FILES))
def test_no_damage_spreads(name: str) -> None:
    data = (INPUTS / name).read_bytes()
    whole = read(data)
    chance = random.Random(5)
    for _ in range(60):
        damage = damages(data, chance, FILES[name])
        result, words = verdict(data, whole, damage)
        assert result != "SPREAD", (damage, words)
