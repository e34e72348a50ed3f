"""Sources whose names TOML must quote: their questions, answers and errors name them right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trials import command

EVENTS = "user_id,action,event_time,value\nu1,pay,2024-01-13,1.250\nu2,pay,2024-01-14,3.500\n"


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["my.shop", "my shop", "a]b", "shop.v1.2"])
def test_a_source_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "e.csv").write_text(EVENTS)
    toml = f'[sources."{name}"]\nevents = "e.csv"\n'
    (tmp_path / "propense.toml").write_text(toml)
    asked = command(tmp_path, "clean", "--json")
    assert asked.code == 3 and f'in [sources."{name}"]:' in asked.error, asked.error
    assert command(tmp_path, "clean", "--json", "--accept-guesses").code == 0
    answer = f'sources."{name}".decimal=point'
    done = command(tmp_path, "clean", "--json", "--set", answer)
    assert done.code == 0 and done.money == 4.75, done.error
    key = f'"sources.\\"{name}\\".decimal"'
    listed = f'open_questions = [{key}]\n{toml}[guesses]\n{key} = "point"\n'
    (tmp_path / "propense.toml").write_text(listed)
    assert command(tmp_path, "clean", "--json").code == 3
    done = command(tmp_path, "clean", "--json", "--accept-guesses")
    assert done.code == 0 and done.money == 4.75, done.error


def test_a_fallback_of_a_source_with_blanks(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(EVENTS)
    (tmp_path / "propense.toml").write_text(
        '[sources."my shop"]\nevents = "e.csv"\nfallbacks = { value = ["valu"] }\n'
        'columns = { value = "value" }\n'
    )
    done = command(tmp_path, "clean", "--json")
    assert done.code == 1 and '[sources."my shop"] fallbacks: e.csv has no column' in done.error
