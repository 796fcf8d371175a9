"""Turns a validation error into what is wrong and how to fix it, with "did you mean"."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from bartizan.config.authenticators import KINDS
from bartizan.config.limits import BROKER_WIDE, ListenerLimits
from bartizan.config.listener import Listener
from bartizan.config.schema import Settings

KNOWN_MISTAKES: Mapping[str, str] = {
    "tls": 'TLS is on by itself; to turn it off write danger_plaintext = "reason"',
    "port": 'write the port into bind, such as bind = "[::]:8883"',
    "allow_anonymous": 'write danger_anonymous = "reason" on the listener',
    "cafile": "it is called client_ca_file",
    "certfile": "it is called certificate_file",
    "keyfile": "it is called key_file",
}
"""Keys that people bring from other brokers, with where to go instead."""


def explain(problem: Mapping[str, Any], path: Sequence[str | int]) -> tuple[str, str]:
    """(what is wrong, how to fix it) of one pydantic error at `path`."""
    key = str(path[-1]) if path else "the configuration"
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key!r}", _did_you_mean(path)
    if kind == "missing":
        return f"{key!r} is missing", f"add {key} to {'.'.join(map(str, path[:-1]))}"
    if kind == "value_error":
        message = str(problem["ctx"]["error"])
        what, separator, fix = message.partition(": ")
        if separator:
            return what if not path else f"{key}: {what}", fix
        return f"{key} = {_show(problem['input'])} is not usable", message
    return (
        f"{key} = {_show(problem['input'])} is not usable",
        f"{problem['msg'][:1].lower()}{problem['msg'][1:]}",
    )


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return "{...}"
    return repr(value)[:60]


def _did_you_mean(path: Sequence[str | int]) -> str:
    key = str(path[-1])
    if key in KNOWN_MISTAKES:
        return KNOWN_MISTAKES[key]
    if key in BROKER_WIDE and path[0] == "listeners":
        return "it bounds the broker as a whole: set it in [limits]"
    known = _keys_at(path[:-1])
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"remove it; known here: {', '.join(known)}" if known else "remove it"


def _keys_at(path: Sequence[str | int]) -> list[str]:
    """The keys known in the table at `path`: a section, a listener, or a listener's limits."""
    match list(path):
        case []:
            model: object = Settings
        case ["listeners", _]:
            model = Listener
        case ["listeners", _, "limits"]:
            model = ListenerLimits
        case ["authenticators", _]:
            return sorted({key for kind in KINDS.values() for key in kind.model_fields})
        case [str(section)] if section in Settings.model_fields:
            model = Settings.model_fields[section].annotation
        case _:
            model = None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
