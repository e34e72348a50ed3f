"""Stores of live history, one contract (`serving.store.Store`): SQLite, Redis, PostgreSQL."""

from propense.serving.stores.opening import open_store, restore_store

__all__ = ["open_store", "restore_store"]
