"""`propense secret`: the keys that the service derives from its secret, one for each purpose."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from propense.cli.keys import ACTOR, now_micros
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.settings import seconds


def roll_secret(purpose: str, /, *, grace: str = "7d", common: Common = DEFAULTS) -> None:
    """Roll the key of one purpose; a running service follows within seconds.

    Purposes: webhooks (messages are signed with both keys during the grace),
    receipts (later receipts of erasures), keys (later API keys), audit (later
    rows of the audit log). What was signed before stays true.

    Parameters
    ----------
    purpose
        webhooks, receipts, keys or audit.
    grace
        How long the old key of the webhooks is used beside the new one; 0 ends it
        at once.
    """
    from propense.serving.operations.secret_rolls import roll

    output = open_output(common)
    grace_seconds = 0 if grace.strip() == "0" else seconds(grace)
    secrets, new = roll(load_settings(common), purpose, grace_seconds, now_micros, ACTOR)
    shown: dict[str, Any] = {"purpose": purpose, "generation": new.generation}
    text = f"{purpose}: generation {new.generation}"
    if purpose == "webhooks":
        shown |= {"key": secrets.key("webhooks").hex(), "grace_seconds": grace_seconds}
        text += f"; give receivers this key within {grace}:\n{shown['key']}"
    output.result(shown, text)


def show_secret(
    purpose: Annotated[str, Parameter(show_default=False)], /, *, common: Common = DEFAULTS
) -> None:
    """Show what others need to check the service's signatures.

    Parameters
    ----------
    purpose
        webhooks: the key that receivers share with the service, as hex; receipts:
        the public keys of every generation, the present one first.
    """
    from propense.errors import ServeError, nearest
    from propense.privacy.receipts import public_keys
    from propense.serving.operations.secret_rolls import present

    output = open_output(common)
    shared = ("webhooks", "receipts")
    if purpose not in shared:
        raise ServeError(f"nobody else needs the key of {purpose!r}; {nearest(purpose, shared)}")
    secrets = present(load_settings(common))
    keys = (
        [one.hex() for one in secrets.keys("webhooks", now_micros())]
        if purpose == "webhooks"
        else [one.hex() for one in public_keys(secrets)]
    )
    output.result({"purpose": purpose, "keys": keys}, "\n".join(keys))
