"""The policy language: a text of topics and roles -> what the engine decides by.

source      bytes -> text, places, problems
syntax      TOML with line and column of every key and value
merge       several texts, one tree
fields      reading typed fields, gathering every problem
contract    Topic, Role, Rule, Pattern: the frozen values
condition   when a rule counts
naming      which Client Identifiers and User Names an identity may use
windows     hours of the week, and when exactly they come
ownership   nobody but the owner publishes: proved, or an error
tenants     whose clients see one root of the topics
payload     what messages are made of, and what becomes of one that is not
validate    tree -> Policy, or all its errors (validate_topics, validate_payload, validate_roles, validate_tenants, limits)
lint        warnings: valid, but probably not meant
compile     Policy -> image bytes, the same on every node (declared: what topics ask of messages)
compiled    CompiledPolicy: the engine's evaluator, asked from Python
payload_check   whether the engine can check payloads, and the examples fit (json_places)
check       all of it in one call
default     the text of a first policy

What people ask of a policy; every answer is the engine's:

subject     who asks, and what
places      every rule by its name, and where it stands
explain     why, and the smallest grant (grant) that would allow it
who         who may publish or subscribe to a topic
samples     what to ask about a rule, by what filters have in common (overlap)
diff        what two policies decide differently, and ask of messages (diff_messages)
differences all of that together, for people and as JSON
advice      all of lint (lint_reach, lint_roles, lint_messages, lint_identities)
expectations, testing     what a policy is expected to decide
format      one way to write it, by its statements (layout)
writer      roles -> text
imports     policies of other brokers
page        the contract for people: docs_html, docs_markdown, asyncapi, graph
"""

from bartizan.policy.check import CheckResult, check, check_all
from bartizan.policy.compiled import Asked, Circumstances, CompiledPolicy, Decision, Request
from bartizan.policy.condition import Strength
from bartizan.policy.contract import Policy
from bartizan.policy.default import default_policy_text
from bartizan.policy.source import Problem
from bartizan.policy.windows import Schedule, Window, schedule

__all__ = [
    "Asked",
    "CheckResult",
    "Circumstances",
    "CompiledPolicy",
    "Decision",
    "Policy",
    "Problem",
    "Request",
    "Schedule",
    "Strength",
    "Window",
    "check",
    "check_all",
    "default_policy_text",
    "schedule",
]
