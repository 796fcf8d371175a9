"""Control-plane records: what is kept about identities, behind ports, in memory or in SQLite.

ports    the Protocols and the changes that a transaction is made of
memory   for tests and for brokers that keep nothing
tables   the relational schema and its forward migrations (SQLAlchemy Core)
rows     identities to rows and back
sqlite   the durable adapter; another process may write at the same time
embedded the engine's own store of Sessions and messages, worked on while no broker runs

One contract suite (tests/contract) runs on every adapter of the identity store. Messages and Sessions
are not in it: the engine keeps them in a store of its own.
"""

from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Create, Delta, IdentityDirectory, IdentityStore, Remove, Replace
from bartizan.store.sqlite import SqliteIdentityStore

__all__ = [
    "Create",
    "Delta",
    "IdentityDirectory",
    "IdentityStore",
    "MemoryIdentityStore",
    "Remove",
    "Replace",
    "SqliteIdentityStore",
]
