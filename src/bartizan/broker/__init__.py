"""The composition root: owns the engine, answers its questions, hands it policy, identities and certificates.

app           Broker: start, run, reload, stop
native        the engine as it is; the only module here that imports `_engine`
ports         what the broker needs of an engine, as values and a Protocol
pump          the engine's wake descriptor -> questions answered, events written, commands looked at
control       commands that clients publish -> answers
dynsec        commands of dynamic security -> policy and identities
authenticate  one question -> one answer, in time, never "allow" by accident
directory     all identities in memory, refreshed from the store
packed        an identity as a few hundred bytes
usage         when each identity was last seen, and by which credential
ended         connections of a password that was revoked end
watching      uses and denials, a staged policy, a lesson: told to the engine, written to the observations
tracing       packets of a client as they pass, for whoever looks, on record
inspecting    what clients have, what is retained, which topics there are
reading       the files of a policy -> what they say
apply         policy + identities -> the engine, whole or not at all
change        new policy files: on record, written, in force, or all as before
preflight     a policy that is offered: looked at, then put in force; itself, the broker as a change sees it from inside
hands         clients disconnected, identities acted on, in somebody's name: on record first
hit           who would be hit by a ban, for a preview
runbooks      steps about one identity or address: who would be hit, and the run
timed         bans and throttles: which hold, which are over, what the engine has to know
tellers       somebody is told of a finding: by a POST, by mail, by syslog, by a message of the broker's own
seen_to       findings acknowledged, detectors muted: on record first
history       the policies that were in force, to go back to
place         where the policy's files lie
certificates  TLS material: read, kept fresh, replaced in place
crls          lists of revoked certificates by URL: fetched, verified, kept, ended
ages          credentials near their end, told and counted
places        one certificate in use in two places at once
start         what is in force from the start on, on record and in the log
status        counters -> `$SYS/broker/...` in Mosquitto's names, with moving averages
figures       how long authentications take, and syncs of the audit
log           events as lines, for eyes or for machines
recording     which events are recorded
reload        what a changed configuration can change while the broker runs
lock          one broker per data directory
descriptors   room for connections: the system's limit of open files

It exports no names: who reads a policy or writes a line of the log does not load the whole broker.
"""
