"""Configurations of other brokers -> ours, and what that changes. Pure: directives in, settings and differences out.

directives   mosquitto.conf, read
keys         what becomes of each of its keys
mosquitto    all of it -> settings as `[listeners]`, `[limits]`, `[broker]`
"""
