"""What the learning curve says, in sentences that claim no more than its intervals.

Every comparison is with the network of the run itself, on the same test customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from propense.evaluation.formats import format_duration, format_percent, format_signed
from propense.evaluation.records import Interval, LearningPoint, LearningTask, Text
from propense.evaluation.words import inside, metric_name

Change = Literal["better", "level", "worse", "unknown"]
SIZES: Final = ("small", "base", "large")
_EITHER: Final[dict[Change, Text]] = {
    "level": Text("this data cannot tell it from chance", "这份数据无法将其与偶然区分"),
    "unknown": Text("too few in test to tell", "测试样本太少，无法判断"),
}
SAID_OF_DATA: Final[dict[Change, Text]] = {
    "better": Text("more data helps", "更多数据有帮助"),
    "worse": Text("more data did not help", "更多数据没有帮助"),
    **_EITHER,
}
SAID_OF_SIZES: Final[dict[Change, Text]] = {
    "better": Text("better", "更好"),
    "worse": Text("worse", "更差"),
    **_EITHER,
}

_CUT: Final = Text(
    "[train] max_minutes ended its training before validation said stop",
    "[train] max_minutes 在验证集叫停之前结束了其训练",
)


def describe_data(shares: Sequence[LearningPoint]) -> list[Text]:
    """Whether more data would help: a headline, the cost, then a sentence a task.

    The headline stands alone where there is nothing to compare.
    """
    own = next(point for point in shares if point.own)
    lesser = [point for point in shares if point.share < 1]
    if not lesser:
        return [Text("Too few customers to draw a share of.", "客户太少，无法抽取一部分来比较。")]
    before = max(lesser, key=lambda point: point.share)
    changes = {task.key: read_change(before, task.key, reverse=True) for task in own.tasks}
    helped = [task for task in own.tasks if changes[task.key] == "better"]
    share = format_percent(before.share)
    if helped:
        names = _join([_name(task) for task in helped])
        headline = Text(
            f"More data helps {names.en}: quality still rose from {share} to 100 % of the "
            f"customers.",
            f"更多数据有助于{names.zh}：客户从 {share} 增至 100 % 时质量仍在提高。",
        )
    elif all(change == "unknown" for change in changes.values()):
        headline = _too_little()
    elif unfair := _unfair(own, before):
        headline = Text(
            f"Whether more data would help is not told here: from {share} to 100 % of the "
            f"customers nothing rose beyond chance, but {unfair.en}.",
            f"此处无法判断更多数据是否有帮助：客户从 {share} 增至 100 %，没有任何提升超出偶然，"
            f"但{unfair.zh}。",
        )
    else:
        headline = Text(
            f"More data of this kind is not seen to help: from {share} to 100 % of the customers "
            f"nothing rose beyond chance.",
            f"看不出更多同类数据会有帮助：客户从 {share} 增至 100 %，没有任何提升超出偶然。",
        )
    lines = [
        _sentence(
            Text(
                f"From {share} to 100 % of the customers {_possessive(task).en}",
                f"客户从 {share} 增至 100 %，{_possessive(task).zh}",
            ),
            _turned(before, task.key),
            changes[task.key],
        )
        for task in own.tasks
    ]
    return [headline, _cost(own, before, Text(share, share)), *lines]


def describe_depth(sizes: Sequence[LearningPoint]) -> list[Text]:
    """Whether a deeper network would help, or a smaller one do as well.

    A headline, the cost, then for each other size a sentence a task, sizes one after the
    other; the headline alone where there is nothing to compare.
    """
    own = next(point for point in sizes if point.own)
    others = [point for point in sizes if not point.own]
    if not others:
        return [
            Text(
                "Without events there is no sequence part, so the size changes nothing.",
                "没有事件就没有序列部分，大小不影响结果。",
            )
        ]
    rank = SIZES.index(own.size)
    near = min(others, key=lambda p: (SIZES.index(p.size) < rank, abs(SIZES.index(p.size) - rank)))
    lines = [
        _sentence(
            Text(
                f"{point.size} instead of {own.size}: {_possessive(task).en}",
                f"用 {point.size} 代替 {own.size}：{_possessive(task).zh}",
            ),
            difference_of(point, task.key),
            read_change(point, task.key),
            SAID_OF_SIZES,
        )
        for point in others
        for task in own.tasks
    ]
    headline = _deeper(own, near) if SIZES.index(near.size) > rank else _shallower(own, near)
    return [headline, _cost(near, own, Text(own.size, own.size)), *lines]


def _unfair(own: LearningPoint, before: LearningPoint) -> Text | None:
    """Why more data could not show what it is worth."""
    if own.cut_short:
        return _CUT
    if own.n_rows == before.n_rows < own.n_rows_available and all(t.goal for t in own.tasks):
        return Text(
            f"both learned from {own.n_rows:,} rows, as many as are read",
            f"两者都只从 {own.n_rows:,} 行学习，已达读取上限",
        )
    return None


def difference_of(point: LearningPoint, key: str) -> Interval:
    """The task's difference from the run's own network."""
    task = point.task_of(key)
    return task.difference if task is not None else Interval()


def read_change(point: LearningPoint, key: str, reverse: bool = False) -> Change:
    """How `point` does against the run's own network (`reverse`: how that does against it)."""
    task, found = point.task_of(key), difference_of(point, key)
    if task is None or task.few or found.low is None or found.high is None:
        return "unknown"
    if found.low <= 0 <= found.high:
        return "level"
    return "better" if (found.low > 0) != reverse else "worse"


def _turned(point: LearningPoint, key: str) -> Interval:
    found = difference_of(point, key)
    if found.value is None:
        return found
    low, high = (None if end is None else -end + 0.0 for end in (found.high, found.low))
    return Interval(-found.value + 0.0, low, high)


def _deeper(own: LearningPoint, near: LearningPoint) -> Text:
    changes = {task.key: read_change(near, task.key) for task in own.tasks}
    gained, lost = (
        [task for task in own.tasks if changes[task.key] == change]
        for change in ("better", "worse")
    )
    if all(change == "unknown" for change in changes.values()):
        return _too_little()
    if gained:
        names, worse = _join([_name(t) for t in gained]), _join([_name(t) for t in lost])
        return Text(
            f"A deeper network ({near.size}) helps {names.en}"
            + (f", and is worse at {worse.en}." if lost else "."),
            f"更深的网络（{near.size}）有助于{names.zh}"
            + (f"，但在{worse.zh}上更差。" if lost else "。"),
        )
    if near.cut_short:
        return Text(
            f"Whether a deeper network ({near.size}) would help is not told here: within its time "
            f"it was no better, but {_CUT.en}.",
            f"此处无法判断更深的网络（{near.size}）是否有帮助：在给定时间内它没有更好，"
            f"但{_CUT.zh}。",
        )
    if lost:
        names = _join([_name(task) for task in lost])
        return Text(
            f"A deeper network ({near.size}) does not help, and is worse at {names.en}.",
            f"更深的网络（{near.size}）没有帮助，在{names.zh}上更差。",
        )
    return Text(
        f"A deeper network ({near.size}) is not seen to help: no difference beyond chance.",
        f"看不出更深的网络（{near.size}）有帮助：差异都未超出偶然。",
    )


def _shallower(own: LearningPoint, near: LearningPoint) -> Text:
    changes = {task.key: read_change(near, task.key) for task in own.tasks}
    lost = [task for task in own.tasks if changes[task.key] == "worse"]
    if all(change == "unknown" for change in changes.values()):
        return _too_little()
    if lost:
        names = _join([_name(task) for task in lost])
        return Text(
            f"This network is of the largest size; its depth pays for {names.en}: a {near.size} "
            f"one is worse.",
            f"本网络已是最大尺寸；深度在{names.zh}上值得：{near.size} 更差。",
        )
    return Text(
        f"This network is of the largest size; a {near.size} one is not seen to be worse.",
        f"本网络已是最大尺寸；看不出 {near.size} 更差。",
    )


def _cost(point: LearningPoint, other: LearningPoint, of_other: Text) -> Text:
    """What the larger of two trainings took beside the other."""
    times = [format_duration(p.seconds_a_pass) for p in (point, other)]
    whole = [format_duration(p.seconds) for p in (point, other)]
    return Text(
        f"A pass took {times[0]}, against {times[1]} at {of_other.en}; training {whole[0]} "
        f"in {point.passes} passes, against {whole[1]} in {other.passes}.",
        f"一轮用时 {times[0]}（{of_other.zh}：{times[1]}）；训练 {point.passes} 轮共 {whole[0]}"
        f"（{other.passes} 轮，{whole[1]}）。",
    )


def _sentence(
    start: Text, found: Interval, change: Change, words: Mapping[Change, Text] = SAID_OF_DATA
) -> Text:
    if found.value is None:
        return Text(f"{start.en} is not defined on this test part.",
                    f"{start.zh}在此测试集上无定义。")  # fmt: skip
    if found.value == 0 == found.low == found.high:
        return Text(f"{start.en} did not change.", f"{start.zh}没有变化。")
    en, zh = ("rose", "提高") if found.value >= 0 else ("fell", "下降")
    by = format_signed(abs(found.value)).lstrip("+")
    ends = (
        "" if found.low is None else f" ({format_signed(found.low)} to {format_signed(found.high)})"
    )
    ends_zh = (
        ""
        if found.low is None
        else f"（{format_signed(found.low)} 至 {format_signed(found.high)}）"
    )
    said = words[change]
    return Text(
        f"{start.en} {en} by {by}{ends}: {said.en}.", f"{start.zh}{zh} {by}{ends_zh}：{said.zh}。"
    )


def _too_little() -> Text:
    return Text("Too little in test to tell.", "测试数据太少，无法判断。")


def _name(task: LearningTask) -> Text:
    return Text("the items", "物品推荐") if task.goal is None else Text(task.goal, task.goal)


def _possessive(task: LearningTask) -> Text:
    metric = inside(metric_name(task.metric))
    if task.goal is None:
        return Text(f"{metric.en} of the items", f"物品推荐的{metric.zh} ")
    return Text(f"the skill at {task.goal}", f"{task.goal} 的技能分")


def _join(names: Sequence[Text]) -> Text:
    en, zh = [name.en for name in names], "、".join(name.zh for name in names)
    before, after = (" " if end.isascii() else "" for end in (zh[:1], zh[-1:]))
    return Text(
        " and ".join([", ".join(en[:-1]), en[-1]] if en[1:] else en), f"{before}{zh}{after}"
    )
