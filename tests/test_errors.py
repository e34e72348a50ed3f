"""The tree of errors that the module draws is the one that Python sees."""

from __future__ import annotations

import re

from propense import errors

ENTRY = re.compile(r"^    ((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\b", re.M)


def drawn() -> dict[str, str]:
    """Error -> its parent, as in the module's docstring."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in ENTRY.findall(errors.__doc__ or ""):
        depth = len(indent) // 4 + bool(path)
        path = [*path[:depth], name]
        parents[name] = path[-2] if len(path) > 1 else "Exception"
    return parents


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        name: entry.__bases__[0].__name__
        for name, entry in vars(errors).items()
        if isinstance(entry, type) and issubclass(entry, Exception)
    }
    assert drawn() == real
