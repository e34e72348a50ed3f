"""Settings of the bundle: [pack]."""

from __future__ import annotations

from typing import Literal

from propense.settings.record import Record


class Pack(Record, frozen=True):
    """The bundle that the service loads."""

    shelf: str = "shelf"
    """Folder of the bundles."""
    refresh: bool = True
    """Refit on all data up to the last event, for the number of epochs that training found."""
    signing_key: str | None = None
    """File of the private key that signs bundles; `propense shelf keygen FILE` makes one."""
    public_key: str | None = None
    """File of public keys, PEM. With it, a bundle that none of them signed is refused."""
    promote: Literal["first", "gate"] = "first"
    """Bundles that go live without being asked for: the first one of a shelf, or every one that
    passes the shelf's gate. `propense run --every` always asks the gate."""
