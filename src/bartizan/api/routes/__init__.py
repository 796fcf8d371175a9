"""The routes, one file per resource, thin over what the command line calls too.

session     log in and out, prove again, one's own password and one-time codes
clients     who is connected
identities  who exists; credentials: what proves them
groups      groups; roles: who has which
operators   the people who run the broker
policy      in force, history, check, denials
broker      status, listeners, risks, settings, metrics, health, reload
"""
