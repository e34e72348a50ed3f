"""The words of every table, once."""

from __future__ import annotations

from typing import Final

USER_ID: Final = "user_id"
ANONYMOUS_ID: Final = "anonymous_id"
ITEM_ID: Final = "item_id"
ACTION: Final = "action"
EVENT_TIME: Final = "event_time"
TIME_OF_DAY: Final = "time_of_day"
TIME_ZONE: Final = "time_zone"
VALUE: Final = "value"
COUNT: Final = "count"
EVENT_ID: Final = "event_id"
SOURCE: Final = "source"
ORDER: Final = "order"
ORDER_ID: Final = "order_id"
CURRENCY: Final = "currency"
REFUND_TIME: Final = "refund_time"
AS_OF: Final = "as_of"
PART: Final = "part"
FOLD: Final = "fold"
DUPLICATE_GROUP: Final = "duplicate_group"
CAMPAIGN: Final = "campaign"
ARM: Final = "arm"
TREATED: Final = "treated"
EXPOSURE_TIME: Final = "exposure_time"
P_TREATED: Final = "p_treated"
POSITION: Final = "position"
P_ACTION: Final = "p_action"
POLICY: Final = "policy"
TIME: Final = "time"
OUTCOME: Final = "outcome"
REASON: Final = "reason"

EVENT_COLUMNS: Final = (
    USER_ID, ITEM_ID, ACTION, EVENT_TIME, VALUE, COUNT, EVENT_ID, SOURCE,
)  # fmt: skip
EXPOSURE_COLUMNS: Final = (USER_ID, CAMPAIGN, ARM, TREATED, EXPOSURE_TIME, P_TREATED)
IMPRESSION_COLUMNS: Final = (USER_ID, ITEM_ID, POSITION, P_ACTION, POLICY, TIME, OUTCOME)

MICRO_UNITS: Final = 1_000_000
"""Money is stored as integer micro-units: 12.50 is 12_500_000."""
