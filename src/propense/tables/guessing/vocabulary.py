"""The words by which column and file names say what they hold, in several languages."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing.languages import ACTIONS, HEADERS, words

USER: Final = frozenset(
    "user distinct requester customer cust cst member mbr visitor student learner "
    "client account acct household hh subscriber buyer shopper reader player person "
    "patient enrollment enrolment employee contact lead passenger guest donor "
    "viewer consumer subscription policyholder cardholder participant respondent "
    "prospect profile reviewer rater kunde kunden benutzer nutzer mitglied teilnehmer kontakt "
    "käufer schüler utilisateur abonné adhérent acheteur élève étudiant usuario "
    "alumno comprador estudiante socio klant gebruiker utente acquirente usuário "
    "aluno 用户 会员 客户 顾客 学员 学生 买家 访客 账号 账户 用户名 消费者 "
    "读者 患者 粉丝 客人 下单人 使用者".split()
) | words(HEADERS, "user")
USER_NAME: Final = frozenset("username login loginname 用户名".split())
"""Names of customers that name nobody else."""
USER_ALONE: Final = frozenset(
    "uid userid customerid openid unionid steamid msno distinct_id clientnum clientnr custno "
    "学号 user_login 买家会员名 会员名 买家账号 交易对方 会员号 客户号 用户号 卡号 会员卡号".split()
)
THING: Final = frozenset(
    "item product prod sku article movie film course goods stock asset content "
    "video book song track listing lesson assessment module merchant_item isbn asin "
    "upc spu variant ean gtin artikel produkt produit articulo artículo producto "
    "prodotto articolo produto kurs cours curso 课程 物品 产品 货品 内容 "
    "影片 电影 图书 视频 文章 课件 货号".split()
) | words(HEADERS, "thing")
THING_ALONE: Final = frozenset(
    "aid iid pid itemid productid courseid material matnr materialnr materialnummer 课程号".split()
)
ID: Final = frozenset(
    "id ids no number num nbr code key identifier ref reference uuid guid hash "
    "numéro numero número código codigo kennung 编号 号 号码 标识 编码 代码".split()
) | words(HEADERS, "id")
DEVICE: Final = frozenset(
    "device cookie anonymous anon pseudo browser idfa imei gaid fingerprint visitor "
    "domain_userid network_userid 设备 匿名".split()
)
"""Words of ids that name a browser or a device rather than a person."""
SESSION: Final = frozenset("session sess visit sitzung sesión 会话".split())
KIND: Final = frozenset(["type", "类型"]) | words(HEADERS, "kind")
"""Names of columns that hold actions where none is named like one."""
ACTION: Final = frozenset(
    "action act event metric behavior behaviour verb operation interaction activity "
    "aktion aktivität acción 行为 动作 事件".split()
) | words(HEADERS, "action")
TIME_ALONE: Final = frozenset(
    "event_time time timestamp ts datetime event_timestamp data datum fecha дата "
    "tarih 日時 일시 时间".split()
)
"""Names of nothing but the time of a row."""
TIME: Final = frozenset(
    "time ts timestamp date datetime day dt dat at when stamp datum zeit zeitpunkt "
    "uhrzeit heure fecha hora tijd 时间 日期 时刻 时间戳".split()
) | words(HEADERS, "time")
MONEY: Final = frozenset(
    "amount amt revenue paid payment sales spend gmv money fee value total subtotal "
    "income gross net betrag umsatz summe gesamt montant importe monto total_price "
    "importo valor 金额 付款 实付 支付金额 收入 总价 实收 应付".split()
) | words(HEADERS, "money")
PRICE: Final = frozenset(
    "price unitprice cost preis einzelpreis prix precio prezzo preço prijs 价格 单价 售价".split()
) | words(HEADERS, "price")
DISCOUNT: Final = frozenset(
    "discount discounts rebate nachlass 折扣 优惠 할인 割引 rabatt remise descuento desconto "
    "sconto korting rabat скидка indirim".split()
)
COUNT: Final = frozenset(
    "quantity qty count units pieces cnt menge anzahl stück stückzahl quantité "
    "quantite cantidad quantità quantidade aantal 次数 件数".split()
) | words(HEADERS, "count")
RECORD: Final = frozenset("event log message msg row record hit uuid insert 事件 日志 消息".split())
ORDER_NO: Final = frozenset(
    "invoice order basket transaction txn trans receipt bill booking bestellung "
    "auftrag rechnung beleg commande facture pedido factura ordine fattura 订单 发票 "
    "小票 单号 交易".split()
) | words(HEADERS, "order_no")
RATING: Final = frozenset("rating stars score 评分 打分".split())
LABEL: Final = frozenset(
    "label target y churn churned churner revenue converted conversion outcome default "
    "response responded clicked exited attrition dropout dropped subscribed purchased "
    "bought is_churn 流失 标签 是否流失 是否购买 是否付费 目标".split()
)
AFTERWARDS: Final = frozenset(
    "result final outcome unregistration unregister cancel cancelled canceled became "
    "cancellation close closed closing termination terminated deactivated refunded 结果 结束 "
    "注销 取消".split()
)
"""Words of columns that are often known only after what is to be predicted."""
ENDED: Final = frozenset(
    "charged default defaulted late paid repaid churned terminated resigned won lost converted "
    "closed cancelled canceled lapsed expired attrited dropped withdrawn bankrupt".split()
)
"""Words of a status that tell how something ended."""
REPAID: Final = frozenset("pymnt payment payments paid repaid prncp principal installments".split())
SO_FAR: Final = frozenset(
    "total last out outstanding rec received next final remaining actual".split()
)
RECOVERED: Final = frozenset(
    "recoveries recovery recovered collections settlement chargeoff writeoff".split()
)
"""Words of money that comes after what is to be predicted."""
SENSITIVE: Final = frozenset(
    "gender sex age ethnicity race religion nationality disability income 性别 年龄 "
    "民族 收入".split()
)
CAMPAIGN: Final = frozenset("campaign promotion promo experiment offer activity 活动 营销".split())
ARM: Final = frozenset("arm variant treatment bucket creative version segment 分组 策略".split())
TREATED: Final = frozenset("treated treatment exposed is_treated contacted 干预 触达".split())
POSITION: Final = frozenset("position pos rank slot placement 位置 排名".split())
SHOWN_CHANCE: Final = frozenset("propensity p_action pscore probability".split())
CLICKED: Final = frozenset("outcome click clicked reward response 点击".split())
VALID_FROM: Final = frozenset(
    "signup sign registration registered register created joined join enrolled "
    "start optin 注册 创建 加入 开通".split()
) | words(HEADERS, "valid_from")
STATUS: Final = frozenset(
    "status state financial fulfillment paymentstatus orderstatus zustand statut "
    "estado stato 状态".split()
)
"""Words of columns that say what became of an order."""

PAYING: Final = frozenset(
    "pay paid payment revenue revenue_amount purchase purchased buy bought order "
    "ordered checkout transaction subscribe subscribed renew renewal charge 付费 续费".split()
) | words(ACTIONS, "paying")
NOT_PAYING: Final = frozenset(
    "start started begin begun initiate initiated enter entered info information view viewed "
    "views viewing click clicked clicks open opened ship shipped shipment fulfilled "
    "delivered tracking update updated edited request requested attempt attempted "
    "method reminder failed pending".split()
) | words({"viewing": {
    language: line for language, line in ACTIONS["viewing"].items() if language != "en"
}}, "viewing")  # fmt: skip
"""Words beside which a word of PAYING does not say that money came: "Checkout Started"."""
LIKING: Final = frozenset(
    "favourite favorite fav like liked collect comment cart addtocart add_to_cart "
    "wishlist share enrol enroll complete finish 点赞 评论 加购物车 分享 报名 完成".split()
) | words(ACTIONS, "liking")
REFUNDING: Final = frozenset(
    "refund refunded refunds return returned returns chargeback reversal reversed "
    "erstattung rückerstattung retoure retouren gutschriften remboursement retour "
    "devolución devolucion reembolso rimborso".split()
) | words(ACTIONS, "refunding")
VOID: Final = frozenset(
    "void voided pending cancelled canceled cancel failed failure declined expired "
    "abandoned trash rejected error unpaid storniert annulé annule cancelado "
    "annullato 已取消 已关闭 失败 未支付 待付款 等待买家付款 "
    "等待付款 未付款 待支付 交易关闭".split()
) | words(ACTIONS, "void")
"""Words of orders that nobody paid."""

PERSONAL: Final[dict[str, frozenset[str]]] = {
    "e-mail addresses": frozenset("email mail emailaddress correo courriel 邮箱 电子邮件".split()),
    "phone numbers": frozenset(
        "phone mobile tel telephone telefon telefono téléphone teléfono handy cell "
        "cellphone fax whatsapp msisdn 手机 电话 手机号 手机号码 联系方式".split()
    ),
    "addresses": frozenset(
        "address street addr adresse anschrift strasse straße rue dirección direccion "
        "indirizzo address1 address2 latitude longitude lat lng 地址 详细地址 收货地址 "
        "住址".split()
    ),
    "network addresses": frozenset("ip ipaddress ipv4 ipv6 remote_host".split()),
    "card or account numbers": frozenset(
        "iban ccnumber creditcard cardnumber pan bankaccount 银行卡 银行卡号".split()
    ),
    "identity numbers": frozenset("ssn passport nif dni taxid 身份证 身份证号 护照".split()),
    "birthdays": frozenset(
        "birthday birthdate dob birth geburtstag geburtsdatum naissance nacimiento "
        "生日 出生日期 出生".split()
    ),
    "names of people": frozenset(
        "firstname lastname surname fullname givenname familyname middlename nickname "
        "username forename vorname nachname prénom prenom apellido 姓名 昵称 真实姓名 "
        "收货人 收件人".split()
    ),
}
"""What a column says about a person -> words of its name."""

ROLE_OF_FILE: Final = {
    "users": frozenset(
        "user users customer customers member members profile profiles people student "
        "students account accounts client clients contact contacts kunden subscribers "
        "audience 用户 会员 客户 学员".split()
    ),
    "items": frozenset(
        "item items product products catalog catalogue course courses movies films "
        "goods sku assessments articles songs books 商品 课程 目录".split()
    ),
    "identities": frozenset("identity identities idmap mapping devices 映射 身份".split()),
    "exposures": frozenset(
        "exposure exposures campaign campaigns treatment experiment 活动 触达".split()
    ),
    "impressions": frozenset("impression impressions shown displays 曝光".split()),
}
PLAIN_LOG: Final = frozenset(
    "event events log logs data view views click clicks clickstream inter interactions "
    "actions access history app web export 日志 行为".split()
)
"""File names that say nothing about what a row means."""
