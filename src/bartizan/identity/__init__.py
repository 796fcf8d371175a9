"""Who exists, what proves it, until when.

register   adds, changes and removes identities in a store
passwords  argon2id hashes, generated secrets
"""

from bartizan.identity.register import Register

__all__ = ["Register"]
