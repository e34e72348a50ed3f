"""Exports whose makers document their columns: what each means needs no guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from propense.tables.cells.order_words import order_state
from propense.tables.guessing.groups import Group


@dataclass(frozen=True)
class DocumentedExport:
    """An export by its header. Names are compared without case and signs."""

    name: str
    needs: tuple[str, ...]
    """Columns by which it is recognised."""
    columns: Mapping[str, tuple[str, ...]]
    """Canonical name -> the columns that can be it; the first that has cells is."""
    action: str | None = None
    status: str | None = None
    paid: tuple[str, ...] = ()
    """Words of `status` of rows that somebody paid, also where the money went back later."""
    unpaid: tuple[str, ...] = ()
    """Words of `status` of rows whose money is not there, whatever they sound like."""
    refunded: str | None = None
    """Column with the amount that was refunded."""
    order_fields: tuple[str, ...] = ()
    """Columns that stand on the first line of an order only."""
    settings: Mapping[str, Any] = field(default_factory=dict)


DOCUMENTED_EXPORTS: Final = (
    DocumentedExport(  # help.shopify.com/manual/fulfillment/managing-orders/exporting-orders
        "Shopify's export of orders",
        ("Name", "Financial Status", "Lineitem quantity", "Lineitem price", "Created at"),
        {
            "user_id": ("Email", "Phone"), "item_id": ("Lineitem sku", "Lineitem name"),
            "event_time": ("Created at",), "price": ("Lineitem price",),
            "count": ("Lineitem quantity",), "order_id": ("Name",),
        },
        action="pay", status="Financial Status",
        paid=("paid", "partially_paid", "partially_refunded", "refunded"),
        refunded="Refunded Amount",
        order_fields=("Email", "Phone", "Created at", "Financial Status", "Currency"),
    ),
    DocumentedExport(  # docs.stripe.com/reports/... payments: "Export" of the dashboard
        "Stripe's export of payments",
        ("id", "Amount", "Amount Refunded", "Status", "Customer ID"),
        {
            "user_id": ("Customer ID", "Customer Email"), "anonymous_id": ("Customer Email",),
            "event_time": ("Created date (UTC)", "Created (UTC)"), "value": ("Amount",),
            "order_id": ("id",), "refund_time": ("Refunded date (UTC)",),
        },
        action="pay", status="Status",
        paid=("Paid", "Refunded", "Partially refunded", "Partial refund", "succeeded"),
        unpaid=("Disputed",), refunded="Amount Refunded", settings={"time_zone": "UTC"},
    ),
    DocumentedExport(  # docs of "Advanced Order Export For WooCommerce"
        "WooCommerce's export of orders",
        ("Order Number", "Order Status", "Order Date", "Email (Billing)", "Item Cost"),
        {
            "user_id": ("Customer User ID", "Customer ID", "Email (Billing)"),
            "anonymous_id": ("Email (Billing)",),
            "item_id": ("SKU", "Product Id", "Item Name"), "event_time": ("Order Date",),
            "price": ("Item Cost",), "count": ("Quantity (- Refund)", "Quantity"),
            "order_id": ("Order Number",),
        },
        action="pay", status="Order Status",
        paid=(
            "Processing", "Completed", "Refunded", "wc-processing", "wc-completed", "wc-refunded",
        ),
        unpaid=("On hold", "wc-on-hold"),
        refunded="Order Refund Amount",
        order_fields=("Email (Billing)", "Order Date", "Order Status", "Order Refund Amount"),
    ),
    DocumentedExport(  # sellercentral.amazon.com: "Order reports"; item-price is the line's
        "Amazon's report of orders",
        ("order-id", "order-item-id", "purchase-date", "item-price", "quantity-purchased"),
        {
            "user_id": ("buyer-email", "buyer-name"), "item_id": ("sku", "asin"),
            "event_time": ("purchase-date",), "value": ("item-price",),
            "count": ("quantity-purchased",), "currency": ("currency",),
            "order_id": ("order-id",),
        },
        action="pay",
    ),
    DocumentedExport(  # docs.moodle.org/en/Logs: "Download table data"
        "Moodle's export of logs",
        ("Time", "User full name", "Affected user", "Event context", "Component", "Event name"),
        {
            "user_id": ("User full name",), "item_id": ("Event context",),
            "event_time": ("Time",), "action": ("Event name",),
        },
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Recognised:
    """A documented export in one group of files."""

    name: str
    columns: dict[str, str]
    settings: dict[str, tuple[Any, str]]
    """Key -> its value and the reason."""


def recognise(group: Group) -> Recognised | None:
    """What a group of files is among the documented exports, or None."""
    own_names = {_fold(own): own for own in group.columns}
    for export in DOCUMENTED_EXPORTS:
        if all(_fold(name) in own_names for name in export.needs):
            return _recognised(export, group, own_names)
    return None


def _fold(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _recognised(export: DocumentedExport, group: Group, own_names: Mapping[str, str]) -> Recognised:
    def own(name: str) -> str | None:
        """The file's own column, if it has a cell."""
        column = own_names.get(_fold(name))
        return column if column is not None and group.column(column).n_filled else None

    columns: dict[str, str] = {}
    for canonical, candidates in export.columns.items():
        chosen = next((column for name in candidates if (column := own(name))), None)
        if chosen is not None and chosen not in columns.values():
            columns[canonical] = chosen
    settings: dict[str, tuple[Any, str]] = {}
    if export.action is not None:
        settings["action"] = (export.action, f"it is {export.name}")
    refunded = own(export.refunded) if export.refunded else None
    if export.status and (status := own(export.status)) is not None:
        words = sorted(group.column(status).words)
        settings["where"] = _paid_rows(export, status, words, netted=refunded is not None)
    if refunded is not None:
        settings["refunded"] = (refunded, "what went back is an event of its own")
    carried = [column for name in export.order_fields if (column := own(name))]
    carried = [column for column in carried if group.column(column).n_missing]
    if carried and "order_id" in columns:
        settings["carry_down"] = (carried, "they stand on the first line of an order only")
    settings |= {key: (value, f"as {export.name} has it") for key, value in export.settings.items()}
    return Recognised(export.name, columns, settings)


def _paid_rows(
    export: DocumentedExport, status: str, words: Sequence[str], netted: bool
) -> tuple[dict[str, list[str]], str]:
    """`where` of an export whose column `status` has `words` in the sample, and the reason.

    It names the documented words too that the sample lacks, as later rows can have them. Orders
    whose money went back whole are read where they are `netted` by a column of refunds.
    """
    unpaid = {_fold(word) for word in export.unpaid}
    states = ("paid", "returned") if netted else ("paid",)
    some = {
        _fold(word): word for word in (*export.paid, *words)
        if _fold(word) not in unpaid and order_state(word) in states
    }  # fmt: skip
    left_out = [word for word in words if _fold(word) not in some]
    reason = f"no money stayed of what is {', '.join(left_out)}" if left_out else (
        "what somebody paid"
    )  # fmt: skip
    return {status: list(some.values())}, reason
