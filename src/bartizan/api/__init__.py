"""The doors that speak HTTP: metrics and health for monitoring, control for the command line, the REST API.

app          what the command line asks at the control socket, and monitoring
acting       identities revoked, put into quarantine, released
responding   what playbooks wait for
watching     what is observed of decisions, staged and learned from
asking       who asks at the control socket; bodies, what requests carry there
metrics      counters, risks and expiries in Prometheus' form; engine_metrics, those that the engine counts
metric_names what other brokers call them; metrics_sent, to an OpenTelemetry collector; otlp, in its form
spans        what operators ask for, for that collector
serve        the Unix socket in the data directory (0600); loopback TCP for `[http]`, TLS for `[api]`
socket       a Unix socket at a path of any length
lazy, tls    the API is loaded when it is asked; its certificate

The REST API, `/api/v1`:

rest         the app, and its OpenAPI
routing      how a route is written down; guard, what stands before every one of them
permissions  what may be done, and by which roles
caller       who calls, by which door; sessions, the logins that are under way; once, what waits for one answer
oidc         logins at an OpenID Provider, until they come back
problems     errors as problem+json; doorkeeping, rate and headers
paging       lists by cursor; repeats, changes that are sent twice
house        what the routes work on, serving its caller
schemas      what the routes answer with; schemas_security, the same of findings, actions, audit, policy;
             schemas_live, of Sessions, Retained Messages, topics, traces
approvals    what waits for a second operator
stream       events as they happen, for readers who may be slow
routes       one file per resource

It exports no names: the command line asks at the socket and loads no server.
"""
