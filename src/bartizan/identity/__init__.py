"""Who exists, what proves it, until when.

register   adds, changes and removes identities and groups in a store
rotation   one credential after another, both live for a while; who still uses the old one
renewal    a new password, shown once
edit       a change as people ask for it: gain this, lose that, leave the rest
records    identities as plain values, for JSON and CSV
listing    lists of them, filtered, and one with its credentials; groups, roles: the same of these
chosen     everybody with a role, or whose name fits a pattern; tokens: by which programs act for operators
csv_file   identities from CSV and to it, all or nothing
hashes     those of other brokers, until the next login
passwords  argon2id hashes, generated secrets
operators  the people who run the broker: roles, one-time and recovery codes
passkeys   their keys of WebAuthn: register, log in
scram      keys that prove a password, and the arithmetic with them
"""

from bartizan.identity.register import Register

__all__ = ["Register"]
