"""A record that nobody can quietly change: append-only, hash-chained, signed.

canonical  one spelling of a JSON value (RFC 8785)
record     what is recorded, and a line of the log
segments   the files of a log, and where it ends
keys       the Ed25519 key that signs checkpoints and heads
head       how far a log goes, signed
founding   the directory of the record, made whole at the first one
log        appends: alone, synced, in order
damage     how a log goes on behind what a crash, or somebody, left at its end
cursor     reads on where one left off
events     security events in a log of their own, bounded under a flood
export     records as JSON lines, CSV and CEF; ocsf, severity: for OCSF and for how bad one is
sinks      where the record goes too; carriers, of which kinds: syslog, http
retention  which segments are old enough to go
trail      a change on record before it takes effect, and its outcome
shown      identities, groups and operators without their secrets; what a change makes different
stores     the identity store that records every change of itself
verify     reads whole logs and names what is not as it was written; unsigned, of records that no key signed
search     the records that somebody asks for

It exports no names: who records a change loads no verifier.
"""
