"""What a column's name says of ids: of a customer, of an item, of a row, or of nobody."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing import names, vocabulary

ATTRIBUTE: Final = frozenset(
    "name level type kind agent group segment status city country region province age "
    "gender sex class tier category manager rep owner plan session address zip "
    "postcode language currency first last total count store shop campaign device "
    "browser platform time date flag score 等级 类型 姓名 昵称 名称 年龄 性别 城市 "
    "地址 状态".split()
)
"""Words of columns that describe a customer and do not name one."""
TITLE: Final = frozenset(
    "name title titel titre titulo título titolo nazwa tytuł название naam isim adı namn 标题 名称 "
    "標題 名稱 名 이름 タイトル".split()
)
"""Words of names of items, which stand for the item where no id does."""
_NAME: Final = frozenset(
    "name fullname displayname realname 姓名 昵称 名字 nazwisko nome nombre nom naam имя фио "
    "氏名 名前 이름 성명 isim".split()
)
_PART_OF_NAME: Final = frozenset(
    "first last given family middle sur forename surname vorname nachname prénom apellido company "
    "file product item owner agent".split()
)


_PHONE: Final = frozenset("phone phones telephone telefon telefono téléphone fax".split())


def user_score(name: str) -> float:
    """How strongly a name claims to be the customer's id, 0 to 1.

    >>> [user_score(name) for name in ("CLIENTNO", "会员id", "Numéro client", "user_agent")]
    [1.0, 1.0, 1.0, 0.0]
    >>> user_score("user_pseudo_id") < user_score("user_id"), user_score("customer")
    (True, 0.9)
    """
    if names.is_word(name, vocabulary.USER_ALONE):
        return 1.0
    if names.is_word(name, vocabulary.USER_NAME):
        return 0.9
    if names.words_of(name) & _PHONE:
        return 0.0
    if not names.mentions(name, vocabulary.USER):
        return 0.6 if _is_device_id(name) else 0.0
    if names.mentions(name, vocabulary.DEVICE) and not names.is_word(name, vocabulary.USER):
        return 0.6
    described = names.mentions(name, ATTRIBUTE | vocabulary.ORDER_NO | vocabulary.SESSION)
    numbered = names.mentions(name, vocabulary.ID)
    if described or "of" in names.words_of(name):
        return 0.2 if numbered else 0.0
    if numbered:
        return 1.0 if len(names.parts_of(name)) <= 2 else 0.95
    return 0.9 if names.is_word(name, vocabulary.USER) else 0.3


def item_score(name: str) -> float:
    """How strongly a name claims to be the item's id, 0 to 1."""
    words = names.words_of(name)
    if name.lower() in ("item_id", "product_id", "sku", "asin", "upc", "isbn", "spu"):
        return 1.0
    if names.is_word(name, vocabulary.THING_ALONE):
        return 0.9
    if not names.mentions(name, vocabulary.THING):
        return 0.0
    described = words & ATTRIBUTE or names.mentions(name, vocabulary.PRICE | vocabulary.COUNT)
    if words & {"sku", "asin", "isbn", "ean", "gtin", "upc"} and not described:
        return 0.95
    if described and not names.mentions(name, vocabulary.ID):
        return 0.3
    return (
        0.9 if names.mentions(name, vocabulary.ID) or names.is_word(name, vocabulary.THING) else 0.3
    )


def is_bare_id(name: str) -> bool:
    """A name that says "id" and not of what.

    >>> is_bare_id("ID"), is_bare_id("编号"), is_bare_id("ID_code"), is_bare_id("order_id")
    (True, True, True, False)
    """
    parts = names.parts_of(name)
    return bool(parts) and all(names.is_word(part, vocabulary.ID) for part in parts)


def is_record_id(name: str) -> bool:
    """A name that says that it numbers the rows of a system.

    >>> is_record_id("Record ID"), is_record_id("record"), is_record_id("event_id")
    (True, False, False)
    """
    parts = frozenset(names.parts_of(name))
    return bool(parts & {"record", "object"}) and len(parts) == 2 and (
        names.mentions(name, vocabulary.ID)
    )  # fmt: skip


def is_full_name(name: str) -> bool:
    """Whether a column's name says that it holds whole names of people.

    >>> [is_full_name(name) for name in ("User full name", "客户姓名", "First Name", "Event name")]
    [True, True, False, False]
    """
    owner_words = vocabulary.USER | vocabulary.PERSONAL["names of people"]
    return (
        names.mentions(name, _NAME)
        and names.mentions(name, owner_words)
        and not names.words_of(name) & _PART_OF_NAME
        and not names.mentions(name, vocabulary.THING | vocabulary.ACTION)
    )


def _is_device_id(name: str) -> bool:
    return names.mentions(name, vocabulary.DEVICE) and (
        names.mentions(name, vocabulary.ID) or names.is_word(name, vocabulary.DEVICE)
    )
