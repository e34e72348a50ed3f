"""What the actions of a log leave open: which pay, which give money back, which column is money."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from propense.settings import Clean
from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.action_words import gives_back, is_clear, pays
from propense.tables.guessing.column_profiles import ColumnProfile
from propense.tables.guessing.groups import Group
from propense.tables.guessing.proposals.order_rules import amounts
from propense.tables.guessing.role import Role
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name

_MATERIAL: Final = 0.01
"""Share of the money that a word must carry to be asked about."""
_MOST_WORDS: Final = 12


def constant_action(role: Role) -> tuple[str, str]:
    """One action for all rows of a log that names none, and the reason."""
    group, columns = role.group, role.columns
    if "action" in role.settings:
        action, why = role.settings["action"]
        return str(action), why
    if any(names.mentions(own_name(own), vocabulary.RATING) for own in group.columns):
        return "rate", "the rows have ratings; every row is one action"
    if {"value", "price"} & set(columns):
        if _is_called_refunds(group):
            return "refund", f"the rows have money, and the file is called {group.name}"
        return "pay", "the rows have money but no action: every row is a payment"
    for words, action in ((vocabulary.PAYING, "pay"), (vocabulary.REFUNDING, "refund")):
        if names.mentions(group.name, words):
            return action, f"the file is called {group.name}"
    if not names.mentions(group.name.rsplit("_", 1)[-1], vocabulary.PLAIN_LOG):
        return group.name, "the log has no action; its file name says what a row is"
    return "view", "the log has no action; set the word for a row"


def _is_called_refunds(group: Group) -> bool:
    """Whether the files are named after refunds; the letters of any script count."""
    stems = [path.rsplit("/", 1)[-1].split(".")[0] for path in group.paths]
    return any(
        names.mentions(stem, vocabulary.REFUNDING) and "returning" not in names.words_of(stem)
        for stem in [group.name, *stems]
    )


def codes_question(role: Role, key: str) -> Question | None:
    """What the codes of an action mean that is written in numbers."""
    column = role.group.column(role.columns["action"])
    if column.kind not in ("integer", "boolean") or not all(
        word.lstrip("-").replace(".", "").isdigit() for word in column.words
    ):
        return None
    choices = [
        Choice({word: "pay"}, f"{count:,} of {column.n_filled:,} sampled rows are payments")
        for word, count in sorted(column.common, key=lambda one: one[1])[:8]
    ]
    return Question(
        key=f"{key}.actions",
        sentence=f"the codes of {column.name!r} do not say what was done: which is a payment?",
        choices=[Choice({}, "no code is a payment"), *choices],
    )


def words_question(
    role: Role, key: str, money_asked: bool, mapped: Mapping[str, str]
) -> tuple[Question | None, list[str]]:
    """Which words of an action pay and which give money back, where they do not say it.

    Only words that carry money are asked about; with `money_asked`, all that are frequent. Every
    choice holds the words in `mapped` as well. The second is the words that are too many to ask
    about, those with the least money.
    """
    column = role.group.column(role.columns["action"])
    has_money = bool({"value", "price"} & set(role.columns))
    if column.kind != "category" or not (has_money or money_asked):
        return None, []
    cells = role.group.cells[column.name]
    sums = action_sums(role)
    least = _MATERIAL * sum(map(abs, sums.values()))
    ranked = sorted(sums, key=lambda word: (-abs(sums[word]), word))
    carrying = [word for word in ranked if sums[word] > 0]
    doubtful = [word for word in carrying if not is_clear(word) and sums[word] >= least]
    unknown, left = doubtful[:_MOST_WORDS], doubtful[_MOST_WORDS:]
    if not unknown:
        return None, []
    paying = [word for word in carrying if pays(word)]

    def choice(actions: dict[str, str], effect: str) -> Choice:
        back = [word for word in sums if actions.get(word) == "refund" or gives_back(word)]
        net = sum(sums.values()) - sum(sums[word] + abs(sums[word]) for word in back)
        written = {**mapped, **actions}
        return Choice(written, f"{effect}: net {net:,.2f}" if has_money else effect)

    refunds = [choice({word: "refund"}, f"{word!r} gives money back") for word in unknown[:6]]
    if paying:
        choices = [choice({}, f"{', '.join(map(repr, unknown[:6]))}: no money back"), *refunds]
        if any(names.mentions(word, vocabulary.VOID) for word in unknown):
            choices = [*choices[1:], choices[0]]
    else:
        first, *others = unknown
        choices = [
            choice({word: "pay" for word in unknown}, "every one pays"),
            *(
                choice(
                    {**{one: "pay" for one in unknown if one != word}, word: "refund"},
                    f"{word!r} gives money back, the others pay" if others else "money back",
                )
                for word in reversed(unknown[-6:])
            ),
            choice({}, "none pays, and none gives money back"),
        ]
        if others:
            choices.insert(1, choice({first: "pay"}, f"{first!r} pays, the others do neither"))
    choices = _distinct(choices) if has_money else choices
    rows = Counter(cells)
    question = Question(
        key=f"{key}.actions",
        sentence=f"which words of {column.name!r} pay, and which give money back?",
        choices=choices,
        examples=[f"{word!r}: {rows[word]:,} sampled rows" for word in unknown[:2]],
    )
    return question, left


def _distinct(choices: Sequence[Choice]) -> list[Choice]:
    """The choices without those whose money is that of an earlier one."""
    first: dict[str, Choice] = {}
    for choice in choices:
        first.setdefault(choice.effect.rpartition(": net ")[2], choice)
    return list(first.values())


def action_sums(role: Role) -> dict[str, float]:
    """Word of a source's action -> its sampled money, or its rows where no column is money."""
    cells = role.group.cells[role.columns["action"]]
    has_money = bool({"value", "price"} & set(role.columns))
    money = amounts(role) if has_money else [1.0] * len(cells)
    sums: defaultdict[str, float] = defaultdict(float)
    for word, amount in zip(cells, money, strict=True):
        if word is not None:
            sums[word] += amount
    return sums


def refund_words(role: Role) -> dict[str, str]:
    """Words that give money back and that cleaning does not know -> the action "refund".

    Only words whose rows carry money: "return_policy" is a page.
    """
    own = role.columns.get("action")
    if own is None or role.group.format == "access_log":
        return {}
    if not {"value", "price"} & set(role.columns):
        return {}
    cells = role.group.cells[own]
    carrying = {word for word, money in zip(cells, amounts(role), strict=True) if money}
    return {
        word: "refund" for word, _ in role.group.column(own).common
        if word in carrying and gives_back(word) and not Clean().is_refund(word)
    }  # fmt: skip


def value_range(column: ColumnProfile) -> str:
    """The lowest and the highest number of a column, and the share below zero."""
    if column.low is None:
        return ""
    below = f", {column.negative:.1%} below zero" if column.negative else ""
    return f"{column.low:g} to {column.high:g}{below}"
