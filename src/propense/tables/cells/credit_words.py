"""Words and prefixes of documents that give money back, such as credit notes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from propense.settings import action_key, sounds_like_refund

_CODES: Final = frozenset(
    "cn cr cm crn crm crd cdn scn scm rf rfd rfn ret rtn rma sr gs gu gut gts st sto av avo avr nc "
    "ncr ndc nca kn kor fk dob abo cre cred kre krn вз кор".split()
)
"""Codes of kinds of documents; only believed in a column of documents."""
_INVOICES: Final = frozenset(
    "i in inv si sinv r re rg rn rech ar fa fac fact fat ft fv f vf fs vk so s or ord bill b bl "
    "rcp tr sale sales invoice invoices rechnung rechnungen facture factures factura facturas "
    "fattura fatture faktura fakturering factuur lasku счет order receipt 发票 請求書".split()
)
_STEMS: Final = (
    "credit note", "creditnote", "credit memo", "creditmemo", "credit", "gutschrift", "storno",
    "stornier", "stornorechnung", "korrekturrechnung", "rechnungskorrektur", "avoir",
    "nota de credito",
    "nota de crédito", "nota di credito", "nota credito", "abono", "creditnota", "kreditnota",
    "kreditnote", "kreditfaktura", "korekta", "korygująca", "dobropis", "credit invoice",
    "кредит нота", "возврат", "reversal", "rectificativa",
)  # fmt: skip
_HAN: Final = ("贷项", "红字", "红冲", "赤伝", "返品")
_NO_CREDIT: Final = ("credit card", "creditcard", "credit limit", "credit sale", "on credit")
_DOCUMENT: Final = (
    "beleg", "document", "doc", "invoice", "inv", "rechnung", "faktura", "facture", "factura",
    "fattura", "voucher", "vorgang", "buchung", "piece", "pièce", "comprobante", "transaction",
    "order", "bestell", "auftrag", "receipt", "bill", "art", "type", "typ", "tipo", "kind", "单据",
    "凭证", "发票", "伝票",
)  # fmt: skip
_NO_DOCUMENT: Final = frozenset(
    "country land state region province currency language lang locale city shop store pays pais "
    "país paese stato bundesland kanton channel payment card tender method".split()
)
_PREFIX: Final = re.compile(r"^\s*([^\W\d_]{1,8})[\s_/.#-]*\d{2,}")
MANY: Final = 12
"""More kinds of documents than these are something else."""


def credit_words(column: str, words: Collection[str]) -> list[str]:
    """The words of a column of kinds of documents that give money back; none where all do.

    >>> credit_words("Belegart", ["RE", "GS"]), credit_words("type", ["Invoice", "Credit note"])
    (['GS'], ['Credit note'])
    >>> credit_words("country", ["CN", "CR", "FR"]), credit_words("paid", ["Credit card", "cash"])
    ([], [])
    """
    filled = sorted({word.strip() for word in words} - {""})
    if not 2 <= len(filled) <= MANY:
        return []
    names = set(action_key(column).split())
    if names & _NO_DOCUMENT:
        return []
    document = any(word.startswith(_DOCUMENT) for word in names) or any(
        part in column for part in _DOCUMENT if ord(part[0]) > 0x2E80
    )
    keys = {word: action_key(word) for word in filled}
    invoices = [word for word, key in keys.items() if key in _INVOICES]
    codes = {word for word, key in keys.items() if key in _CODES and (document or invoices)}
    spoken = {word for word, key in keys.items() if _sounds_like_credit(key)}
    credits = [word for word in filled if word in codes | spoken]
    return credits if len(credits) < len(filled) else []


def _sounds_like_credit(key: str) -> bool:
    if any(part in key for part in _NO_CREDIT):
        return False
    padded = f" {key}"
    spoken = any(f" {stem}" in padded for stem in _STEMS) or any(part in key for part in _HAN)
    return spoken or sounds_like_refund(key)


def credit_prefixes(column: str, cells: Collection[str]) -> list[str]:
    """The prefixes of document numbers that give money back.

    >>> credit_prefixes("Document No", ["INV-50001", "INV-50002", "CN-50003"])
    ['CN']
    >>> credit_prefixes("Invoice", ["536365", "536366"]), credit_prefixes("sku", ["CN-100", "AV-2"])
    ([], [])
    """
    filled = [cell for cell in cells if cell.strip()]
    credits = [match[1] for cell in filled if (match := _PREFIX.match(cell))]
    if len(credits) < 0.95 * len(filled):
        return []
    return credit_words(column, set(credits))
