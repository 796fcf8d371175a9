"""The doors that speak HTTP: metrics and health for monitoring, control for the command line.

app       the routes
responding  what playbooks wait for
watching  what is observed of decisions, staged and learned from
metrics   counters, risks and expiries in Prometheus' form
serve     the Unix socket in the data directory (0600), and loopback TCP where `[http] bind` says so
socket    a Unix socket at a path of any length

It exports no names: the command line asks at the socket and loads no server.
"""
