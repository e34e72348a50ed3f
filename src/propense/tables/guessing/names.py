"""What column and file names say, in English and Chinese."""

from __future__ import annotations

import re
from typing import Final

_CUT = re.compile(r"[^0-9a-z\u3400-\u9fff]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

USER: Final = frozenset(
    "user customer cust member visitor student learner client account household subscriber "
    "buyer shopper reader player person patient enrollment enrolment employee contact lead "
    "passenger guest donor viewer consumer "
    "用户 会员 客户 顾客 学员 学生 买家 访客 账号 用户名".split()
)
USER_ALONE: Final = frozenset("uid userid customerid openid unionid msno 学号 user_login".split())
THING: Final = frozenset(
    "item product sku article movie film course goods stock asset content video book song track "
    "listing lesson assessment module merchant_item isbn asin upc spu "
    "商品 课程 物品 产品 货品 内容 影片 电影 图书 视频 文章 课件".split()
)
ID: Final = frozenset("id ids no number num code key identifier 编号 号 标识 编码 代码".split())
DEVICE: Final = frozenset("device cookie anonymous anon guest browser idfa imei 设备 匿名".split())
ACTION: Final = frozenset(
    "action act event behavior behaviour verb operation interaction 行为 动作 事件 操作".split()
)
TIME: Final = frozenset(
    "time ts timestamp date datetime day dt at when 时间 日期 时刻 时间戳".split()
)
MONEY: Final = frozenset(
    "amount revenue paid payment sales spend gmv money fee value total subtotal income "
    "金额 付款 实付 支付金额 收入 总价".split()
)
PRICE: Final = frozenset("price unitprice cost 价格 单价 售价".split())
COUNT: Final = frozenset("quantity qty count units pieces cnt 数量 次数 件数".split())
RECORD: Final = frozenset("event log message msg row record hit uuid 事件 日志 消息".split())
ORDER_NO: Final = frozenset("invoice order basket transaction receipt bill 订单 发票 小票".split())
RATING: Final = frozenset("rating stars score 评分 打分".split())
LABEL: Final = frozenset(
    "label target y churn churned churner revenue converted conversion outcome default response "
    "responded clicked exited attrition dropout dropped subscribed purchased bought is_churn "
    "流失 标签 是否流失 是否购买 是否付费 目标".split()
)
AFTERWARDS: Final = frozenset(
    "result final outcome unregistration unregister cancel cancelled canceled cancellation closed "
    "closing termination terminated deactivated refunded "
    "结果 结束 注销 取消".split()
)
"""Words of columns that are often known only after what is to be predicted."""
SENSITIVE: Final = frozenset(
    "gender sex age ethnicity race religion nationality disability income "
    "性别 年龄 民族 收入".split()
)
CAMPAIGN: Final = frozenset("campaign promotion promo experiment offer activity 活动 营销".split())
ARM: Final = frozenset("arm variant treatment bucket creative version 分组 策略".split())
TREATED: Final = frozenset("treated treatment exposed is_treated contacted 干预 触达".split())
POSITION: Final = frozenset("position pos rank slot placement 位置 排名".split())
SHOWN_CHANCE: Final = frozenset("propensity p_action pscore probability".split())
CLICKED: Final = frozenset("outcome click clicked reward response 点击".split())
VALID_FROM: Final = frozenset(
    "signup sign registration registered register created joined join enrolled start "
    "注册 创建 入会 加入 开通".split()
)

PAYING: Final = frozenset(
    "pay paid payment purchase purchased buy bought order ordered checkout transaction subscribe "
    "subscribed renew renewal 支付 付款 购买 下单 成交 付费 续费".split()
)
LIKING: Final = frozenset(
    "favourite favorite fav like liked collect comment cart addtocart add_to_cart wishlist share "
    "enrol enroll complete finish 收藏 点赞 评论 加购 加购物车 分享 报名 完成".split()
)
REFUNDING: Final = frozenset("refund refunded return returned 退款 退货".split())

ROLE_OF_FILE: Final = {
    "users": frozenset(
        "user users customer customers member members profile profiles people student students "
        "account accounts client clients 用户 会员 客户 学员".split()
    ),
    "items": frozenset(
        "item items product products catalog catalogue course courses movies films goods sku "
        "assessments articles songs books 商品 课程 目录".split()
    ),
    "identities": frozenset("identity identities idmap mapping devices 映射 身份".split()),
    "exposures": frozenset(
        "exposure exposures campaign campaigns treatment experiment 活动 触达".split()
    ),
    "impressions": frozenset("impression impressions shown displays 曝光".split()),
}
PLAIN_LOG: Final = frozenset(
    "event events log logs data view views click clicks clickstream inter interactions actions "
    "access history app web 日志 行为".split()
)
"""File names that say nothing about what a row means."""


def words_of(name: str) -> frozenset[str]:
    """The words of a name, and the whole name as one word.

    >>> sorted(words_of("CustomerID"))
    ['customer', 'customerid', 'id']
    >>> sorted(words_of("date_unregistration"))
    ['date', 'date_unregistration', 'unregistration']
    """
    parts = [part for part in _CUT.split(_CAMEL.sub("_", name).lower()) if part]
    words = set(parts) | {name.lower()}
    for part in parts:
        if part[-1].isdigit() and part.rstrip("0123456789"):
            words.add(part.rstrip("0123456789"))
    return frozenset(words)


def mentions(name: str, words: frozenset[str]) -> bool:
    """Whether a name holds one of the words; a Chinese word also counts inside a longer one.

    >>> mentions("用户编号", USER), mentions("daily_total", MONEY), mentions("update", TIME)
    (True, True, False)
    """
    if words_of(name) & words:
        return True
    return any(word in name for word in words if ord(word[0]) > 0x33FF)


def user_score(name: str) -> float:
    """How strongly a name claims to be the customer's id, 0 to 1."""
    if words_of(name) & USER_ALONE or name.lower() in ("user_id", "customer_id"):
        return 1.0
    if not mentions(name, USER):
        return 0.0
    return 0.9 if mentions(name, ID) or name.lower() in USER else 0.3


def item_score(name: str) -> float:
    """How strongly a name claims to be the item's id, 0 to 1."""
    if name.lower() in ("item_id", "product_id", "sku", "asin", "upc", "isbn", "spu"):
        return 1.0
    if not mentions(name, THING):
        return 0.0
    return 0.9 if mentions(name, ID) or name.lower() in THING else 0.3
