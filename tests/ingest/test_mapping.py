"""What event names, paths and baskets become."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.history.records import LiveEvent
from propense.ingest.mapping import MOST_REMEMBERED, Mapper, Spellings
from propense.ingest.numbers import read_count, read_money, read_number
from propense.ingest.rules import Ignored, IngestRules
from propense.ingest.segment import IngestError, Message
from propense.settings import Clean, EventMapping, Serve
from tests.support.shops.messages import OTHER, RATE, draw_messages

SERVE = Serve(
    source="web",
    events={
        "Course Paid": EventMapping(
            action="pay", item=("properties.course_id", "context.page.course")
        ),
        "Order Completed": EventMapping(action="pay"),
        "Bare": EventMapping(action="bare", products=None, value=()),
    },
)
MAPPER = Mapper(SERVE, ("pay", "course_viewed", "page"), ("App", "mini-site"))


def events(name: str, properties: Any = None, **body: Any) -> tuple[LiveEvent, ...]:
    message = Message("track", "/batch/3", {"event": name, "properties": properties, **body})
    return MAPPER.events(message, 7, "app")


def one(name: str, properties: Any = None, **body: Any) -> LiveEvent:
    (event,) = events(name, properties, **body)
    return event


def pointer_of_refusal(name: str, properties: Any, **body: Any) -> str:
    with pytest.raises(IngestError) as raised:
        events(name, properties, **body)
    return raised.value.pointer


def test_a_named_event_is_what_the_settings_say() -> None:
    event = one("Course Paid", {"course_id": 12, "revenue": "129.90", "quantity": 2})
    assert event == LiveEvent(7, "pay", "12", 129_900_000, 2.0, "app")


def test_the_first_path_that_is_there_counts() -> None:
    context = {"page": {"course": "from-context"}}
    assert one("Course Paid", {"course_id": "a"}, context=context).item_id == "a"
    assert one("Course Paid", {"course_id": None}, context=context).item_id == "from-context"
    assert one("Course Paid", {"course_id": ""}, context=context).item_id == "from-context"
    assert one("Course Paid", {}, context={"page": 3}).item_id is None
    assert one("x", {"revenue": 0, "value": 5}).value == 0


def test_other_names_keep_their_name_or_are_the_one_action_spelt_alike() -> None:
    assert one("Course Viewed", {"sku": "s"}) == LiveEvent(
        7, "course_viewed", "s", None, None, "app"
    )
    assert one("COURSE-VIEWED").action == "course_viewed"
    assert one("Video Paused").action == "Video Paused"
    assert one("Pay").action == "pay"


@given(st.lists(st.sampled_from(["a b", "a-b", "A_B", "a_b", "c"]), unique=True))
def test_two_actions_spelt_alike_are_never_guessed_between(words: list[str]) -> None:
    alike = [word for word in words if word != "c"]
    assert Spellings(words).find("a B") == (alike[0] if len(alike) == 1 else "a B")
    assert all(Spellings(words).find(word) == word for word in words)


def test_pages_and_screens() -> None:
    def page(kind: Any, mapper: Mapper) -> LiveEvent:
        body = {"name": "Home", "properties": {"item_id": "i", "path": "/x"}}
        (event,) = mapper.events(Message(kind, "", body), 7, None)
        return event

    assert page("page", MAPPER) == LiveEvent(7, "page", "i")
    assert page("screen", MAPPER) == LiveEvent(7, "screen", "i")
    mapped = Mapper(Serve(pages=EventMapping(action="view", item=("properties.path", "name"))))
    assert page("page", mapped) == page("screen", mapped) == LiveEvent(7, "view", "/x")


def test_calls_about_the_customer_are_no_events() -> None:
    for kind in ("identify", "group", "alias"):
        assert MAPPER.events(Message(kind, "", {"event": "x"}), 7, None) == ()  # type: ignore[arg-type]


def test_a_basket_is_an_event_a_product() -> None:
    products = [
        {"product_id": "a", "price": 10, "quantity": 3},
        {"sku": 5, "price": "2.50"},
        {"id": "c", "quantity": 2},
    ]
    assert events("Order Completed", {"products": products, "revenue": 99, "sku": "no"}) == (
        LiveEvent(7, "pay", "a", 30_000_000, 3.0, "app"),
        LiveEvent(7, "pay", "5", 2_500_000, None, "app"),
        LiveEvent(7, "pay", "c", 66_500_000, 2.0, "app"),
    )
    unpriced = {"products": products}
    assert [event.value for event in events("Order Completed", unpriced)] == [
        30_000_000, 2_500_000, None
    ]  # fmt: skip


@given(
    st.lists(st.none() | st.floats(0.5, 40), min_size=1, max_size=9),
    st.floats(-1e6, 1e6),
)
def test_money_of_an_order_without_prices_is_shared_and_none_is_lost(
    counts: list[float | None], total: float
) -> None:
    products = [{"sku": "s"} | ({} if n is None else {"quantity": n}) for n in counts]
    made = events("Order Completed", {"products": products, "total": total})
    assert sum(event.value or 0 for event in made) == round(total * 1e6)
    assert [event.count for event in made] == counts


EUROPE = Mapper(
    Serve(events={"Order Completed": EventMapping(action="pay")}),
    rules=IngestRules(currency="EUR", exchange_rates={"USD": 0.92}, is_refund=Clean().is_refund),
)


def in_europe(name: str, properties: Any) -> tuple[list[int | None], Ignored]:
    """Values of the events, and what was left out."""
    ignored: Ignored = []
    message = Message("track", "", {"event": name, "properties": properties})
    return [event.value for event in EUROPE.events(message, 7, None, ignored)], ignored


def test_what_was_paid_is_shared_over_lines_with_prices() -> None:
    products = [
        {"product_id": "a", "price": 50, "quantity": 1},
        {"product_id": "b", "price": "50.00", "quantity": 1},
    ]
    half = [{"sku": "a", "price": "50.00", "quantity": "2"}, {"id": "b", "price": None}]
    for sold, wanted in ((products, [40_000_000, 40_000_000]), (half, [80_000_000, 0])):
        assert in_europe("Order Completed", {"products": sold, "revenue": 80.0}) == (wanted, [])


@pytest.mark.parametrize(
    ("currency", "value", "left_out"),
    [("EUR", 30_000_000, []), ("eur ", 30_000_000, []), ("", 30_000_000, []),
     (None, 30_000_000, []), ("USD", 27_600_000, []), ("usd", 27_600_000, []),
     ("JPY", None, ["other_currency"]), ("\u20ac?", None, ["other_currency"]),
     (7, None, ["other_currency"]), ([], None, ["other_currency"])],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Order Completed", "Tip"])
def test_money_of_other_currencies_is_converted_or_left_out(
    name: str, currency: Any, value: int | None, left_out: list[str]
) -> None:
    assert in_europe(name, {"total": 30, "currency": currency}) == ([value], left_out)
    without = {"currency": currency}
    assert in_europe(name, without) == ([None], []), "no money, no currency"


def test_a_product_may_have_a_currency_of_its_own() -> None:
    products = [{"sku": "a", "price": 10, "currency": "USD"}, {"sku": "b", "price": 10}]
    assert in_europe("Order Completed", {"products": products, "currency": "EUR"}) == (
        [9_200_000, 10_000_000], []
    )  # fmt: skip
    assert in_europe("Order Completed", {"products": products[1:], "currency": "JPY"}) == (
        [None], ["other_currency"]
    )  # fmt: skip


def test_refunds_count_as_negative_whatever_their_sign() -> None:
    for total in (30, -30, "30.00"):
        assert in_europe("Refund", {"total": total})[0] == [-30_000_000]
    basket = {"products": [{"price": 20}, {"price": 20}], "total": 30}
    assert in_europe("refund", basket)[0] == [-15_000_000, -15_000_000]
    assert in_europe("Order Completed", {"total": -30})[0] == [-30_000_000]


def test_parts_that_cannot_be_read_are_counted() -> None:
    for properties, left_out in (
        ({"product_id": ["a", "b"]}, ["unreadable_item"]),
        ({"products": "a, b"}, ["unreadable_item"]),
        ({"product_id": "undefined"}, ["placeholder_id"]),
        ({"product_id": "a", "value": "dark"}, ["unreadable_value"]),
        ({"product_id": "a", "quantity": "many"}, ["unreadable_count"]),
        ({"product_id": "0", "value": "12.50"}, []),
    ):
        assert in_europe("view", properties)[1] == left_out, properties


def test_ids_of_items_in_camel_case_and_with_blanks() -> None:
    for key in ("productId", "itemId", "product_id", "item_id", "sku", "id"):
        assert one("view", {key: " P01\u00a0"}).item_id == "P01"
    bought = {"products": [{"productId": "a"}, {"itemId": " b"}]}
    assert [event.item_id for event in events("Order Completed", bought)] == ["a", "b"]


def test_a_basket_that_is_none() -> None:
    assert one("Order Completed", {"products": [], "revenue": 3}).value == 3_000_000
    assert one("Video Paused", {"products": "none", "value": 3}).value == 3_000_000
    assert one("Bare", {"products": [{"sku": "a"}], "sku": "b", "value": 3}) == LiveEvent(
        7, "bare", "b", None, None, "app"
    )


def test_broken_numbers_of_named_events_are_refused_with_their_place() -> None:
    at = "/batch/3/properties"
    refused = pointer_of_refusal
    assert refused("Course Paid", {"revenue": "12,50"}) == f"{at}/revenue"
    assert refused("Course Paid", {"revenue": True}) == f"{at}/revenue"
    assert refused("Course Paid", {"revenue": 10**13}) == f"{at}/revenue"
    assert refused("Course Paid", {"quantity": -1}) == f"{at}/quantity"
    assert refused("Course Paid", {"course_id": []}) == f"{at}/course_id"
    assert refused("Course Paid", {"course_id": "a\x01b"}) == f"{at}/course_id"
    assert refused("Order Completed", {"products": 3}) == f"{at}/products"
    assert refused("Order Completed", {"products": [3]}) == f"{at}/products/0"
    sold = [{"price": 1}, {"price": "x"}]
    assert refused("Order Completed", {"products": sold}) == f"{at}/products/1/price"
    many = [{"price": 10**11, "quantity": 11}]
    assert refused("Order Completed", {"products": many}) == f"{at}/products/0/price"


def test_in_other_events_a_value_that_is_no_money_is_about_something_else() -> None:
    event = one("Theme Changed", {"value": "dark", "quantity": 0, "id": {"a": 1}})
    assert event == LiveEvent(7, "Theme Changed", None, None, None, "app")
    assert one("Clock", {"value": 1_709_280_000_000_000}).value is None


@pytest.mark.parametrize("name", [None, "", 3.5, [], "x" * 257, "a\x00b"])
def test_a_track_call_needs_a_name(name: Any) -> None:
    assert pointer_of_refusal(name, {}) == "/batch/3/event"


@pytest.mark.parametrize("properties", [[], "x", 3, {str(i): i for i in range(1001)}])
def test_properties_are_a_bounded_object(properties: Any) -> None:
    assert pointer_of_refusal("x", properties) == "/batch/3/properties"


def test_consent_banners_send_no_events() -> None:
    assert events("Segment Consent Preference Updated") == ()


def test_the_source_is_the_keys_else_the_settings_else_none() -> None:
    assert MAPPER.source("kiosk") == "kiosk"
    assert (MAPPER.source("app"), MAPPER.source("Mini Site")) == ("App", "mini-site")
    assert MAPPER.source(None) == "web"
    assert Mapper(Serve()).source(None) is None


def test_names_without_end_take_no_memory_without_end() -> None:
    mapper = Mapper(Serve())
    for number in range(MOST_REMEMBERED + 50):
        (event,) = mapper.events(Message("track", "", {"event": f"e{number}"}), 7, None)
        assert event.action == f"e{number}"
    assert len(mapper._meanings) == MOST_REMEMBERED


@given(st.integers(-(10**15), 10**15))
def test_money_in_text_and_in_numbers_is_the_same_to_the_cent(cents: int) -> None:
    cents = cents % 10**11
    text = f"{cents // 100}.{cents % 100:02d}"
    assert read_money(text, "") == read_money(float(text), "") == cents * 10_000


@pytest.mark.parametrize(
    "value",
    ["", "x", "1_0", "nan", "inf", "-Infinity", "1e999", "１２", "0x1", None, True, [], 10**400,
     "9" * 41],
)  # fmt: skip
def test_what_is_no_number(value: Any) -> None:
    assert read_number(value) is None
    with pytest.raises(IngestError, match="must be a number"):
        read_money(value, "/v")
    with pytest.raises(IngestError, match="must be a number"):
        read_count(value, "/v")


@pytest.mark.parametrize("seed", range(40))
def test_the_net_of_a_shop_is_the_truth_to_the_cent(seed: int) -> None:
    rules = IngestRules(currency="EUR", exchange_rates={OTHER: RATE}, is_refund=Clean().is_refund)
    mapper = Mapper(Serve(), rules=rules)
    messages, net = draw_messages(seed)
    ignored: Ignored = []
    sent = [Message("track", f"/batch/{n}", body) for n, body in enumerate(messages)]
    values = [event.value or 0 for one in sent for event in mapper.events(one, 7, "app", ignored)]
    assert (sum(values), ignored) == (net * 10_000, [])
