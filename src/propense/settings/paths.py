"""Paths of settings, such as sources.shop.decimal: one text, in which TOML quotes odd names."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED: Final = r""""(?:[^"\\]|\\.)*"|'[^']*'"""
_NAME: Final = re.compile(rf"(?:^|\.)((?:{_QUOTED})(?=\.|$)|[^.]*)", re.DOTALL)
_CHANGE: Final = re.compile(rf"((?:{_QUOTED}|[^=])*?)=(.*)", re.DOTALL)


def setting_path(*names: str) -> str:
    """The path of a setting; names that are no bare keys of TOML are quoted.

    >>> setting_path("sources", "my.shop", "decimal")
    'sources."my.shop".decimal'
    """
    return ".".join(name if _BARE.fullmatch(name) else _quoted(name) for name in names)


def setting_names(path: str) -> list[str]:
    """The names of a path; other signs than dots need no quotes here.

    >>> setting_names('sources."my.shop".decimal'), setting_names("sources.my shop.decimal")
    (['sources', 'my.shop', 'decimal'], ['sources', 'my shop', 'decimal'])
    """
    return [_unquoted(name) for name in _NAME.findall(path)]


def split_change(change: str) -> tuple[str, str] | None:
    """Path and value of PATH=VALUE; None without "=" outside of quotes.

    >>> split_change('clean.placeholder_ids=["a=b"]')
    ('clean.placeholder_ids', '["a=b"]')
    """
    match = _CHANGE.fullmatch(change)
    return None if match is None else (match[1].strip(), match[2].strip())


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _unquoted(name: str) -> str:
    if name[:1] not in ("'", '"'):
        return name
    try:
        return str(tomllib.loads(f"name = {name}")["name"])
    except tomllib.TOMLDecodeError:
        return name
