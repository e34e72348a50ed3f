"""Ids of customers, items and events of one source."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
from ibis.expr.types import Column

from propense.columns import ANONYMOUS_ID, EVENT_ID, ITEM_ID, USER_ID
from propense.ids import MISSING_WORDS
from propense.settings import Settings
from propense.tables.cells.ids import IdEvidence, changed, read_id, survey_ids
from propense.tables.cleaning.identities import anonymous_id
from propense.tables.sources.reading import RawTable


def survey_source(source: RawTable, settings: Settings) -> dict[str, IdEvidence]:
    """What the columns of users and items want, by the files' own name.

    Raises SourceError where a spreadsheet has lost digits of ids.
    """
    words = {USER_ID: settings.clean.no_customer, ITEM_ID: MISSING_WORDS}
    names = {source.columns[word]: words[word] for word in words if word in source.columns}
    return survey_ids(source.rows, names, source)


def id_columns(
    source: RawTable, own: Mapping[str, Column], evidence: Mapping[str, IdEvidence],
    settings: Settings,
) -> dict[str, Column]:  # fmt: skip
    """Ids of user, item and event as text, and flags of what was mended.

    Other rows have no say in what becomes of a cell: a row that is set aside must not change what
    the next cleaning makes of the rest.
    """
    no_customer = settings.clean.no_customer
    user, user_changes = _read(source, own, USER_ID, no_customer, evidence)
    item, item_changes = _read(source, own, ITEM_ID, MISSING_WORDS, evidence)
    anonymous = anonymous_id(own.get(ANONYMOUS_ID), no_customer)
    event = read_id(own[EVENT_ID]) if EVENT_ID in own else ibis.null("string")
    return {
        USER_ID: user if anonymous is None else user.fill_null(anonymous), ITEM_ID: item,
        EVENT_ID: event,
        "_mended_user": user_changes["floating"], "_mended_item": item_changes["floating"],
        "_mended_untidy": user_changes["untidy"] | item_changes["untidy"],
        "_mended_capitals": user_changes["capitals"],
        "_fallback": ibis.literal(False) if anonymous is None
        else user.isnull() & anonymous.notnull(),
    }  # fmt: skip


def _read(
    source: RawTable, own: Mapping[str, Column], word: str, words: tuple[str, ...],
    evidence: Mapping[str, IdEvidence],
) -> tuple[Column, dict[str, Column]]:  # fmt: skip
    if word not in own:
        no = ibis.literal(False)
        return ibis.null("string"), {"floating": no, "untidy": no, "capitals": no}
    care = evidence[source.columns[word]]
    return read_id(own[word], words, care), changed(own[word], care)
