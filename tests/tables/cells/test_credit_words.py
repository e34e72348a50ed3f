"""Kinds and numbers of documents that give money back."""

from __future__ import annotations

import pytest

from propense.tables.cells.credit_words import credit_prefixes, credit_words


@pytest.mark.parametrize(
    ("column", "words", "back"),
    [
        ("Type", "Invoice|Credit Memo", "Credit Memo"),
        ("Belegart", "Rechnung|Gutschrift|Stornorechnung", "Gutschrift|Stornorechnung"),
        ("type de pièce", "Facture|Avoir", "Avoir"),
        ("Tipo", "Factura|Nota de crédito", "Nota de crédito"),
        ("Dokumenttyp", "INV|CRN", "CRN"),
        ("Typ dokumentu", "Faktura|Korekta", "Korekta"),
        ("doc", "FV|KOR|WZ", "KOR"),
        ("kind", "sale|return", "return"),
        ("country", "CN|CR|US", ""),
        ("state", "NC|IN|AR", ""),
        ("Zahlungsart", "Kreditkarte|PayPal", ""),
        ("payment_method", "credit|cash", ""),
        ("size", "S|M|L", ""),
        ("Type", "Credit note", ""),
        ("Type", "Invoice|Order", ""),
    ],
)
def test_kinds_of_documents(column: str, words: str, back: str) -> None:
    assert "|".join(credit_words(column, words.split("|"))) == back


@pytest.mark.parametrize(
    ("column", "cells", "back"),
    [
        ("Document No", "INV-50001|INV-50002|CN-50003", ["CN"]),
        ("Belegnr", "RE2024001|RE2024002|GU2024001", ["GU"]),
        ("Rechnung", "RG/1001|GS/1002", ["GS"]),
        ("numero", "FA 2024-17|AV 2024-03", ["AV"]),
        ("InvoiceNo", "536365|536366|C536379", []),
        ("order", "A1001|B1002", []),
        ("article", "CN100|AV200", []),
    ],
)
def test_numbers_of_documents(column: str, cells: str, back: list[str]) -> None:
    assert credit_prefixes(column, cells.split("|")) == back
