"""The command line: one file per verb; what a verb needs is imported when it runs.

app         the verbs, exit codes, one-line errors
verbs       what a verb is, and how the list of them imports none
up          start the broker
enrol       an identity and its bundle
passwd      a new password
identity    who exists (identity_csv: import and export; identity_there, groups_there: at a broker elsewhere)
group       groups, and who is in them
role        the policy's roles, and who has them
credential  what proves identities: rotate, revoke, who still uses the old one
ban         who may not connect, whatever proves it
throttle    an identity publishes more slowly for a while
runbook     steps about one identity or address; session, discards one
policy/     check, fmt, lint, test, explain, who, diff, docs, graph, stage, learn, advise
denials     what the policy refused, and the smallest grant for it
clients     who is connected, with rates; connected, one of them in full, and out with it
running     what a broker says of itself
doctor      what is exposed and what needs care
publish     `bartizan pub`
subscribe   `bartizan sub`
completion  shell completion
first_run   what `up` makes in an empty data directory (no verb of its own)
summary     what `up` prints
client      the connection of pub and sub
listing     tables and JSON of the verbs that look at identities
duration    `14d`, `36h`
new_file    a file that a verb makes
control     asks the broker that runs
ask         the API at the control socket, or elsewhere
login       at a broker elsewhere; remote, asks it by its API; acted_there, acts on identities there
approval    what takes two operators there
opening     opens a data directory: settings, CA, identities
"""

from bartizan.cli.app import main

__all__ = ["main"]
