"""The policy language: a text of topics and roles -> what the engine decides by.

source      bytes -> text, places, problems
syntax      TOML with line and column of every key and value
fields      reading typed fields, gathering every problem
contract    Topic, Role, Rule, Pattern: the frozen values
condition   when a rule counts
naming      which Client Identifiers and User Names an identity may use
windows     hours of the week, and when exactly they come
validate    tree -> Policy, or all its errors (validate_topics, validate_roles, limits)
lint        warnings: valid, but probably not meant
compile     Policy -> image bytes, the same on every node
compiled    CompiledPolicy: the engine's evaluator, asked from Python
check       all of it in one call
default     the text of a first policy
"""

from bartizan.policy.check import CheckResult, check
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
    "default_policy_text",
    "schedule",
]
