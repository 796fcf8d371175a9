"""Findings -> what is done about them, and what is done about an identity. Pure: who is asked, and what time it is, are
arguments.

playbooks  which playbook answers which finding, and whether it may
alerts     a finding as those who are told read it
actions    an identity is revoked, put into quarantine or released
bans       who may not connect, whatever proves it
runbooks   steps, one after the other
live       a broker that runs, as those see it who act

It exports no names.
"""
