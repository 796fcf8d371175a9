"""The routes, one file per resource, thin over what the command line calls too.

session       log in and out, prove again, one's own password and one-time codes
passkeys      log in and prove again by passkey; one's own, registered and removed
oidc          log in at an OpenID Provider
broker        status, listeners, risks, settings, metrics, health, reload
events        events as they happen
clients       who is connected
identities    who exists, and what proves each; credentials, what proves all of them
actions       revoke, quarantine, release: one, or everybody who is meant
certificates  the broker's own, and those of identities
bans          who may not connect, whatever proves it
sessions      one is shown, or discarded
subscriptions of all Sessions
traces        packets of one client as they pass
retained      Retained Messages: listed, read, removed
topics        which there are
throttles     identities that publish more slowly for a while
runbooks      steps, one after the other, about one identity or address
groups        groups; roles: who has which
operators     the people who run the broker
tokens        by which programs act for them
approvals     what waits for a second operator
policy        in force, history, check, denials
staging       compared, staged, put in force, brought back
findings      what detectors found; mutes; what playbooks do
audit         the record of changes and events
"""
