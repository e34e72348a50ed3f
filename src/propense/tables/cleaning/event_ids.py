"""Ids of customers, items and events of one source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import Column

from propense.columns import ANONYMOUS_ID, EVENT_ID, ITEM_ID, USER_ID
from propense.ids import MISSING_WORDS
from propense.settings import Settings
from propense.tables.cells.ids import IdEvidence, changed, read_id, survey_ids
from propense.tables.cleaning.identities import anonymous_id
from propense.tables.engine.json_columns import ELEMENT
from propense.tables.questions import Choice, Question, refuse_open
from propense.tables.sources.reading import RawTable, RawTables

_ZEROS: Final = "^0[0-9]+$"


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
    """Ids of user, item and event as text, and flags of what was mended; `_linked` is the anonymous
    id of a row that has both.

    Further products of one object have its event id with their position: "m1", "m1#1", "m1#2".

    Other rows have no say in what becomes of a cell: a row that is set aside must not change what
    the next cleaning makes of the rest.
    """
    no_customer = settings.clean.no_customer
    user, user_changes = _read(source, own, USER_ID, no_customer, evidence)
    item, item_changes = _read(source, own, ITEM_ID, MISSING_WORDS, evidence)
    anonymous = anonymous_id(own.get(ANONYMOUS_ID), no_customer)
    event = read_id(own[EVENT_ID]) if EVENT_ID in own else ibis.null("string")
    if EVENT_ID in own and ELEMENT in own:
        position = own[ELEMENT].fill_null(0)
        event = (position > 0).ifelse(event.concat("#", position.cast("string")), event)
    return {
        USER_ID: user if anonymous is None else user.fill_null(anonymous), ITEM_ID: item,
        EVENT_ID: event,
        "_linked": ibis.null("string") if anonymous is None
        else user.notnull().ifelse(anonymous, ibis.null("string")),
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


def _any_may_lead(column: Column) -> bool:
    """Whether a zero stands before any other digit or letter in some cell, tidied or not."""
    if not column.type().is_string():
        return False
    led = column.re_search("^[^1-9A-Za-z]*0").fill_null(False).cast("int64").max()
    return bool(led.as_table().to_pyarrow()[0][0].as_py())


def zero_links(raw: RawTables, settings: Settings) -> pa.Table | None:
    """(user, alias, source) of customers whose ids differ in leading zeros alone.

    None where there are none, or `id_zeros` keeps them apart. Raises QuestionError where the
    settings leave it open.
    """
    clean = settings.clean
    if clean.id_zeros == "keep":
        return None
    users, may_lead = [], []
    for source in raw.sources.values():
        column = source.column(USER_ID)
        if column is not None:
            ids = source.rows.select(user=column).distinct()  # far fewer than rows
            users.append(ids.select(user=read_id(ids["user"], clean.no_customer)))
            may_lead.append(_any_may_lead(column))
    if not any(may_lead):
        return None
    led = [one.filter(one["user"].re_search(_ZEROS)).count().execute() for one in users]
    if not any(led):
        return None
    everybody = (users[0] if len(users) == 1 else ibis.union(*users)).distinct()
    everybody = everybody.filter(everybody["user"].notnull()).view()
    ids = everybody.filter(everybody["user"].re_search("^0*[1-9][0-9]*$"))
    ids = ids.mutate(bare=ids["user"].re_replace("^0+", "")).view()
    several = ids.group_by("bare").having(ids.count() > 1).agg().view()
    alike = ids.semi_join(several, "bare").to_pyarrow().combine_chunks()
    if not len(alike):
        return None
    if clean.id_zeros == "auto":
        n = int(everybody.count().execute())
        fewer = n - len(alike) + len(pc.unique(alike["bare"]))
        shown = sorted(alike.to_pylist(), key=lambda one: (one["bare"], one["user"]))[:2]
        question = Question(
            key="clean.id_zeros",
            sentence=f"{len(alike):,} ids of customers differ from another in leading zeros alone; "
            "are they the same customers?",
            choices=[
                Choice("strip", f"yes, a program has lost the zeros: {fewer:,} customers"),
                Choice("keep", f"no: {n:,} customers"),
            ],
            examples=[repr(one["user"]) for one in shown],
        )
        refuse_open([question], settings)
    links = alike.filter(pc.not_equal(alike["bare"], alike["user"]))
    source = pa.nulls(len(links), pa.string()).fill_null("")
    return pa.table({"user": links["bare"], "alias": links["user"], "source": source})
