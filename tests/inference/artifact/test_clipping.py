"""A whole history is held as its events are one by one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.encoding.history import history_of
from propense.encoding.vocabulary import Vocabulary
from propense.history.records import LiveEvent
from propense.inference.artifact.clipping import Clipper
from propense.inference.artifact.reference_profile import ANY, Bounds, micro_range

ACTIONS = Vocabulary(("view", "pay"))
ENCODER = SimpleNamespace(
    actions=ACTIONS, items=Vocabulary(("a", "b")), sources=Vocabulary(("app",)), timed=True
)
BOUNDS = Bounds(
    values={"pay": micro_range((0.0, 200.0)), ANY: micro_range((-50.0, 400.0))},
    counts={"pay": (0.0, 4.0), ANY: (0.0, 8.0)},
)
EVENTS = st.lists(
    st.builds(
        LiveEvent,
        event_time=st.integers(0, 5).map(lambda second: second * 1_000_000),
        action=st.sampled_from(["view", "pay", "teleport"]),
        item_id=st.sampled_from(["a", "b", "z", None]),
        # Whole units: a micro-unit above a bound is the bound in float32.
        value=st.none() | st.integers(-10_000, 10_000).map(lambda unit: unit * 1_000_000),
        count=st.none() | st.floats(0, 20, width=16),
        source=st.sampled_from(["app", None]),
    ),
    max_size=12,
)


def encode(events):
    return history_of(
        [{name: getattr(event, name) for name in event.__struct_fields__} for event in events],
        ENCODER, ["someone"] if not events else None,
    )  # fmt: skip


def rows_of(histories):
    rows = np.stack([
        histories.time, histories.action, histories.item, histories.value, histories.count
    ])  # fmt: skip
    return rows[:, np.lexsort(rows)]


@pytest.mark.parametrize("bounds", [BOUNDS, Bounds()])
@given(events=EVENTS)
def test_a_history_is_held_as_its_events(bounds, events):
    held, n_clipped = Clipper(bounds, ACTIONS).clip(encode(events))
    wanted = [bounds.clip_event(event) for event in events]
    expected = encode(wanted)
    # Simultaneous events whose values meet at a bound may change their order among themselves.
    np.testing.assert_array_equal(rows_of(held), rows_of(expected))
    assert held.value.dtype == held.count.dtype == np.float32
    changed = sum(after is not before for before, after in zip(events, wanted, strict=True))
    assert n_clipped == changed


def test_what_lies_inside_is_the_same_object():
    histories = encode([LiveEvent(0, "pay", "a", 199_000_000, 4.0, "app")])
    assert Clipper(BOUNDS, ACTIONS).clip(histories) == (histories, 0)
