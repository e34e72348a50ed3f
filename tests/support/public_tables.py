"""Headers of public tables and of common exports, typed from their documentation.

The values are invented by a small seeded generator: no row of the real tables is here.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

N_ROWS = 400
START = datetime(2024, 1, 3, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class PublicTable:
    """A header with what its cells hold, and what `propense init` should say of it."""

    name: str
    columns: Mapping[str, str]
    """Own name -> what its cells are; see `_MAKERS`."""
    role: str
    maps: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> own name that must be mapped."""
    asks: frozenset[str] = frozenset()
    """Last steps of keys that may be asked about."""
    label: str | None = None
    never: frozenset[str] = frozenset()
    """Columns that must not be features."""
    delimiter: str = ","
    lines: bool = False
    """JSON lines rather than CSV."""
    file: str = ""


def write(table: PublicTable, folder: Path, seed: int = 7) -> Path:
    """The table as a file of `folder`."""
    rng = random.Random(seed)
    rows = [
        {name: _cell(spec, row, rng) for name, spec in table.columns.items()}
        for row in range(N_ROWS)
    ]
    stem = table.file or table.name
    if table.lines:
        path = folder / f"{stem}.jsonl"
        path.write_text("".join(json.dumps(_tree(row), ensure_ascii=False) + "\n" for row in rows))
        return path
    path = folder / f"{stem}.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=table.delimiter)
        writer.writerow(table.columns)
        writer.writerows([["" if cell is None else cell for cell in row.values()] for row in rows])
    return path


def _tree(row: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as nested objects; "items[].x" is a member of the one object in an array."""
    tree: dict[str, Any] = {}
    for name, cell in row.items():
        branch, steps = tree, name.split(".")
        for step in steps[:-1]:
            if step.endswith("[]"):
                branch = branch.setdefault(step[:-2], [{}])[0]
            else:
                branch = branch.setdefault(step, {})
        branch[steps[-1]] = cell
    return tree


def _time(row: int, rng: random.Random) -> datetime:
    return START + timedelta(hours=6.4 * row, seconds=rng.randrange(3600))


def _word(spec: str, rng: random.Random) -> str:
    words = spec.split("|")
    weights = [max(1, len(words) * 2 - 2 * i) for i in range(len(words))]
    return rng.choices(words, weights)[0]


_MAKERS: dict[str, Callable[[str, int, random.Random], Any]] = {
    "user": lambda spec, row, rng: f"{spec}{1000 + rng.randrange(40)}",
    "key": lambda spec, row, rng: f"{spec}{100_000 + row * 7919 % 90_000}",
    "item": lambda spec, row, rng: f"{spec}{rng.randrange(18) + 100}",
    "seq": lambda spec, row, rng: row + int(spec or 0),
    "order": lambda spec, row, rng: f"{spec}{5000 + row // 2}",
    "time": lambda spec, row, rng: _time(row, rng).strftime(spec or "%Y-%m-%d %H:%M:%S"),
    "epoch": lambda spec, row, rng: int(_time(row, rng).timestamp() * float(spec or 1)),
    "late": lambda spec, row, rng: (_time(row, rng) + timedelta(days=3)).strftime("%Y-%m-%d %X"),
    "money": lambda spec, row, rng: f"{spec}{rng.randrange(300, 9000) / 100:.2f}",
    "total": lambda spec, row, rng: f"{(row // 2 * 37 % 8000 + 350) / 100:.2f}",
    "int": lambda spec, row, rng: rng.randrange(*map(int, spec.split(":"))),
    "real": lambda spec, row, rng: round(rng.random() * 10, 4),
    "word": lambda spec, row, rng: _word(spec, rng),
    "email": lambda spec, row, rng: f"person{1000 + rng.randrange(40)}@example.com",
    "mail": lambda spec, row, rng: f"person{row}@example.com",
    "person": lambda spec, row, rng: f"{'Ada Ben Cleo Dan Eva'.split()[row % 5]} Muster{row}",
    "phone": lambda spec, row, rng: f"+49 30 {1_000_000 + row}",
    "text": lambda spec, row, rng: f"{spec or 'some words about'} number {row}",
    "title": lambda spec, row, rng: f"Thing number {rng.randrange(18)}",
    "none": lambda spec, row, rng: None,
    "hash": lambda spec, row, rng: f"{row * 2_654_435_761 % 2**32:08x}{row:08x}",
    "fixed": lambda spec, row, rng: spec,
}  # fmt: skip


def _cell(spec: str, row: int, rng: random.Random) -> Any:
    """`KIND:DETAIL`; a "?" before it leaves most cells empty."""
    if spec.startswith("?"):
        return _cell(spec[1:], row, rng) if rng.random() < 0.15 else None
    kind, _, detail = spec.partition(":")
    return _MAKERS[kind](detail, row, rng)


TABLES = (
    # archive.ics.uci.edu/dataset/352
    PublicTable("online_retail", {
        "InvoiceNo": "order:", "StockCode": "item:8", "Description": "title", "Quantity": "int:1:9",
        "InvoiceDate": "time:%d/%m/%Y %H:%M", "UnitPrice": "money", "CustomerID": "user:1",
        "Country": "word:United Kingdom|France|Germany",
    }, "events", {"user_id": "CustomerID", "item_id": "StockCode", "event_time": "InvoiceDate",
                  "price": "UnitPrice", "count": "Quantity"}),
    # kaggle.com/c/instacart-market-basket-analysis: orders.csv
    PublicTable("instacart_orders", {
        "order_id": "key:", "user_id": "user:", "eval_set": "word:prior|train|test",
        "order_number": "int:1:99", "order_dow": "int:0:7", "order_hour_of_day": "int:0:24",
        "days_since_prior_order": "int:0:31",
    }, "none", {"user_id": "user_id"}),
    # kaggle.com/datasets/retailrocket/ecommerce-dataset: events.csv
    PublicTable("retailrocket", {
        "timestamp": "epoch:1000", "visitorid": "user:", "event": "word:view|addtocart|transaction",
        "itemid": "item:", "transactionid": "?key:",
    }, "events", {"user_id": "visitorid", "item_id": "itemid", "event_time": "timestamp",
                  "action": "event"}, file="events"),
    # github.com/otto-de/recsys-dataset, flattened as its examples do
    PublicTable("otto", {
        "session": "user:", "aid": "item:15", "ts": "epoch:1000",
        "type": "word:clicks|carts|orders",
    }, "events", {"user_id": "session", "item_id": "aid", "event_time": "ts", "action": "type"}),
    # kaggle.com/c/h-and-m-personalized-fashion-recommendations: transactions_train.csv
    PublicTable("handm", {
        "t_dat": "time:%Y-%m-%d", "customer_id": "user:c00", "article_id": "item:1087",
        "price": "money", "sales_channel_id": "int:1:3",
    }, "events", {"user_id": "customer_id", "item_id": "article_id", "event_time": "t_dat",
                  "value": "price"}, file="transactions_train"),
    # grouplens.org/datasets/movielens: ratings.csv
    PublicTable("movielens", {
        "userId": "user:", "movieId": "item:", "rating": "int:1:6", "timestamp": "epoch:1",
    }, "events", {"user_id": "userId", "item_id": "movieId", "event_time": "timestamp"}),
    # recsys.acm.org/recsys15/challenge: yoochoose-buys, with its documented names
    PublicTable("yoochoose_buys", {
        "Session ID": "user:", "Timestamp": "time:%Y-%m-%dT%H:%M:%S.000Z", "Item ID": "item:2145",
        "Price": "int:500:9000", "Quantity": "int:1:4",
    }, "events", {"user_id": "Session ID", "item_id": "Item ID", "event_time": "Timestamp",
                  "price": "Price", "count": "Quantity"}),
    # kaggle.com/datasets/olistbr/brazilian-ecommerce: olist_orders_dataset joined with items
    PublicTable("olist", {
        "order_id": "order:e4", "customer_unique_id": "user:7c", "order_status":
        "word:delivered|shipped|canceled|unavailable", "order_purchase_timestamp": "time:",
        "order_approved_at": "late", "order_delivered_carrier_date": "late",
        "order_estimated_delivery_date": "late", "product_id": "item:d1", "price": "money",
        "freight_value": "money",
    }, "events", {"user_id": "customer_unique_id", "item_id": "product_id",
                  "event_time": "order_purchase_timestamp", "value": "price"},
        frozenset(["where"])),
    # github.com/IBM/telco-customer-churn-on-icp4d
    PublicTable("telco_churn", {
        "customerID": "key:75-", "gender": "word:Male|Female", "SeniorCitizen": "int:0:2",
        "tenure": "int:0:73", "PhoneService": "word:Yes|No", "Contract": "word:Month|Year",
        "MonthlyCharges": "money", "TotalCharges": "money", "Churn": "word:No|Yes",
    }, "users", {"user_id": "customerID"}, label="Churn"),
    # kaggle.com/c/kkbox-churn-prediction-challenge: user_logs.csv
    PublicTable("kkbox_user_logs", {
        "msno": "user:mN", "date": "time:%Y%m%d", "num_25": "int:0:9", "num_50": "int:0:9",
        "num_100": "int:0:60", "num_unq": "int:1:50", "total_secs": "real",
    }, "events", {"user_id": "msno", "event_time": "date"}, frozenset(["value"]),
        file="user_logs"),
    # analyse.kmi.open.ac.uk/open_dataset: studentInfo.csv
    PublicTable("oulad_student_info", {
        "code_module": "word:AAA|BBB", "code_presentation": "word:2013J|2014B",
        "id_student": "key:1", "gender": "word:M|F", "region": "word:Wales|Scotland",
        "highest_education": "word:A Level|HE", "imd_band": "word:0-10%|10-20%",
        "age_band": "word:0-35|35-55", "num_of_prev_attempts": "int:0:3",
        "studied_credits": "int:30:240", "disability": "word:N|Y",
        "final_result": "word:Pass|Withdrawn",
    }, "users", {"user_id": "id_student"}, label="final_result"),
    # ailab.criteo.com: criteo-uplift-v2.1
    PublicTable("criteo_uplift", {
        **{f"f{i}": "real" for i in range(6)}, "treatment": "int:0:2", "conversion": "int:0:2",
        "visit": "int:0:2", "exposure": "int:0:2",
    }, "users", {}, label="conversion", never=frozenset(["visit", "exposure"])),
    # blog.minethatdata.com: the e-mail challenge
    PublicTable("hillstrom", {
        "recency": "int:1:13", "history_segment": "word:1) $0 - $100|2) $100 - $200",
        "history": "money", "mens": "int:0:2", "womens": "int:0:2",
        "zip_code": "word:Urban|Rural", "newbie": "int:0:2", "channel": "word:Web|Phone",
        "segment": "word:Mens E-Mail|Womens E-Mail|No E-Mail", "visit": "int:0:2",
        "conversion": "int:0:2", "spend": "money",
    }, "users", {}, label="conversion", never=frozenset(["visit", "spend"])),
    # archive.ics.uci.edu/dataset/222
    PublicTable("bank_marketing", {
        "age": "int:18:90", "job": "word:admin.|services|student", "marital": "word:single|married",
        "education": "word:primary|tertiary", "default": "word:no|yes", "balance": "int:-900:9000",
        "housing": "word:no|yes", "loan": "word:no|yes", "contact": "word:cellular|telephone",
        "day": "int:1:32", "month": "word:may|jun|jul", "duration": "int:5:900",
        "campaign": "int:1:9", "pdays": "int:-1:300", "previous": "int:0:5",
        "poutcome": "word:unknown|failure", "y": "word:no|yes",
    }, "users", {}, label="y", delimiter=";"),
    # support.google.com/analytics/answer/7029846: the export to BigQuery
    PublicTable("ga4", {
        "event_date": "time:%Y%m%d", "event_timestamp": "epoch:1000000",
        "event_name": "word:page_view|view_item|add_to_cart|purchase",
        "user_id": "?user:C", "user_pseudo_id": "user:171.",
        "user_first_touch_timestamp": "epoch:1000000", "device.category": "word:mobile|desktop",
        "geo.country": "word:Germany|France", "items[].item_id": "item:P",
        "items[].price": "real", "ecommerce.purchase_revenue": "?real",
        "ecommerce.transaction_id": "?order:T",
    }, "events", {"user_id": "user_id", "anonymous_id": "user_pseudo_id",
                  "event_time": "event_timestamp", "action": "event_name",
                  "item_id": "items.0.item_id", "value": "ecommerce.purchase_revenue"}, lines=True),
    # developer.matomo.org/guides/log-analytics: exported actions
    PublicTable("matomo", {
        "idVisit": "order:", "visitorId": "user:4f", "userId": "?user:u",
        "serverTimePretty": "text", "timestamp": "epoch:1",
        "type": "word:action|event|ecommerceOrder|goal", "url": "text:https://shop.example/",
        "revenue": "?money", "eventAction": "?word:play|pause",
    }, "events", {"user_id": "userId", "anonymous_id": "visitorId", "event_time": "timestamp",
                  "action": "type", "value": "revenue"}),
    # docs.mixpanel.com/docs/data-structure: raw export
    PublicTable("mixpanel", {
        "event": "word:View|Sign Up|Purchase", "properties.time": "epoch:1",
        "properties.distinct_id": "user:d", "properties.$insert_id": "hash",
        "properties.$browser": "word:Chrome|Safari", "properties.amount": "?real",
        "properties.product_id": "item:p",
    }, "events", {"user_id": "properties.distinct_id", "event_time": "properties.time",
                  "action": "event", "value": "properties.amount",
                  "item_id": "properties.product_id"}, lines=True),
    # amplitude.com/docs/apis/analytics/export
    PublicTable("amplitude", {
        "event_type": "word:view|play|purchase", "event_time": "time:%Y-%m-%d %H:%M:%S.%f",
        "user_id": "?user:a", "device_id": "user:dev", "amplitude_id": "user:77",
        "server_upload_time": "late", "client_event_time": "time:", "uuid": "hash",
        "event_properties.item_id": "item:x", "event_properties.revenue": "?real",
        "country": "word:DE|FR", "session_id": "epoch:1000",
    }, "events", {"user_id": "user_id", "anonymous_id": "device_id", "event_time": "event_time",
                  "action": "event_type", "item_id": "event_properties.item_id",
                  "value": "event_properties.revenue"}, frozenset(["user_id"]), lines=True),
    # segment.com/docs/connections/storage/catalog/aws-s3
    PublicTable("segment", {
        "type": "fixed:track", "messageId": "hash", "anonymousId": "user:a", "userId": "?user:u",
        "event": "word:Product Viewed|Product Added|Order Completed", "timestamp":
        "time:%Y-%m-%dT%H:%M:%SZ", "receivedAt": "late", "sentAt": "late",
        "properties.product_id": "item:p", "properties.revenue": "?real",
        "context.ip": "fixed:10.0.0.1",
    }, "events", {"user_id": "userId", "anonymous_id": "anonymousId", "event_time": "timestamp",
                  "action": "event", "item_id": "properties.product_id",
                  "value": "properties.revenue"}, lines=True),
    # docs.snowplow.io/docs/fundamentals/canonical-event
    PublicTable("snowplow", {
        "app_id": "fixed:web", "collector_tstamp": "time:", "dvce_created_tstamp": "time:",
        "event": "word:page_view|struct|transaction", "event_id": "hash", "user_id": "?user:u",
        "domain_userid": "user:d8", "network_userid": "user:n3", "user_ipaddress": "fixed:10.0.0.1",
        "se_category": "?word:shop|blog", "tr_total": "?money", "derived_tstamp": "time:",
    }, "events", {"anonymous_id": "domain_userid", "event_time": "derived_tstamp",
                  "action": "event", "value": "tr_total"},
        frozenset(["user_id"])),
    # help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders
    PublicTable("shopify", {
        "Name": "order:#", "Email": "email", "Financial Status": "word:paid|refunded|voided",
        "Paid at": "time:", "Fulfillment Status": "word:fulfilled|unfulfilled",
        "Currency": "fixed:EUR", "Subtotal": "total", "Shipping": "money", "Taxes": "money",
        "Total": "total", "Created at": "time:%Y-%m-%d %H:%M:%S +0100",
        "Lineitem quantity": "int:1:4", "Lineitem name": "title", "Lineitem price": "money",
        "Lineitem sku": "item:P", "Cancelled at": "none", "Refunded Amount": "?money",
    }, "events", {"user_id": "Email", "item_id": "Lineitem sku", "event_time": "Created at",
                  "price": "Lineitem price", "count": "Lineitem quantity", "order_id": "Name"},
        file="orders_export"),
    # docs.algolplus.com/algol_order_export
    PublicTable("woocommerce", {
        "Order Number": "order:", "Order Status": "word:Completed|Processing|Cancelled|Failed",
        "Order Date": "time:%Y-%m-%d %H:%M", "First Name (Billing)": "person",
        "Email (Billing)": "email", "SKU": "item:W", "Item Name": "title",
        "Quantity (- Refund)": "int:1:5", "Item Cost": "money", "Order Refund Amount": "?money",
        "Order Total Amount": "total",
    }, "events", {"user_id": "Email (Billing)", "item_id": "SKU", "event_time": "Order Date",
                  "price": "Item Cost", "count": "Quantity (- Refund)"}, file="orders"),
    # experienceleague.adobe.com: export of orders, with its grid's names
    PublicTable("magento", {
        "ID": "key:0000", "Purchase Point": "fixed:Main Website", "Purchase Date": "time:",
        "Bill-to Name": "person", "Grand Total (Base)": "money", "Grand Total (Purchased)": "money",
        "Status": "word:complete|processing|canceled", "Customer Email": "email",
    }, "events", {"user_id": "Customer Email", "event_time": "Purchase Date",
                  "value": "Grand Total (Base)"}, frozenset(["where"])),
    # docs.stripe.com: unified payments export
    PublicTable("stripe", {
        "id": "hash", "Created date (UTC)": "time:", "Amount": "money", "Amount Refunded": "?money",
        "Currency": "fixed:eur", "Converted Amount": "money", "Description": "text",
        "Fee": "real", "Status": "word:Paid|Refunded|Failed", "Customer ID": "user:cus_",
        "Customer Email": "email", "Card Last4": "int:1000:9999", "Refunded date (UTC)": "?late",
    }, "events", {"user_id": "Customer ID", "anonymous_id": "Customer Email",
                  "event_time": "Created date (UTC)", "value": "Amount"},
        file="unified_payments"),
    # mailchimp.com/help/view-export-contacts
    PublicTable("mailchimp", {
        "Email Address": "mail", "First Name": "person", "Last Name": "person",
        "Phone Number": "phone", "MEMBER_RATING": "int:1:6", "OPTIN_TIME": "time:",
        "OPTIN_IP": "fixed:10.0.0.1", "CONFIRM_TIME": "time:", "CONFIRM_IP": "fixed:10.0.0.1",
        "LATITUDE": "real", "LONGITUDE": "real", "GMTOFF": "int:0:3", "CC": "word:DE|FR",
        "REGION": "word:BE|HH", "LAST_CHANGED": "late", "LEID": "key:", "EUID": "hash",
    }, "users", {"user_id": "Email Address"}, never=frozenset(
        ["First Name", "Last Name", "Phone Number", "OPTIN_IP", "LATITUDE", "LONGITUDE"]),
        file="subscribed_members_export"),
    # help.klaviyo.com: export of the events of a metric
    PublicTable("klaviyo", {
        "Event ID": "hash", "Profile ID": "user:01H", "Email": "email",
        "Metric": "word:Opened Email|Clicked Email|Placed Order", "Timestamp": "time:",
        "Value": "?money", "Item": "?item:K",
    }, "events", {"user_id": "Profile ID", "event_time": "Timestamp", "action": "Metric",
                  "value": "Value"}),
    # knowledge.hubspot.com: export of contacts
    PublicTable("hubspot_contacts", {
        "Record ID": "key:", "First Name": "person", "Last Name": "person", "Email": "mail",
        "Phone Number": "phone", "Lifecycle Stage": "word:Lead|Customer", "Lead Status":
        "word:New|Open", "Create Date": "time:", "City": "word:Bonn|Ulm",
        "Number of Pageviews": "int:0:90",
    }, "users", {}, never=frozenset(["First Name", "Last Name", "Email", "Phone Number"]),
        file="contacts"),
    # help.salesforce.com: report of opportunities
    PublicTable("salesforce", {
        "Opportunity ID": "key:006", "Account ID": "user:001", "Account Name": "person",
        "Stage": "word:Closed Won|Prospecting|Closed Lost", "Amount": "money",
        "Close Date": "time:%Y-%m-%d", "Created Date": "time:%Y-%m-%d", "Owner": "word:Ann|Bob",
    }, "events", {"user_id": "Account ID", "value": "Amount"}, frozenset(["where", "event_time"]),
        file="opportunities"),
    # developer.zendesk.com: export of tickets
    PublicTable("zendesk_tickets", {
        "id": "key:", "subject": "text", "requester_id": "user:9", "status": "word:open|solved",
        "priority": "word:low|high", "created_at": "time:%Y-%m-%dT%H:%M:%SZ",
        "updated_at": "late", "channel": "word:email|web",
    }, "events", {"user_id": "requester_id", "event_time": "created_at"}, file="tickets"),
    # docs.moodle.org/en/Logs
    PublicTable("moodle_logs", {
        "id": "seq:1", "eventname": "word:\\\\core\\\\viewed|\\\\mod_quiz\\\\attempt_started",
        "component": "word:core|mod_quiz", "action": "word:viewed|started|submitted",
        "target": "word:course|attempt", "userid": "user:", "courseid": "item:",
        "timecreated": "epoch:1", "origin": "word:web|ws", "ip": "fixed:10.0.0.1",
    }, "events", {"user_id": "userid", "item_id": "courseid", "event_time": "timecreated",
                  "action": "action"}),
    # tianchi.aliyun.com/dataset/42: IJCAI-15 repeat buyers, user_log
    PublicTable("tmall_user_log", {
        "user_id": "user:", "item_id": "item:", "cat_id": "int:1:90", "seller_id": "int:1:30",
        "brand_id": "int:1:50", "time_stamp": "time:%Y%m%d", "action_type": "int:0:4",
    }, "events", {"user_id": "user_id", "item_id": "item_id", "event_time": "time_stamp",
                  "action": "action_type"}, frozenset(["actions"]), file="user_log"),
    # tianchi.aliyun.com/dataset/649: UserBehavior
    PublicTable("taobao_user_behavior", {
        "User ID": "user:", "Item ID": "item:", "Category ID": "int:1:90",
        "Behavior type": "word:pv|fav|cart|buy", "Timestamp": "epoch:1",
    }, "events", {"user_id": "User ID", "item_id": "Item ID", "event_time": "Timestamp",
                  "action": "Behavior type"}),
    # moocdata.cn/data/user-activity: log of xuetangX
    PublicTable("xuetangx", {
        "enroll_id": "order:", "username": "user:", "course_id": "item:course-v1:", "session_id":
        "hash", "action": "word:load_video|problem_get|click_about",
        "object": "?text", "time": "time:",
    }, "events", {"user_id": "username", "item_id": "course_id", "event_time": "time",
                  "action": "action"}, frozenset(["user_id"])),
    # an order export of a WeChat mall, with the usual names
    PublicTable("wechat_mall", {
        "订单号": "order:2024", "下单时间": "time:", "用户ID": "user:oX", "收货人": "person",
        "手机号": "phone", "商品编号": "item:SP", "商品名称": "title", "数量": "int:1:4",
        "实付金额": "total:", "订单状态": "word:已完成|已发货|已取消",
    }, "events", {"user_id": "用户ID", "item_id": "商品编号", "event_time": "下单时间",
                  "count": "数量", "value": "实付金额"}, frozenset(["where", "value_is"]),
        file="订单导出"),
)  # fmt: skip
