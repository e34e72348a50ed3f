"""What a goal asks, in Chinese, from its settings; the plan has the English sentence."""

from __future__ import annotations

import re
from typing import Final

from propense.settings import Goal

_UNITS: Final = {"s": "秒", "m": "分钟", "h": "小时", "d": "天", "w": "周"}


def ask_in_chinese(goal: Goal) -> str:
    """The question of a goal.

    >>> ask_in_chinese(Goal(action="pay", within="30d", among="active within 90d"))
    '30 天内发生“pay”，对象为 90 天内活跃的客户'
    >>> ask_in_chinese(Goal(absent="*", within="2w"))
    '2 周内没有任何事件'
    >>> ask_in_chinese(Goal(column="Churn", positive="Yes"))
    '“Churn”为“Yes”'
    """
    within = f"{_duration(goal.within)}内" if goal.within is not None else ""
    if goal.action is not None:
        question = f"{within}发生“{goal.action}”"
    elif goal.absent == "*":
        question = f"{within}没有任何事件"
    elif goal.absent is not None:
        question = f"{within}没有“{goal.absent}”"
    elif goal.value_of is not None:
        question = f"{within}“{goal.value_of}”的金额"
    elif goal.column is not None:
        question = (
            f"“{goal.column}”为“{goal.positive}”" if goal.positive is not None else goal.column
        )
    else:
        return ""
    if goal.among is None:
        return question
    conditions = [_among(word.strip()) for word in re.split(r"\band\b", goal.among)]
    return f"{question}，对象为 {'且'.join(conditions)}的客户"


def _duration(within: str) -> str:
    match = re.fullmatch(r"\s*(\d+)\s*([smhdw])\s*", within)
    return within if match is None else f"{match[1]} {_UNITS[match[2]]}"


def _among(condition: str) -> str:
    active = re.fullmatch(r"active within (.+)", condition)
    if active is not None:
        return f"{_duration(active[1])}内活跃"
    word, _, action = condition.partition(" ")
    verb = {"ever": "曾", "never": "从未"}.get(word)
    return f"{verb}“{action}”" if verb is not None else condition
