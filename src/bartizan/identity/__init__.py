"""Who exists, what proves it, until when.

register   adds, changes and removes identities in a store
hashes     those of other brokers, until the next login
passwords  argon2id hashes, generated secrets
"""

from bartizan.identity.register import Register

__all__ = ["Register"]
