"""Progress in plain lines and in bars."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from propense.cli.bars import Bars
from propense.cli.output import Output, format_clock, memory_mb
from propense.cli.progress import Lines, show_progress
from propense.progress import NoProgress


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def lines():
    stream, now = io.StringIO(), Clock()
    return Lines(stream, interval=5.0, now=now), stream, now


def test_lines_come_every_few_seconds_with_what_is_left(lines):
    progress, stream, now = lines
    progress.stage("train", "Train the customer network")
    progress.start("epoch", 100)
    for _ in range(20):
        now.seconds += 1
        progress.advance("epoch", 2, note=f"loss {now.seconds:.0f}")
    printed = stream.getvalue().splitlines()
    assert printed[0] == "train: Train the customer network"
    assert len(printed) == 1 + 4
    number = r"[\d,]+ MB"
    assert re.fullmatch(
        rf"  epoch  10/100  10%  elapsed 0:05  left 0:45  {number}  loss 5", printed[1]
    )
    assert re.fullmatch(
        rf"  epoch  40/100  40%  elapsed 0:20  left 0:30  {number}  loss 20", printed[4]
    )


def test_the_end_of_a_task_is_printed_only_if_it_was_long(lines):
    progress, stream, now = lines
    progress.start("short", 1)
    progress.finish("short")
    progress.start("long", None)
    now.seconds += 75
    progress.finish("long")
    progress.finish("never begun")
    assert stream.getvalue() == "  long  done in 1:15\n"


def test_without_a_total_nothing_is_promised(lines):
    progress, stream, now = lines
    progress.start("rows", None)
    now.seconds += 6
    progress.advance("rows", 12_345)
    assert re.fullmatch(r"  rows  12,345  elapsed 0:06  [\d,]+ MB\n", stream.getvalue())


def test_a_task_may_overrun_its_total(lines):
    progress, stream, now = lines
    progress.start("rows", 2)
    now.seconds += 6
    progress.advance("rows", 3)
    assert "3/2" in stream.getvalue() and "left" not in stream.getvalue()


def test_bars_show_stage_task_and_note():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, color_system=None)
    with Bars(console) as bars:
        bars.stage("train", "Train [the] network")
        bars.start("epoch", 10)
        bars.advance("epoch", 4, note="auc [.81]")
        bars.advance("unknown")
        bars._progress.refresh()
        bars.finish("epoch")
        bars.finish("epoch")
    shown = stream.getvalue()
    assert "train     Train [the] network" in shown
    assert "4/10" in shown and "auc [.81]" in shown and " MB" in shown


def test_what_fits_the_terminal(capsys):
    with show_progress(Output(json=False, quiet=True)) as progress:
        assert isinstance(progress, NoProgress)
    with show_progress(Output(json=True, quiet=False)) as progress:
        assert isinstance(progress, Lines)
        progress.stage("clean", "Account for every row")
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == "clean: Account for every row\n"


def test_memory_is_that_of_this_process():
    before = memory_mb()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert 150 < memory_mb() - before < 300


def test_a_clock_time_is_rounded_down():
    assert [format_clock(s) for s in (0, 59.9, 60, 3599, 86_400)] == [
        "0:00", "0:59", "1:00", "59:59", "24:00:00",
    ]  # fmt: skip
