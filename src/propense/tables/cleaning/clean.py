"""Cleaning: raw tables become the clean folder, with an account of every row."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Final

import msgspec
import pyarrow as pa

from propense.columns import ITEM_ID, USER_ID
from propense.schemas import Account, Rule, RunFolder
from propense.settings import Settings
from propense.tables.cleaning.accounts import write_accounts
from propense.tables.cleaning.event_ids import zero_links
from propense.tables.cleaning.events import clean_events
from propense.tables.cleaning.identities import (
    identities_of_events,
    links_of_events,
    read_identities,
    state_links,
)
from propense.tables.cleaning.tables import clean_table
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import ALIAS, RawTables

_TABLES: Final = ("users", "items", "exposures", "impressions")
LIVE_RULE: Final = "live history"
"""Notes what a table has from the live store; it takes no row."""


def clean(raw: RawTables, settings: Settings, engine: TableEngine, run: RunFolder) -> list[Account]:
    """Clean all tables into `run.clean`; returns the account of each, events first.

    Writes `events/`, `users.parquet`, `items.parquet`, `exposures.parquet`,
    `impressions.parquet`, `identities.parquet` (folders of Parquet files; those that were given;
    identities without those of one source alone),
    `hindsight.parquet` (user_id, begin, end: when a history was not yet what it is now),
    `set_aside/TABLE.parquet` (rows as they were read, with `reason`, `file`, `row`) and
    `account.json`. Every row that came in went out or was set aside, and cleaning clean
    tables changes nothing.

    Raises SourceError naming file, column and row where a table cannot be used, QuestionError
    where the settings leave open what the data means.
    """
    shutil.rmtree(run.clean, ignore_errors=True)
    run.clean.mkdir(parents=True)
    accounts, identities = [], None
    links = links_of_events(raw, settings.clean.no_customer)
    zeros = zero_links(raw, settings)
    if zeros is not None:
        links = zeros if links is None else pa.concat_tables([links, zeros])
    if raw.identities is not None:
        words = settings.clean.no_customer
        identities, account = read_identities(
            raw.identities, engine, links, words, settings.time_zone
        )
        accounts.append(account)
    elif links is not None:
        identities = identities_of_events(links, engine)
    if identities is not None and zeros is not None:
        tables = [state_links(zeros)]
        if identities.stated is not None:
            tables.append(identities.stated)
        identities = replace(identities, stated=pa.concat_tables(tables))
    if identities is not None and identities.everywhere is not None:
        aliases = identities.everywhere.rename({USER_ID: "_main", ALIAS: "_id"})
        engine.write_parquet(aliases, run.clean / "identities.parquet")
    items = None
    for name in _TABLES:
        table = getattr(raw, name)
        if table is not None:
            accounts.append(clean_table(name, table, settings, identities, engine, run.clean))
    if raw.items is not None:
        items = engine.read_parquet(run.clean / "items.parquet").select(ITEM_ID).distinct()
    if raw.sources:
        accounts.insert(0, clean_events(raw, settings, identities, items, engine, run.clean))
    accounts = _with_files(_with_live(accounts, raw.live_notes), raw)
    write_accounts(accounts, run.clean / "account.json")
    shutil.rmtree(engine.scratch / "typed", ignore_errors=True)
    return accounts


def _with_files(accounts: list[Account], raw: RawTables) -> list[Account]:
    """How each file was read; of events the files of all sources."""
    files = {name: list(table.accounts) for name, table in raw.tables()}
    files["events"] = [one for source in raw.sources.values() for one in source.accounts]
    return [
        msgspec.structs.replace(account, files=files.get(account.table, [])) for account in accounts
    ]


def _with_live(accounts: list[Account], notes: dict[str, str]) -> list[Account]:
    """What the live store gave to each table, also where that is nothing."""
    noted = []
    for account in accounts:
        note = notes.get(account.table)
        if note is not None:
            rules = [*account.rules, Rule(LIVE_RULE, note=note)]
            account = msgspec.structs.replace(account, rules=rules)
        noted.append(account)
    tables = {account.table for account in accounts}
    noted += [
        Account(table, 0, 0, [Rule(LIVE_RULE, note=note)])
        for table, note in notes.items() if table not in tables
    ]  # fmt: skip
    return noted
