"""One chunk's events as the app, the web server and the bookshop would log them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.schemas import Ints
from propense.worlds.education import dirt
from propense.worlds.education.catalogue import Catalogue
from propense.worlds.education.customers import platform_ids, shop_ids
from propense.worlds.education.dirt import DirtCount
from propense.worlds.education.events import ACTIONS, COMMENT, PAY
from propense.worlds.education.topics import TRACK_NAMES
from propense.worlds.output import join, local_times, log_times, numbered, write_lines

_RETIRED: Final = 40
_UNREADABLE: Final = ("0000-00-00 00:00", "yesterday", "2025-02-31T25:61:00", "N/A")
_PRAISE: Final = (
    "clear and well paced, {en} finally makes sense",
    "too fast for me, I had to watch the {en} part twice",
    "the exercises on {en} are worth it",
    "讲得很清楚，{zh}终于学会了",
    "{zh}这部分太快了，需要再看一遍",
    "老师很用心，推荐给想学{zh}的同学",
    "sound is poor in the second half",
    "作业有点多",
)


@dataclass(frozen=True)
class LogContext:
    """Customers and destination of the rows of one chunk."""

    number: Ints
    """Number of each customer of the chunk."""
    catalogue: Catalogue
    folder: Path
    chunk: int
    days: int
    count: DirtCount


def write_app_log(rng: np.random.Generator, context: LogContext, events: dict[str, Any]) -> int:
    """logs/app/app-NNN.jsonl.gz, times in epoch milliseconds; returns the rows written."""
    n = len(events["user"])
    extra = dirt.draw_extra(
        rng, n, dirt.APP_RATES, np.flatnonzero(events["action"] == PAY)
    )  # fmt: skip
    dirt.count_extra(context.count, "app", n, extra)
    row = np.concatenate([np.arange(n), extra.row])
    kind = np.concatenate([np.full(n, "", dtype=object), extra.kind])
    time = events["time"][row]
    order_time = time.copy()
    retry = kind == "retry"
    time[retry] += rng.integers(100, dirt.RETRY_WITHIN_MS, int(retry.sum()))
    late = kind == "future"
    time[late] += dirt.future_shift(rng, int(late.sum())) * 1000
    item, lines_kind = _items(rng, context.catalogue, events["item"][row], kind)
    time[kind == "retired_item"] += 2000
    order_time = np.where(late, order_time, time)
    user = join('"', pc.take(platform_ids(context.number), pa.array(events["user"][row])), '"')
    user = pc.if_else(pa.array(kind == "missing_user"), _missing(rng, len(row)), user)
    written = pc.cast(pa.array(time), pa.string())
    written = pc.if_else(
        pa.array(kind == "unreadable_time"), join('"', _unreadable(rng, len(row)), '"'), written
    )
    amount = _amounts(rng, events["amount"][row], kind)
    action = pc.take(pa.array(ACTIONS), pa.array(events["action"][row]))
    text = _comments(rng, context.catalogue, events["action"], events["item"])
    text = pc.take(text, pa.array(row))
    lines = join(
        '{"uid":', user, ',"course":"', item, '","act":"', action, '","ts":', written,
        ',"amount":', pc.fill_null(amount, "null"), ',"text":', text, "}\n",
    )  # fmt: skip
    lines = _break(lines, lines_kind)
    lines, order_time = _with_bot(rng, context, lines, order_time)
    lines = pc.take(lines, pa.array(np.argsort(order_time, kind="stable")))
    write_lines(context.folder / "logs" / "app" / f"app-{context.chunk:03d}.jsonl.gz", lines)
    return len(lines)


def write_web_log(rng: np.random.Generator, context: LogContext, events: dict[str, Any]) -> int:
    """logs/web/access-NNN.log, combined format, two servers in two time zones; rows written."""
    n = len(events["user"])
    extra = dirt.draw_extra(rng, n, dirt.WEB_RATES, np.flatnonzero(events["action"] == PAY))
    dirt.count_extra(context.count, "web", n, extra)
    server_utc = rng.random(n) < 0.2
    context.count.add("web", "other_time_zone", int(server_utc.sum()))
    host_of = join("10.", *_octets(rng, len(context.number)))
    row = np.concatenate([np.arange(n), extra.row])
    kind = np.concatenate([np.full(n, "", dtype=object), extra.kind])
    second = events["time"][row] // 1000
    late = kind == "future"
    order_time = second + 2 * (kind == "retired_item")
    second = order_time.copy()
    second[late] += dirt.future_shift(rng, int(late.sum()))
    written = log_times(second, server_utc[row])
    written = pc.if_else(pa.array(kind == "unreadable_time"), "31/Feb/2025:25:61:00 +0800", written)
    item, lines_kind = _items(rng, context.catalogue, events["item"][row], kind)
    user = pc.take(platform_ids(context.number), pa.array(events["user"][row]))
    user = pc.if_else(pa.array(kind == "missing_user"), "-", user)
    action = pc.take(pa.array(ACTIONS), pa.array(events["action"][row]))
    amount = _amounts(rng, events["amount"][row], kind)
    tail = pc.fill_null(join("&amount=", amount), "")
    lines = join(
        pc.take(host_of, pa.array(events["user"][row])), " - ", user, " [", written,
        '] "GET /course?course=', item, "&act=", action, tail,
        ' HTTP/1.1" 200 5120 "-" "Mozilla/5.0"\n',
    )  # fmt: skip
    lines = pc.take(_break(lines, lines_kind), pa.array(np.argsort(order_time, kind="stable")))
    write_lines(context.folder / "logs" / "web" / f"access-{context.chunk:03d}.log", lines)
    return len(lines)


def orders_table(
    rng: np.random.Generator, context: LogContext, orders: dict[str, Ints]
) -> pa.Table:
    """The bookshop's order lines; local times without a zone, its own customer ids."""
    n = len(orders["user"])
    extra = dirt.draw_extra(rng, n, dirt.ORDER_RATES)
    dirt.count_extra(context.count, "shop", n, extra)
    row = np.concatenate([np.arange(n), extra.row])
    kind = np.concatenate([np.full(n, "", dtype=object), extra.kind])
    second = orders["time"][row]
    late = kind == "future"
    second[late] += dirt.future_shift(rng, int(late.sum()))
    # A line copied with another price or time is another line, with its own number.
    serial = np.where(kind == "exact_duplicate", row, np.arange(len(row)))
    line = join(numbered("o", np.full(len(row), context.chunk), 4), numbered("-", serial, 9))
    price = context.catalogue.price[orders["item"][row]].astype(np.float64)
    price[kind == "impossible_value"] *= -1
    customer = pc.take(shop_ids(context.number), pa.array(orders["user"][row]))
    blank = pa.array(kind == "missing_user")
    clock = pc.if_else(
        pa.array(kind == "unreadable_time"), _unreadable(rng, len(row)), local_times(second)
    )
    table = pa.table(
        {
            "line": line,
            "customer": pc.if_else(blank, pa.scalar(None, pa.string()), customer),
            "book": pc.take(context.catalogue.item_id, pa.array(orders["item"][row])),
            "ordered_at": clock,
            "quantity": orders["count"][row],
            "unit_price": price,
        }
    )
    return table.take(pa.array(np.argsort(orders["time"][row], kind="stable")))


def _items(
    rng: np.random.Generator, catalogue: Catalogue, item: Ints, kind: np.ndarray
) -> tuple[pa.StringArray, np.ndarray]:
    words = pc.take(catalogue.item_id, pa.array(item))
    retired = numbered("C", 9000 + rng.integers(0, _RETIRED, len(item)), 4)
    return pc.if_else(pa.array(kind == "retired_item"), retired, words), kind


def _amounts(rng: np.random.Generator, amount: Ints, kind: np.ndarray) -> pa.StringArray:
    """Whole yuan with two decimals; null where an event has no amount."""
    spoilt = kind == "impossible_value"
    absurd = np.where(rng.random(len(amount)) < 0.5, -np.abs(amount) - 1, dirt.ABSURD)
    value = np.where(spoilt, absurd, amount)
    words = join(pc.cast(pa.array(value), pa.string()), ".00")
    nothing = pa.array((amount < 0) & ~spoilt)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), words)


def _comments(
    rng: np.random.Generator, catalogue: Catalogue, action: Ints, item: Ints
) -> pa.StringArray:
    """A quoted comment on the course's track if the event is a comment, otherwise "null"."""
    pool = [f'"{form.format(en=en, zh=zh)}"' for en, zh in TRACK_NAMES for form in _PRAISE]
    chosen = catalogue.track[item] * len(_PRAISE) + rng.integers(0, len(_PRAISE), len(item))
    comment = pc.take(pa.array(pool), pa.array(chosen))
    return pc.if_else(pa.array(action == COMMENT), comment, "null")


def _missing(rng: np.random.Generator, n: int) -> pa.StringArray:
    return pc.take(pa.array(["null", '""', '"-"']), pa.array(rng.integers(0, 3, n)))


def _unreadable(rng: np.random.Generator, n: int) -> pa.StringArray:
    return pc.take(pa.array(_UNREADABLE), pa.array(rng.integers(0, len(_UNREADABLE), n)))


def _break(lines: pa.StringArray, kind: np.ndarray) -> pa.StringArray:
    """Truncate some lines, as a full disk does."""
    cut = join(pc.utf8_slice_codeunits(lines, 0, 40), "\n")
    return pc.if_else(pa.array(kind == "broken_line"), cut, lines)


def _octets(rng: np.random.Generator, n: int) -> list[str | pa.Array]:
    parts: list[str | pa.Array] = []
    for octet in range(3):
        parts.append(pc.cast(pa.array(rng.integers(1, 255, n)), pa.string()))
        if octet < 2:
            parts.append(".")
    return parts


def _with_bot(
    rng: np.random.Generator, context: LogContext, lines: pa.StringArray, time: Ints
) -> tuple[pa.StringArray, Ints]:
    """Add one crawler that opens course pages all day."""
    ticks, _ = dirt.bot_day(rng, context.days)
    item = pc.take(
        context.catalogue.item_id,
        pa.array(rng.integers(0, context.catalogue.n_courses, len(ticks))),
    )
    name = f"u99{context.chunk:05d}"
    crawl = join(
        f'{{"uid":"{name}","course":"', item, '","act":"view","ts":',
        pc.cast(pa.array(ticks), pa.string()), ',"amount":null,"text":null}\n',
    )  # fmt: skip
    context.count.add("app", "bot", len(ticks))
    context.count.add("app", "written", len(ticks))
    return pa.concat_arrays([lines, crawl]), np.concatenate([time, ticks])
