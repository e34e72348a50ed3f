"""Deep learning for personalised marketing, from raw logs to the next decision."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_WHERE: dict[str, str] = {
    "PropenseError": "propense.errors",
    "read_settings": "propense.settings",
    "clean": "propense.pipeline",
    "split": "propense.pipeline",
    "encode": "propense.pipeline",
    "train": "propense.pipeline",
    "rivals": "propense.pipeline",
    "evaluate": "propense.pipeline",
    "pack": "propense.pipeline",
    "run": "propense.pipeline",
    "open_bundle": "propense.inference.bundle",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing propense does nothing."""
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module 'propense' has no attribute {name!r}") from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
