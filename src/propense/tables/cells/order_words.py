"""What the words of a column say became of an order: paid, given back, or not paid."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from propense.settings import action_key, sounds_like_refund
from propense.tables.questions import Choice, Question

OrderState = Literal["paid", "returned", "void", "unknown"]
"""The money stayed; it went back whole; it never came; a word that is not known."""
MANY_WORDS: Final = 40
"""A column with more words is no status."""

_NAMES: Final = (
    "status", "state", "financial", "fulfillment", "fulfilment", "zustand", "statut", "estado",
    "stato", "stan", "stage", "状态", "狀態", "ステータス", "状況", "상태",
)  # fmt: skip
_OF_PAYMENT: Final = (
    "financial", "pay", "paid", "order", "zahl", "bestell", "auftrag", "commande", "paiement",
    "pago", "pagamento", "pedido", "ordine", "betal", "zamow", "zamów", "支付", "付款", "订单",
    "交易", "注文", "支払", "결제", "주문",
)  # fmt: skip
_NOT_YET: Final = (
    "pending", "unpaid", "open", "hold", "onhold", "await", "waiting", "draft", "abandon", "expir",
    "authori", "overdue", "past due", "incomplete", "requires", "scheduled", "initiated", "offen",
    "unbezahlt", "ausstehend", "ausstehen", "wartend", "warte", "entwurf", "abgelaufen", "mahn",
    "en attente", "attente", "impay", "brouillon", "expiré", "pendiente", "pendente", "impag",
    "borrador", "vencid", "caducad", "in attesa", "attesa", "scadut", "bozza", "openstaand",
    "wachten", "onbetaald", "concept", "verlopen", "oczekuj", "nieopłac", "nieoplac", "aguardando",
    "rascunho", "obetald", "väntar", "ожида", "неоплач", "prospect", "negotiat", "qualification",
    "proposal", "quoted", "verhandlung", "angebot",
)  # fmt: skip
_FELL_THROUGH: Final = (
    "void", "cancel", "fail", "declin", "reject", "denied", "deny", "trash", "error", "invalid",
    "fraud", "blocked", "timeout", "timed out", "lost", "storn", "abgebroch", "fehlgeschlag",
    "fehler", "abgelehnt", "ungültig", "ungueltig", "verweiger", "annul", "échou", "echou", "échec",
    "echec", "refus", "rejet", "invalid", "rechaz", "fallid", "anulad", "inválid", "rifiutat",
    "fallit", "geannuleerd", "mislukt", "geweigerd", "anulow", "odrzuc", "nieudan", "recusad",
    "falhou", "avbrut", "misslyck", "отмен", "отклон",
)  # fmt: skip
_BACK: Final = ("disput", "charged back", "reversed", "reversal", "terugbetaald", "возврат")
_PAID: Final = (
    "paid", "complete", "processing", "process", "fulfilled", "ship", "dispatch", "deliver",
    "succe", "captured", "settled", "approved", "accepted", "sent", "invoiced", "confirmed",
    "picked up", "bezahlt", "versendet", "versandt", "verschickt", "abgeschlossen", "geliefert",
    "zugestellt", "erledigt", "in bearbeitung", "payé", "paye", "expédié", "expedie", "livré",
    "livre", "terminé", "réglé", "pagad", "enviad", "entregad", "completad", "pagat", "spedit",
    "consegnat", "completat", "betaald", "verzonden", "afgerond", "geleverd", "voltooid", "opłacon",
    "oplacon", "zrealizowan", "wysłan", "dostarczon", "betald", "skickad", "levererad", "pago",
    "paga", "entregue", "concluíd", "concluid", "оплачен", "доставлен", "выполнен", "отправлен",
    "won", "gewonnen",
)  # fmt: skip
_NO: Final = frozenset(
    "not no never nicht nie non pas niet ikke inte не non nao não sin ohne without".split()
)
_PARTS: Final[Mapping[OrderState, tuple[str, ...]]] = {
    "returned": ("退款", "退货", "退貨", "退单", "返金", "返品", "チャージバック", "환불", "拒付"),
    "void": (
        "待付款", "未付款", "未支付", "等待买家付款", "等待付款", "待支付", "取消", "关闭", "關閉",
        "失败", "失敗", "过期", "過期", "超时", "拒绝", "草稿", "未入金", "未払", "入金待ち",
        "支払待ち", "保留",
        "キャンセル", "エラー", "期限切れ", "미결제", "결제대기", "입금대기", "취소",
        "실패", "作废", "无效",
    ),
    "paid": (
        "已支付", "已付款", "已完成", "交易成功", "支付成功", "付款成功", "已发货", "已發貨",
        "待发货", "待收货", "已收货", "已签收", "完成", "成功", "支払済", "支払い済",
        "入金済", "決済済",
        "発送", "完了", "配送済", "결제완료",
        "결제 완료", "배송", "완료", "卖家发货", "买家确认收货",
    ),
}  # fmt: skip
"""Words of languages without blanks, looked for anywhere; the first that fits decides."""
_HALF: Final = ("part", "teil", "parcial", "parziale", "gedeelt", "部分", "一部")
_AFTER_PAYMENT: Final = ("ship", "fulfil", "deliver", "pickup", "pick up", "dispatch")
YES: Final = frozenset(("true", "yes", "y", "t", "1", "1.0", "ja", "oui", "si", "sí", "是"))
NOT_YES: Final = frozenset(("false", "no", "n", "f", "0", "0.0", "nein", "non", "否", ""))
_NUMBER: Final = re.compile(r"[-+]?\d+([.,]\d+)?")
_LATIN: Final = re.compile(r"[\u0000-\u052f]")


def order_state(word: str) -> OrderState:
    """What one word of a status says of its order.

    >>> [order_state(word) for word in ("wc-completed", "PartiallyRefunded", "Bezahlt", "交易成功")]
    ['paid', 'paid', 'paid', 'paid']
    >>> [order_state(word) for word in ("on-hold", "nicht bezahlt", "等待买家付款", "DECLINED")]
    ['void', 'void', 'void', 'void']
    >>> order_state("Refunded"), order_state("チャージバック"), order_state("gold")
    ('returned', 'returned', 'unknown')
    """
    key = action_key(word).removeprefix("wc ")
    if not key:
        return "unknown"
    if any(key.startswith(part) or f" {part}" in key for part in _HALF):
        return "void" if _begins(key, _FELL_THROUGH) else "paid"
    if not _LATIN.search(key) or any(part in key for parts in _PARTS.values() for part in parts):
        return next(
            (state for state, parts in _PARTS.items() if any(part in key for part in parts)),
            "unknown",
        )
    if _NO & set(key.split()):
        return "void" if _begins(key, _PAID) else "unknown"
    if _begins(key, ("await", "pending", "waiting", "on hold")) and any(
        part in key for part in _AFTER_PAYMENT
    ):
        return "paid"
    states: list[OrderState] = []
    if sounds_like_refund(key) or _begins(key, _BACK):
        states.append("returned")
    if _begins(key, _NOT_YET) or _begins(key, _FELL_THROUGH):
        states.append("void")
    if states:
        return states[0] if len(states) == 1 else "unknown"
    return "paid" if _begins(key, _PAID) else "unknown"


def _begins(key: str, stems: Collection[str]) -> bool:
    """Whether some word of a key begins with one of the stems."""
    padded = f" {key}"
    return any(f" {stem}" in padded for stem in stems)


def state_in(column: str, word: str) -> OrderState:
    """What a word says in a column of that name: "yes" says what the name says.

    >>> state_in("is_cancelled", "true"), state_in("Paid?", "no"), state_in("status", "open")
    ('void', 'void', 'void')
    """
    key = word.strip().casefold()
    if key not in YES | NOT_YES or is_named_status(column):
        return order_state(word)
    state = order_state(_plain(column).removeprefix("is "))
    if state == "unknown":
        return "unknown"
    if state == "paid":
        return "paid" if key in YES else "void"
    return state if key in YES else "paid"


def status_columns(words: Mapping[str, Collection[str]]) -> list[str]:
    """The columns, with their words, that say which orders were paid, the likeliest first.

    A column is known by its words: some were not paid or given back, some are paid or unknown,
    and most are known. One that is named a status needs fewer of them.
    """
    ranks = {}
    for column, own in words.items():
        filled = {word for word in own if word.strip()}
        if not 2 <= len(filled | ({""} if "" in own else set())) <= MANY_WORDS:
            continue
        named = is_named_status(column)
        if not named and _counts(filled):
            continue
        states = [state_in(column, word) for word in filled]
        out = sum(state in ("void", "returned") for state in states)
        paid = states.count("paid")
        if not out or not (paid or (named and out < len(states))):
            continue
        if not named and 2 * (paid + out) <= len(states):
            continue
        flags = all(word.strip().casefold() in YES | NOT_YES for word in filled)
        ranks[column] = (
            not flags, "void" in states, any(part in _plain(column) for part in _OF_PAYMENT), named,
        )  # fmt: skip
    return sorted(ranks, key=lambda column: ranks[column], reverse=True)


def _counts(words: Collection[str]) -> bool:
    """Whether all words are numbers, and some more than yes and no."""
    return all(_NUMBER.fullmatch(word.strip()) for word in words) and not all(
        word.strip() in YES | NOT_YES for word in words
    )


def is_named_status(column: str) -> bool:
    """Whether a column's name says that it holds states."""
    return any(part in _plain(column) for part in _NAMES)


def _plain(column: str) -> str:
    return unicodedata.normalize("NFKC", action_key(column))


def status_question(
    key: str, column: str, words: Mapping[str, tuple[int, float]], examples: Sequence[str] = ()
) -> Question | None:
    """Which words of a status stand for money: asked where some do not, or are not known.

    `words` maps each to its rows and their money; "" is an empty cell, whose rows stay. `key` is
    the path of the setting. None where all words say the same.
    """
    states = {word: "paid" if not word else state_in(column, word) for word in words}

    def of(*wanted: str) -> list[str]:
        return sorted(word for word in words if states[word] in wanted)

    paid, unknown, out = of("paid"), of("unknown"), of("void", "returned")
    if not out or not paid + unknown or not any(word for word in paid + unknown):
        return None
    everything = sum(amount for _, amount in words.values())

    def choice(some: Sequence[str], effect: str) -> Choice:
        without = [word for word in words if word not in some]
        n, amount = (sum(words[word][part] for word in without) for part in (0, 1))
        net = f"{effect}: net money {everything - amount:,.2f}"
        return Choice({column: list(some)}, f"{net}, without {n:,} rows" if n else net)

    choices = [choice(paid, "paid alone")] if any(paid) else []
    if unknown:
        choices.append(choice([*paid, *unknown], "also what is not known"))
    if of("returned") and any(paid):
        choices.append(choice([*paid, *of("returned")], "also what went back"))
    choices.append(Choice({}, f"every row: net money {everything:,.2f}"))
    doubt = f"; not known: {', '.join(map(repr, unknown))}" if unknown else ""
    listed = [
        f"{word!r} ({n:,} rows, {amount:,.2f})"
        for word, (n, amount) in sorted(words.items(), key=lambda one: (states[one[0]], one[0]))
    ]
    return Question(
        key=key,
        sentence=f"which rows are paid by column {column!r}{doubt}? It holds {', '.join(listed)}",
        choices=choices,
        examples=list(examples),
    )
