"""Policies of other brokers -> ours, and what that changes. Pure: texts in, a policy and differences out.

filters     what one filter covers and shares with another, variables included
ordered     a list where the first match decides -> permits and forbids, where a forbid beats a permit
classes     one such list for each class of identities -> roles, and who gets which
acl_file    Mosquitto's ACL file, read
passwords   Mosquitto's password file, read
mosquitto   both of them -> an `Imported`
dynsec      Mosquitto's dynamic-security.json -> an `Imported`
erlang      the terms of Erlang that EMQX's acl.conf is written in
emqx        acl.conf -> an `Imported`
imported    what all of them give
"""

from bartizan.policy.imports.imported import Imported, ImportedIdentity, UnreadableLine

__all__ = ["Imported", "ImportedIdentity", "UnreadableLine"]
