"""Mosquitto's dynamic security commands: what they ask, what they answer, and the policy that comes of them.

fields       JSON as the plugin reads it, and why a command is refused
state        clients, groups, roles, defaults: what the commands are about
clients, groups, roles, defaults   the commands, each one state -> another and an answer
commands     a whole request -> its answers
translation  a state -> roles of a policy, which roles each client has, and what cannot be exact
memory       a state <-> the file `dynsec.toml` of the policy
plugin_file  the plugin's own file -> a state, and what proves its clients

Pure: passwords and removed identities are told to whoever calls (`commands.Wanted`), who makes them so.
"""
