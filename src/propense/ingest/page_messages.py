"""What a page's key may send: what visitors do, and customers whose ids the shop's server signed.

Everybody has such a key, so nobody's word is taken for being a customer: the page sends
`userIdSignature` beside `userId` (or in `context`), which only the shop's server can make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from propense.history.records import CustomerUpdate
from propense.ingest.rules import Ignored, IngestRules
from propense.ingest.segment import IngestError, Message, Refusal, TrackingCall, text_id

SIGNATURE: Final = "userIdSignature"
PAGE_KINDS: Final = frozenset({"track", "page", "screen", "identify"})
_REMEDY: Final = "send it from your server, with a key of: propense keys create NAME --kind server"
_UNSIGNED: Final = (
    f"a page's userId needs {SIGNATURE}, the HMAC-SHA256 of the id that your server makes with the "
    "secret of: propense keys secret PREFIX; or send from your server with a key of --kind server; "
    'or trust every page with [serve] page_user_ids = "any"'
)
_WRONG: Final = (
    f"{SIGNATURE} is not the hexadecimal HMAC-SHA256 of this userId with the secret of: "
    "propense keys secret PREFIX"
)
_UNTIDY: Final = (
    "a page's userId must be written as it is stored, since the ids of two customers may differ by "
    "what is not stored; sign and send {!a}"
)


def check_page_messages(
    call: TrackingCall, rules: IngestRules, has_signed: Callable[[str, str], bool] | None
) -> TrackingCall:
    """The call without the messages that a page may not send, which become refusals.

    `has_signed` tells of an id and a signature whether the shop's server made it; None takes
    every id without one.
    """
    messages, refusals = [], list(call.refusals)
    for message in call.messages:
        try:
            _check(message, rules, has_signed)
            messages.append(message)
        except IngestError as error:
            refusals.append(Refusal(error.pointer, error.reason))
    return msgspec.structs.replace(call, messages=messages, refusals=refusals)


def without_grants(updates: Sequence[CustomerUpdate], ignored: Ignored) -> list[CustomerUpdate]:
    """The updates without consent that is granted: everybody could grant it in another's name. What
    was left out is added to `ignored`."""
    refusing = []
    for update in updates:
        refused = {purpose: flag for purpose, flag in update.consent.items() if not flag}
        ignored += ["page_consent"] * (len(update.consent) - len(refused))
        refusing.append(
            update
            if len(refused) == len(update.consent)
            else msgspec.structs.replace(update, consent=refused)
        )
    return refusing


def _check(
    message: Message, rules: IngestRules, has_signed: Callable[[str, str], bool] | None
) -> None:
    """Raises IngestError."""
    body, pointer = message.body, message.pointer
    if message.kind not in PAGE_KINDS:
        raise IngestError(
            f"{pointer}/type" if pointer else "",
            f"a page's key sends no {message.kind} calls; {_REMEDY}",
        )
    if has_signed is None:
        return
    stored_id = rules.customer_id(body.get("userId"), f"{pointer}/userId", [])
    if stored_id is None:
        return
    signature = _signature(body)
    if signature is None:
        raise IngestError(f"{pointer}/userId", _UNSIGNED)
    user_id = text_id(body["userId"], f"{pointer}/userId")
    if type(signature) is not str or user_id is None or not has_signed(user_id, signature[:128]):
        raise IngestError(f"{pointer}/{SIGNATURE}", _WRONG)
    # Only the capitals of an e-mail address may differ: they name the same customer everywhere.
    if stored_id not in (user_id, user_id.lower()):
        raise IngestError(f"{pointer}/userId", _UNTIDY.format(stored_id[:64]))


def _signature(body: dict[str, Any]) -> Any:
    context = body.get("context")
    own = body.get(SIGNATURE)
    return context.get(SIGNATURE) if own is None and type(context) is dict else own
