"""The command line: one file per verb; what a verb needs is imported when it runs.

app         the verbs, exit codes, one-line errors; verbs, how the list of them imports none

The broker:

up          starts it (first_run: what is made in an empty data directory; summary: what is printed)
running     what it says of itself; doctor, what is exposed and what needs care (examine*, finding)
store       what it keeps on disk: check, export, import, compact
import_     policy and identities of another broker (import_files, import_report, import_store); dynsec, its commands
bench       messages per second, of any broker

Who may what:

enrol       an identity and its bundle; passwd, a new password
identity    who exists (identity_csv: import and export; identity_there, groups_there: at a broker elsewhere)
group       groups, and who is in them; role, the policy's roles, and who has them
credential  what proves identities: rotate, revoke, who still uses the old one (credential_pin: of another CA; credentials_there)
operator    the people who run the broker (operator_token: programs that act for them)
policy/     check, fmt, lint, test, explain, who, diff, docs, graph, stage, learn, advise
denials     what the policy refused, and the smallest grant for it

What happens, and what is done about it:

clients     who is connected, with rates; connected, one of them in full, and out with it
session     what is kept for a client; subscription, who gets what; retained, topic, what is there
trace       packets of one client (trace_lines, pcapng: how they are written down); watch, live/, all of it live
revoke      an identity is out for good; quarantine, for a while (acted: how it is done, acted_there: elsewhere)
ban         who may not connect, whatever proves it; throttle, who publishes more slowly for a while
findings    what detectors found; response, what playbooks did; runbook, steps about one identity or address
audit       the record of changes and events (audit_export, audit_filter, audit_lines)
login       at a broker elsewhere; login_browser, at its OpenID Provider; approval, what takes two operators there

For everybody:

publish     `bartizan pub`; subscribe, `bartizan sub`; client, the connection of both; completion, of a shell

What they share:

control     asks the broker that runs; ask, the API at the control socket or elsewhere; remote, elsewhere; paths
opening     opens a data directory: settings, CA, identities; observed, what was observed there
person      who works here
listing     tables, JSON, times; console, what prints them; duration, `14d`, `36h`; new_file, a file that a verb makes
"""

from bartizan.cli.app import main

__all__ = ["main"]
