"""Bodies hold what they have sent, no more, and one sender never all of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from propense.web.bodies import NoRoomError, Room, check_length, read_body
from propense.web.problems import Problem


def pieces(*bodies: bytes) -> Any:
    left = list(bodies)

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return receive


def test_bodies_that_drip_take_no_room_from_others() -> None:
    held: Counter[str] = Counter()
    dripping = [Room(held, "import", "page", 100, 50) for _ in range(8)]
    for room in dripping:
        room.take(1)
    own = Room(held, "import", "operator", 100, 50)
    assert asyncio.run(read_body(pieces(b"x" * 20, b"y" * 20), 100, own)) == b"x" * 20 + b"y" * 20
    assert held == {"import": 48, "import page": 8, "import operator": 40}
    with pytest.raises(NoRoomError):
        dripping[0].take(43)
    for room in (own, *dripping):
        room.release()
    assert not held


def test_one_sender_has_half_and_the_pool_an_end() -> None:
    held: Counter[str] = Counter()
    Room(held, "import", "page", 100, 50).take(50)
    with pytest.raises(NoRoomError):
        Room(held, "import", "page", 100, 50).take(1)
    Room(held, "import", "", 100, 50).take(50)
    with pytest.raises(NoRoomError):
        Room(held, "import", "other", 100, 50).take(1)


@pytest.mark.parametrize("declared", [b"101", b"9" * 5_000])
def test_a_length_too_large_is_refused_unread(declared: bytes) -> None:
    with pytest.raises(Problem) as refused:
        check_length({b"content-length": declared}, 100)
    assert refused.value.status == 413
    assert check_length({b"content-length": b"7"}, 100) == 7
    assert check_length({b"content-length": b"7", b"content-encoding": b"gzip"}, 100) == 100
    assert check_length({}, 100) == check_length({b"content-length": b"-1"}, 100) == 100
