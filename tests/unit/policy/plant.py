"""A policy such as a plant has, for the tests of the tools."""

from bartizan.policy import CheckResult, check
from bartizan.policy.explain import Explainer
from bartizan.policy.subject import Subject

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
