"""`propense init` on logs in many languages: ids, times, actions, refunds and money."""

from __future__ import annotations

from pathlib import Path

import pytest

from propense.settings.refunds import REFUND_ACTIONS
from propense.tables.guessing.guess import Guess, guess_settings

_ROWS = 120


def log(folder: Path, header: str, pay: str, back: str, name: str = "orders") -> Guess:
    """The guess for a log with the columns customer, item, time, action and money."""
    rows = [
        f"{1001 + i % 12},SKU-{i % 6},2024-0{1 + i // 28}-{1 + i % 28:02d} 10:00:0{i % 7},"
        f"{back if i % 9 == 5 else pay},{i % 40 + 1}.50"
        for i in range(_ROWS)
    ]
    (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return guess_settings(folder)


def gives_money_back(guess: Guess, word: str) -> bool:
    """Whether the rows of a word are refunds, while every other word of refunds stays known."""
    action = guess.settings.sources["orders"].actions.get(word, word)
    assert guess.settings.clean.refund_actions == REFUND_ACTIONS
    return guess.settings.clean.is_refund(action)


HEADERS = {
    "de": "Kundennr,Artikelnr,Datum,Vorgang,Betrag",
    "fr": "client_id,article,date,type,montant",
    "es": "id_cliente,producto,fecha,tipo,importe",
    "pt": "cliente_id,produto_id,data,evento,valor",
    "it": "id_cliente,articolo,data,azione,importo",
    "nl": "klantnummer,artikel,datum,actie,bedrag",
    "pl": "id_klienta,produkt,data,typ,kwota",
    "ru": "ID клиента,Товар,Дата,Тип,Сумма",
    "ja": "顧客ID,商品ID,日時,イベント,金額",
    "ko": "고객ID,상품코드,일시,유형,금액",
    "tr": "müşteri_id,ürün_kodu,tarih,işlem,tutar",
    "sv": "kund_id,artikelnummer,datum,händelse,belopp",
    "zh": "用户编号,商品编号,时间,行为,金额",
}
WORDS = {
    "de": ("Kauf", "Rückerstattung"),
    "fr": ("Achat", "REMBOURSEMENT"),
    "es": ("Compra", "Devolución"),
    "pt": ("compra", "Estorno"),
    "it": ("Acquisto", "Reso"),
    "nl": ("Aankoop", "Terugbetaling"),
    "pl": ("Zakup", "ZWROT"),
    "ru": ("Покупка", "Возврат"),
    "ja": ("購入", "返金"),
    "ko": ("구매", "환불"),
    "tr": ("Satış", "İade"),
    "sv": ("Köp", "Återbetalning"),
    "zh": ("购买", "退款"),
}


@pytest.mark.parametrize("language", HEADERS)
def test_a_log_in_a_language_is_read_without_a_question(language: str, tmp_path: Path) -> None:
    header, (pay, back) = HEADERS[language], WORDS[language]
    guess = log(tmp_path, header, pay, back)
    assert not guess.questions
    words = ("user_id", "item_id", "event_time", "action", "value")
    own = dict(zip(words, header.split(","), strict=True))
    assert guess.settings.sources["orders"].columns == own
    assert gives_money_back(guess, back)
    assert guess.settings.goals["pay"].action == pay


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("name", ["transaction_kind", "c4"])
def test_the_words_show_the_action_whatever_its_column_is_called(
    name: str, language: str, tmp_path: Path
) -> None:
    pay, back = WORDS[language]
    guess = log(tmp_path, f"customer_id,product_id,date,{name},amount", pay, back)
    assert guess.settings.sources["orders"].columns["action"] == name
    assert gives_money_back(guess, back)


@pytest.mark.parametrize("words", [("SALE", "MONEY BACK"), ("Rechnung", "Gutschrift")])
def test_more_words_of_sales_and_refunds(words: tuple[str, str], tmp_path: Path) -> None:
    guess = log(tmp_path, "customer_id,product_id,date,type,amount", *words)
    assert gives_money_back(guess, words[1])
    assert not guess.questions


def test_a_way_of_payment_is_no_action(tmp_path: Path) -> None:
    guess = log(tmp_path, "customer_id,product_id,date,payment_method,amount", "paid", "payment")
    assert "action" not in guess.settings.sources["orders"].columns


def test_one_code_in_every_row_is_no_action(tmp_path: Path) -> None:
    guess = log(tmp_path, "customer_id,product_id,date,type,amount", "metric", "metric")
    assert "action" not in guess.settings.sources["orders"].columns
    assert not guess.questions


def test_words_that_nobody_knows_are_asked_about(tmp_path: Path) -> None:
    header = "customer_id,product_id,date,type,amount"
    (question,) = log(tmp_path, header, "zarf", "brak").questions
    assert question.key == "sources.orders.actions"
    answers = [choice.value for choice in question.choices]
    assert {"zarf": "pay", "brak": "refund"} in answers
    assert {"zarf": "pay", "brak": "pay"} in answers
    assert all("net " in choice.effect for choice in question.choices)
    (question,) = log(tmp_path, header, "purchase", "brak").questions
    assert {"brak": "refund"} in [choice.value for choice in question.choices]
    answered = guess_settings(tmp_path, answer=lambda question: {"brak": "refund"})
    assert answered.settings.clean.is_refund("refund")
    assert not answered.questions


@pytest.mark.parametrize("word", ["purchase", "c"])
def test_money_that_no_name_shows_is_asked_about(word: str, tmp_path: Path) -> None:
    guess = log(tmp_path, "customer_id,product_id,date,action,x17", word, word)
    assert "sources.orders.columns.value" in [question.key for question in guess.questions]
    assert guess.questions[0].choices[0].value == "x17"


@pytest.mark.parametrize(
    ("language", "zone", "currency"),
    [("ja", "Asia/Tokyo", "JPY"), ("ko", "Asia/Seoul", "KRW"), ("zh", "Asia/Shanghai", "CNY")],
)
def test_the_script_shows_the_time_zone_and_the_currency(
    language: str, zone: str, currency: str, tmp_path: Path
) -> None:
    guess = log(tmp_path, HEADERS[language], *WORDS[language])
    assert guess.settings.time_zone == zone
    assert guess.settings.currency == currency
    assert "words" in guess.toml.split("time_zone")[1].splitlines()[0]
    english = log(tmp_path, "customer_id,product_id,date,type,amount", *WORDS[language])
    assert english.settings.time_zone == zone
