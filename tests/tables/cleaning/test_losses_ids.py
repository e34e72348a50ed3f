"""The error of rows without a customer names a fuller column, and its line works."""

from __future__ import annotations

import re
from pathlib import Path

from support.trials import command


def test_the_line_that_the_error_gives_maps_the_fuller_id(tmp_path: Path) -> None:
    rows = [f"{f'u{k % 9}' if k % 4 == 0 else ''},c{k % 9},view,{k}" for k in range(60)]
    (tmp_path / "e.csv").write_text("\n".join(["who,cookie id,act,event_id", *rows]), "utf-8")
    settings = tmp_path / "propense.toml"
    mapping = 'columns = { user_id = "who", action = "act" }'
    settings.write_text(f'[sources.web]\nevents = "e.csv"\n{mapping}\n', "utf-8")
    done = command(tmp_path, "clean", "--json")
    assert done.code == 1
    assert "'cookie id' is filled in 60 of 60 rows, 'who' in 15" in done.error
    (line,) = re.findall(r"columns = \{.*?\}", done.error)
    settings.write_text(settings.read_text("utf-8").replace(mapping, line), "utf-8")
    done = command(tmp_path, "clean", "--json")
    assert done.code == 0, done.error
    assert len(done.events) == 60
