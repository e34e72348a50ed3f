"""The currency of a project, and sources whose rows have several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from propense.settings.paths import setting_path
from propense.tables.cells.numbers import CODES, currency_code
from propense.tables.guessing import names
from propense.tables.guessing.groups import Group
from propense.tables.guessing.proposals.order_rules import amounts
from propense.tables.guessing.role import Role
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name

_NAMED: Final = frozenset("currency currencies währung devise moneda valuta 币种 货币".split())
_SIGN: Final = re.compile(r"[^\d\s.,'()+-]{1,9}\.?")


def currency_column(group: Group) -> str | None:
    """The column that names the currency of each row."""
    return next(
        (
            own for own, column in group.columns.items()
            if names.mentions(own_name(own), _NAMED) and column.n_filled
            and all(currency_code(word.strip()) in CODES for word in column.words)
        ),
        None,
    )  # fmt: skip


def find_currency(
    sources: Mapping[str, Role], answers: Mapping[str, Any]
) -> tuple[str, str] | None:
    """The commonest currency of the money of all sources, and the reason; None if none shows.

    Where an answer says which currencies of a source are read, only those count.
    """
    counts: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for name, role in sources.items():
        own = role.columns.get("value") or role.columns.get("price")
        named = currency_column(role.group)
        if named is not None:
            read = answers.get(setting_path("sources", name, "where"), {}).get(named)
            codes = {currency_code(str(word).strip()) for word in read or ()}
            for word, n in role.group.column(named).common:
                code = currency_code(word.strip())
                counts[code] += n * (not codes or code in codes)
                reasons.setdefault(code, f"as {own_name(named)} says")
            continue
        if own is not None and (written := code_in_name(own)) is not None:
            counts[written] += role.group.column(own).n_filled
            reasons.setdefault(written, f"as the name {own_name(own)!r} says")
            continue
        for word, n in role.group.column(own).common if own is not None else ():
            sign = _SIGN.search(word)
            code = currency_code(sign[0]) if sign else ""
            if code in CODES:
                counts[code] += n
                reasons.setdefault(code, f"amounts such as {word!r}")
    if not counts:
        return None
    code = counts.most_common(1)[0][0]
    others = sorted(other for other in counts if other != code and counts[other])
    also = f"; other amounts are in {', '.join(others)}" if others else ""
    return code, reasons[code] + also


def code_in_name(own: str) -> str | None:
    """The currency that the name of a column of amounts says.

    >>> [code_in_name(name) for name in ("amount_eur", "Betrag (€)", "priceUSD", "amount")]
    ['EUR', 'EUR', 'USD', None]
    """
    name = own_name(own)
    words = [word.upper() for word in names.words_of(name)]
    words += [word.upper() for word in re.findall(r"[^\w\s()\[\]{}.,:;/_-]+", name)]
    codes = {code for word in words if (code := currency_code(word)) in CODES}
    return codes.pop() if len(codes) == 1 else None


def foreign_name(role: Role, key: str, currency: str) -> Question | None:
    """What to do with amounts whose column names another currency than the project's."""
    word = "value" if "value" in role.columns else "price"
    own = role.columns.get(word)
    code = code_in_name(own) if own is not None and currency_column(role.group) is None else None
    if own is None or code is None or code == currency:
        return None
    total = sum(amounts(role))
    return Question(
        key=f"{key}.columns.{word}",
        sentence=f"{own!r} is in {code}, and the amounts of other sources in {currency}: leave its "
        f"money out, or convert it by `value_unit`, the worth of one {code} in {currency}?",
        choices=[
            Choice("", f"its money is left out: {total:,.2f} {code} in the sample"),
            Choice(own, f"it is read; also write value_unit = (the worth of one {code}), without "
                   f"which the sample sums to {total:,.2f} {currency}"),
        ],
    )  # fmt: skip


def currency_question(role: Role, key: str, where: Mapping[str, Any]) -> Question | None:
    """Which currency's rows are read, where a source has several; `where` holds as well."""
    own = currency_column(role.group)
    if own is None or not {"value", "price"} & set(role.columns):
        return None
    words = Counter(word for word in role.group.cells[own] if word is not None)
    if len({word.upper() for word in words}) < 2:
        return None
    money = amounts(role)
    sums: Counter[str] = Counter()
    for word, amount in zip(role.group.cells[own], money, strict=True):
        if word is not None:
            sums[word.upper()] += amount  # type: ignore[assignment]
    rows: Counter[str] = Counter()
    for word, n in words.items():
        rows[word.upper()] += n
    choices = [
        Choice({**where, own: [code]}, f"{n:,} sampled rows, {sums[code]:,.2f} {code}")
        for code, n in rows.most_common(6)
    ]
    return Question(
        key=f"{key}.where",
        sentence=f"{own!r} names several currencies: of which are the rows to read? Amounts of "
        "several cannot be summed",
        choices=[
            *choices,
            Choice(
                dict(where),
                "every row, others being converted by exchange_rates, which you then set",
            ),
        ],
        examples=[f"{own} = {code}: {n:,} rows" for code, n in rows.most_common(2)],
    )
