"""Control-plane records: what is kept about identities, behind ports, in memory, SQLite or PostgreSQL.

ports       the Protocols and the changes that a transaction is made of
memory      for tests and for brokers that keep nothing
tables      the relational schema of today (SQLAlchemy Core)
migrations  how an earlier schema becomes that one
rows        identities and groups to rows and back
operators   the people who run the broker, for each adapter; operator_rows, their rows; approvals, what waits for two
queries     reads of whole identities
writer      one transaction's changes
sql         what the two relational adapters share
sqlite      the default: a file; another process may write at the same time
postgres    a database that several brokers share
embedded    the engine's own store of Sessions and messages, worked on while no broker runs

One contract suite (tests/contract) runs on every adapter of the identity store. Messages and Sessions
are not in it: the engine keeps them in a store of its own.

It exports no names: who wants the ports does not load SQLAlchemy.
"""
