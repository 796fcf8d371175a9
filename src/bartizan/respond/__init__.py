"""Findings -> what is done about them. Pure: who is asked, and what time it is, are arguments.

playbooks  which playbook answers which finding, and whether it may
alerts     a finding as those who are told read it

It exports no names.
"""
