"""Text in the encodings of other people's systems."""

from __future__ import annotations

import pytest

from propense.tables.sources.text.encodings import Verdict, detect_encoding, survey

TEXTS = {
    "koi8-r": "Иван Ольга Пётр Москва улица", "cp1251": "Иван Ольга Пётр Москва улица",
    "cp866": "Иван Ольга Пётр Москва улица", "iso8859-5": "Иван Ольга Пётр Москва улица",
    "shift_jis": "田中 さくら 東京 カメラ 株式会社", "euc_jp": "田中 さくら 東京 カメラ 株式会社",
    "big5": "陳大文 台北市 許功蓋 臺灣 手機", "euc_kr": "김철수 서울 가방 노트북",
    "iso8859-2": "Łukasz šaty Jiří žena ťuk ľud ąę", "cp1250": "Łukasz Żaneta Jiří šaty kočka",
    "cp1253": "Γιώργος Αθήνα παπούτσια", "cp1254": "Şule İstanbul çanta ışık",
    "cp1255": "שלום תל אביב", "cp1256": "محمد القاهرة حقيبة", "cp874": "กรุงเทพ สวัสดี",
    "mac_roman": "Zoë café naïve élan", "cp850": "Müller Köln Straße Bär",
    "cp437": "Zoë café naïve élan", "cp1257": "Jānis Rīga šņabis ķēve",
    "iso8859-15": "Zoë café naïve €5", "iso8859-16": "școală țară București",
}  # fmt: skip
SURE = {
    "cp1252": ["Zoë café naïve élan", "Müller Köln Straße Bär €5 don’t", "l’été Noël ça œuvre",
               "São ação pães fé", "Säkylä šakki žiletti öljy"],
    "gb18030": ["北京 手机 衣服 王小明 上海市"],
}  # fmt: skip


def verdict(text: str, codec: str) -> tuple[Verdict, bytes]:
    words = text.split()
    lines = [f"c{i},{words[i % len(words)]},2024-01-0{i % 9 + 1}" for i in range(40)]
    data = "\n".join(lines).encode(codec)
    return detect_encoding([survey([data])]), data


@pytest.mark.parametrize("codec", TEXTS)
def test_text_in_doubt_is_asked_about_and_the_right_encoding_is_offered(codec: str) -> None:
    judged, data = verdict(TEXTS[codec], codec)
    assert judged.others, "read in silence"
    offered = [judged.codec, *judged.others][:6]
    assert any(data.decode(name, "replace") == data.decode(codec) for name in offered), judged


@pytest.mark.parametrize(("codec", "text"), [(c, t) for c, texts in SURE.items() for t in texts])
def test_usual_western_and_chinese_text_is_read_without_a_question(codec: str, text: str) -> None:
    judged, data = verdict(text, codec)
    assert not judged.others
    assert data.decode(judged.codec) == data.decode(codec)


@pytest.mark.parametrize(
    ("codec", "text"),
    [("euc_kr", "김철수 이영희 박민수"), ("cp1254", "Yıldız İpek Gökşen kaşık"),
     ("cp1254", "Müşteri ürün İşlem Satış İade"), ("cp1250", "Łukasz Żaneta książka"),
     ("cp1250", "Jiří žena kůň"), ("cp1257", "Jānis Rīga šņabis ķēve")],
)  # fmt: skip
def test_the_encoding_of_one_language_comes_first(codec: str, text: str) -> None:
    judged, data = verdict(text, codec)
    assert judged.others
    assert data.decode(judged.codec) == data.decode(codec)
