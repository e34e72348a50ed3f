"""Words of column names and of actions in many languages, a line a language."""

from __future__ import annotations

from typing import Final

HEADERS: Final[dict[str, dict[str, str]]] = {
    "user": {
        "de": "kundin käuferin besteller auftraggeber",
        "fr": "acheteuse adherent eleve etudiant",
        "es": "clientes usuarios socia",
        "pt": "usuaria usuária consumidor",
        "it": "clienti utenti cliente",
        "nl": "klanten gebruikers koper deelnemer",
        "pl": "klient klienta klienci klientka użytkownik użytkownika uzytkownik uzytkownika "
        "kupujący kupujacy nabywca nabywcy kontrahent kontrahenta",
        "ru": "клиент клиента клиенты покупатель покупателя пользователь пользователя заказчик "
        "заказчика",
        "cs": "zákazník zákazníka zakaznik zakaznika uživatel",
        "tr": "müşteri musteri müşterino kullanıcı kullanici üye alıcı",
        "sv": "kund kundnummer användare anvandare medlem köpare",
        "da": "bruger bruker asiakas",
        "ja": "顧客 会員 お客様 お客さま ユーザー ユーザ 利用者 購入者",
        "ko": "고객 회원 사용자 구매자 이용자",
        "zh": "会员名 顧客 會員 客戶 用戶 買家",
    },
    "thing": {
        "de": "artikelnr artikelnummer ware",
        "fr": "produits",
        "nl": "artikelen producten",
        "pl": "towar towaru produktu artykuł artykul artykułu",
        "ru": "товар товара товары артикул продукт",
        "cs": "výrobek zboží",
        "tr": "ürün urun ürünkodu",
        "sv": "vara varunummer",
        "ja": "商品 製品 品番 アイテム",
        "ko": "상품 제품 품목",
        "zh": "宝贝 產品 貨品",
    },
    "id": {
        "pl": "numer kod nr",
        "ru": "номер код ид",
        "tr": "kodu numarası numarasi",
        "nl": "nummer",
        "ja": "番号 コード",
        "ko": "번호 코드 아이디",
        "zh": "編號 號",
    },
    "action": {
        "de": "vorgang vorgangsart buchungsart geschäftsvorfall ereignis",
        "fr": "évènement événement evenement opération",
        "es": "evento accion movimiento operación operacion",
        "pt": "evento ação acao operação operacao",
        "it": "evento azione operazione",
        "nl": "actie handeling gebeurtenis",
        "pl": "akcja zdarzenie operacja czynność",
        "ru": "действие событие операция",
        "tr": "işlem islem eylem olay",
        "sv": "händelse åtgärd",
        "da": "handling hændelse",
        "ja": "イベント 操作 行動 アクション",
        "ko": "이벤트 행동 활동 동작",
    },
    "kind": {
        "de": "typ",
        "es": "tipo",
        "nl": "soort",
        "pl": "typ rodzaj",
        "ru": "тип",
        "tr": "türü",
        "ja": "種別 種類 区分 タイプ",
        "ko": "유형 구분",
        "zh": "类别 種類",
    },
    "time": {
        "fr": "horodatage",
        "it": "orario",
        "pl": "czas godzina",
        "ru": "дата время",
        "tr": "tarih tarihi zaman",
        "sv": "tidpunkt tidsstämpel",
        "da": "dato tidspunkt",
        "ja": "日時 日付 時刻 年月日",
        "ko": "일시 날짜 시간 일자",
        "zh": "時間",
    },
    "money": {
        "de": "gesamtbetrag rechnungsbetrag zahlbetrag endbetrag bruttobetrag nettobetrag "
        "nettowert bruttowert warenwert auftragswert bestellwert rechnungssumme",
        "fr": "montants",
        "es": "montos",
        "pt": "receita quantia",
        "it": "ricavo totale",
        "nl": "bedrag totaalbedrag omzet totaal",
        "pl": "kwota kwoty wartość wartosc suma",
        "ru": "сумма выручка стоимость",
        "cs": "částka castka",
        "tr": "tutar tutarı tutari",
        "sv": "belopp summa",
        "da": "beløb belob",
        "ja": "金額 売上 支払額 合計",
        "ko": "금액 매출 매출액 결제금액",
        "zh": "金額 實付",
    },
    "price": {
        "nl": "stukprijs eenheidsprijs",
        "it": "prezzi",
        "de": "stückpreis stueckpreis verkaufspreis nettopreis bruttopreis",
        "pl": "cena ceny",
        "ru": "цена",
        "tr": "fiyat fiyatı birimfiyat",
        "sv": "pris styckpris",
        "ja": "価格 単価",
        "ko": "가격 단가",
        "zh": "價格 單價",
    },
    "count": {
        "pl": "ilość ilosc liczba sztuk",
        "ru": "количество",
        "cs": "množství",
        "tr": "adet miktar",
        "sv": "antal",
        "ja": "数量 個数 点数",
        "ko": "수량 개수",
        "zh": "數量",
    },
    "order_no": {
        "de": "bestellnummer bestellnr auftragsnr",
        "pt": "encomenda fatura",
        "nl": "bestelnummer factuur",
        "pl": "zamówienie zamówienia zamowienie zamowienia faktura paragon",
        "ru": "заказ заказа чек",
        "tr": "sipariş siparis fatura",
        "sv": "beställning",
        "ja": "注文 伝票",
        "ko": "주문",
        "zh": "訂單",
    },
    "valid_from": {
        "en": "create creation",
        "de": "angelegt erstellt erstelldatum registriert anmeldung anmeldedatum beitritt",
        "fr": "création inscription",
        "es": "registro alta creación",
        "pt": "cadastro registro",
        "it": "registrazione iscrizione",
        "nl": "aangemaakt registratie",
        "pl": "rejestracja rejestracji",
        "ru": "регистрация регистрации",
        "ja": "登録 入会",
        "ko": "가입 등록",
    },
}  # fmt: skip
"""What a column holds -> language -> words of its name."""

ACTIONS: Final[dict[str, dict[str, str]]] = {
    "paying": {
        "en": "sale sold sell spend purchasing payments purchases sales",
        "de": "kauf käufe gekauft verkauf verkauft bestellung bestellt bezahlt zahlung rechnung "
        "einkauf umsatz abrechnung",
        "fr": "achat acheté achete acheter vente vendu commande paiement payé paye facture "
        "encaissement",
        "es": "compra comprado venta vendido pedido pago pagado cobro factura",
        "pt": "compra comprado venda vendido pedido pagamento pago fatura",
        "it": "acquisto acquistato vendita venduto ordine pagamento pagato fattura",
        "nl": "aankoop aankopen koop gekocht verkoop verkocht bestelling besteld betaling betaald "
        "factuur",
        "pl": "zakup zakupy kupno kupiono sprzedaż sprzedaz sprzedano zamówienie zamowienie "
        "płatność platnosc zapłata opłacono",
        "ru": "покупка куплено продажа продано заказ оплата оплачено платеж платёж",
        "cs": "nákup prodej platba",
        "tr": "satış satis satıldı alım sipariş siparis ödeme odeme satınalma",
        "sv": "köp köpt försäljning betalning beställning",
        "da": "køb salg betaling",
        "ja": "購入 購買 買上 注文 決済 支払 売上 販売",
        "ko": "구매 결제 주문 판매",
        "zh": "消费 销售 支付 付款 购买 下单 成交 購買 銷售",
    },
    "refunding": {
        "en": "moneyback creditnote reimbursement reimbursed refunding returning",
        "de": "erstattet rückerstattet rueckerstattung rückgabe rueckgabe rücksendung ruecksendung "
        "rückzahlung rueckzahlung gutschrift stornierung stornorechnung",
        "fr": "remboursé rembourse remboursée avoir annulation",
        "es": "devuelto reembolsado reintegro abono",
        "pt": "devolução devolucao devolvido estorno estornado reembolsado",
        "it": "reso rimborsato restituzione storno",
        "nl": "terugbetaling terugbetaald retourzending geretourneerd teruggave creditnota",
        "pl": "zwrot zwroty zwrócono zwrocono zwrócone refundacja",
        "ru": "возврат возвраты возвращено возвращен возмещение",
        "cs": "vrácení refundace dobropis",
        "tr": "iade iadesi geriödeme",
        "sv": "återbetalning aterbetalning återbetald returnerad",
        "da": "refusion tilbagebetaling returnering",
        "ja": "返金 返品 払戻 払い戻し 返還",
        "ko": "환불 반품",
        "zh": "退款 退货 退貨 退单 退單",
    },
    "viewing": {
        "en": "view viewed views visit visited click clicked open opened impression search "
        "searched pageview page_view login browse browsed scroll session start started begin "
        "signup launch screen read watch played display displayed seen looked delivered sent "
        "received bounce bounced unsubscribe sign signed register registered registration play "
        "played pause action event goal track identify page struct create created update updated "
        "add added remove removed used use download install installed logged logout abandoned",
        "de": "ansicht angesehen klick besuch aufruf suche",
        "fr": "vue visite clic consultation recherche",
        "es": "vista visto visita clic búsqueda",
        "pt": "visualização visualizacao visita clique visto",
        "it": "visualizzazione visita vista clic",
        "nl": "bekeken bezoek weergave",
        "pl": "wyświetlenie wyswietlenie odsłona wizyta kliknięcie klikniecie",
        "ru": "просмотр просмотры визит клик посещение",
        "tr": "görüntüleme goruntuleme ziyaret tıklama",
        "sv": "visning besök klick",
        "ja": "閲覧 表示 訪問 クリック",
        "ko": "조회 방문 클릭",
        "zh": "浏览 点击 查看 访问 曝光 瀏覽",
    },
    "liking": {
        "de": "warenkorb merkliste",
        "fr": "panier favori",
        "es": "carrito favorito cesta",
        "pt": "carrinho favorito",
        "it": "carrello preferito",
        "nl": "winkelwagen favoriet",
        "pl": "koszyk ulubione",
        "ru": "корзина избранное",
        "tr": "sepet sepete favori",
        "sv": "varukorg favorit",
        "ja": "カート お気に入り",
        "ko": "장바구니 찜",
        "zh": "收藏 加购",
    },
    "void": {
        "de": "abgebrochen fehlgeschlagen offen",
        "fr": "annulée échoué impayé",
        "es": "anulado fallido cancelada",
        "pt": "falhou",
        "it": "annullata fallito",
        "nl": "geannuleerd mislukt",
        "pl": "anulowane anulowano anulowany nieudana",
        "ru": "отмена отменено отменен ошибка",
        "tr": "iptal başarısız",
        "sv": "avbruten avbruten misslyckad",
        "ja": "キャンセル 失敗 取消",
        "ko": "취소 실패",
    },
}  # fmt: skip
"""What an action does -> language -> its words."""


def words(table: dict[str, dict[str, str]], kind: str) -> frozenset[str]:
    """The words of all languages.

    >>> "клиент" in words(HEADERS, "user"), "возврат" in words(ACTIONS, "refunding")
    (True, True)
    """
    return frozenset(word for line in table[kind].values() for word in line.split())
