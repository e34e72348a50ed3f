"""Names, members and profiles in the tables of a SQL store.

A *member* is the number of what came under one name: events and profiles hold it, so that they can
go back to their name when a customer is split. A name has one member at a time; a visitor's name
that starts anew gets another.
"""

from __future__ import annotations

from typing import Final

COLUMNS: Final = """
ALTER TABLE names ADD COLUMN member {integer};
ALTER TABLE names ADD COLUMN kind {integer};
ALTER TABLE names ADD COLUMN joined {integer};
ALTER TABLE names ADD COLUMN trusted {integer};
ALTER TABLE names ADD COLUMN unlinked {integer};
UPDATE names SET member = customer WHERE EXISTS (
    SELECT 1 FROM customers c WHERE c.key = names.customer AND c.user_id = names.name
);
ALTER TABLE events ADD COLUMN member {integer};
ALTER TABLE messages ADD COLUMN content {bytes};
ALTER TABLE state ADD COLUMN unscoped {integer} NOT NULL DEFAULT 0;
UPDATE state SET unscoped = latest;
CREATE TABLE profiles (
    customer {integer} NOT NULL,
    member {integer} NOT NULL,
    profile {text} NOT NULL,
    PRIMARY KEY (customer, member)
){without_rowid};
"""
"""A format, as that of past.TABLES. `names.kind`: 0 a visitor, 1 a customer, null a name of an
earlier version, of which it is unknown. `joined`: when it became another name of a customer.
`trusted`: 1 where a server said so. `unlinked`: 1 where no past is found by it.
`messages.content` is null, and the key shorter, in rows of earlier versions; `state.unscoped`: the
latest of these."""

UNLINKED: Final = "SELECT name FROM names WHERE unlinked = 1 AND name"
VISITOR: Final = 0
CUSTOMER: Final = 1
