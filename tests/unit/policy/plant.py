"""A policy such as a plant has, for the tests of the tools."""

from typing import Any

from bartizan.policy import CheckResult, Circumstances, Strength, check
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Ask, Subject
from tests.oracle import Identity, There, decide
from tests.unit.policy.strategies import WINDOWS

PLANT = """\
[topics."data/{site}/{asset}/temperature"]
title       = "Press temperature"
description = "Oil at the main cylinder; 1 < n & rising"
unit        = "Cel"
owner       = "maintenance"
publish     = ["press"]
subscribe   = ["dash"]
qos_max     = 1

[topics."data/{site}/{asset}/status"]
publish   = ["press"]
subscribe = ["dash", "press"]

[topics."commands/{site}/{asset}/#"]
title     = "Commands"
publish   = ["dash"]
subscribe = ["press"]
retain    = false

[roles.press]
binds = { site = "attr.site", asset = "client_id" }

[roles.press.limits]
publish_rate_per_s = 100

[roles.dash]
binds  = { site = "attr.site" }
forbid = [{ action = "all", filter = "+/{site}/secret/#", reason = "not for screens" }]

[roles.admin]
permit = [
  { action = "subscribe", filter = "#" },
  { action = "subscribe", filter = "$SYS/#" },
]
forbid = [{ action = "publish", filter = "commands/#" }]

[roles.spare]
"""

PRESS = Subject("press-01", "press-01", ("press",), {"site": "chicago"})
DASH = Subject("dash-01", "dash-01", ("dash",), {"site": "chicago"})


def good(text: str = PLANT, origin: str = "plant.toml") -> CheckResult:
    """A policy that must be one."""
    result = check(text, origin)
    assert result.ok, [str(error) for error in result.errors]
    return result


def explainer(text: str = PLANT, origin: str = "plant.toml") -> Explainer:
    """Explains it."""
    return Explainer(good(text, origin))


def subject_of(who: Identity) -> Subject:
    """Who the oracle knows, as the tools know it."""
    at = who.there
    strengths = () if at is None else tuple(map(Strength, at.strengths))
    there = None if at is None else Circumstances(at.listener, at.address, at.method, strengths)
    return Subject(who.id, who.client_id, who.roles, who.attributes, there, who.windows)


def identity_of(subject: Subject) -> Identity:
    """Who the tools know, as the oracle knows it."""
    at = subject.there
    there = None if at is None else There(at.listener, at.address, at.method, tuple(at.strengths))
    attributes = dict(subject.attributes)
    windows = WINDOWS if subject.windows is None else subject.windows
    return Identity(subject.identity, subject.client_id, subject.roles, attributes, there, windows)


def answer(policy: dict[str, Any], who: Identity, ask: Ask) -> str:
    """What the oracle says."""
    content = {"payload_bytes": ask.payload_bytes, "content_type": ask.content_type, "utf8": ask.utf8}
    return decide(policy, who, ask.action.value, ask.topic, ask.qos, ask.retain, **content)
