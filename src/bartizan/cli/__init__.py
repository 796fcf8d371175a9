"""The command line: one file per verb; what a verb needs is imported when it runs.

app         the verbs, exit codes, one-line errors
up          start the broker
enrol       an identity and its bundle
passwd      a new password
policy      check a policy file
clients     who is connected
doctor      what is exposed and what needs care
publish     `bartizan pub`
subscribe   `bartizan sub`
completion  shell completion
first_run   what `up` makes in an empty data directory (no verb of its own)
summary     what `up` prints
client      the connection of pub and sub
opening     opens a data directory: settings, CA, identities
"""

from bartizan.cli.app import main

__all__ = ["main"]
