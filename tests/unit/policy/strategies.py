"""Random policies, identities, topics and filters: small words, so that they often meet, and nasty ones."""

import json
import tomllib
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from bartizan.model.token_grant import TokenGrant
from bartizan.policy import Asked, Circumstances, CompiledPolicy, Request, Strength, check
from tests.oracle import CONTROL, Identity, There

ROLES = ("reader", "writer", "both")
VARIABLES = ("x", "y", "z")
SOURCES = ("client_id", "identity", "attr.site", "attr.area")

literals = st.sampled_from(["a", "b", "c", "", "é", "$x"])
variables = st.sampled_from(VARIABLES).map("{{{}}}".format)
values = st.one_of(
    st.sampled_from(["a", "b", "c", "+", "#", "a/b", "", "$x", "$SYS", "é", "a\0", "{x}", "/", "a/#", " "]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)


@st.composite
def filters(draw: st.DrawFn, level: st.SearchStrategy[str], *, dollar: bool = True) -> str:
    """A filter of these levels, perhaps with a `#` behind, perhaps below `$SYS` or `$CONTROL`."""
    levels = draw(st.lists(level, min_size=1, max_size=4))
    if dollar and draw(st.integers(0, 7)) == 0:
        levels = [draw(st.sampled_from(["$SYS", "$CONTROL"])), *levels]
    if not dollar and levels[0].startswith("$"):
        levels[0] = "a"
    if draw(st.integers(0, 2)) == 0:
        levels.append("#")
    if draw(st.integers(0, 15)) == 0:
        levels = ["#"]
    return "/".join(levels) or "a"


@st.composite
def templates(draw: st.DrawFn, *, dollar: bool) -> str:
    """A topic template: no variable twice, no `+`."""
    text = draw(filters(st.one_of(literals, variables), dollar=dollar))
    seen: list[str] = []
    for level in text.split("/"):
        seen.append("a" if level in seen and level.startswith("{") else level)
    return "/".join(seen)


LISTENERS = ("mqtts", "wss")
NETWORKS = ("10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "::/0", "local")
ADDRESSES = ("10.1.2.3", "11.0.0.1", "2001:db8::1", "2001:db9::1", None)
METHODS = ("certificate", "password", "jwt")
WINDOWS = ("day", "night")


def _some(words: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """One of these, or a list of some."""
    return st.one_of(st.sampled_from(words), st.lists(st.sampled_from(words), min_size=1, max_size=2, unique=True))


_of_connections = {
    "attr": st.dictionaries(st.sampled_from(["site", "area"]), _some(("a", "b", "#")), min_size=1),
    "listener": _some(LISTENERS),
    "address": _some(NETWORKS),
    "method": _some(METHODS),
    "strength": _some(("certificate", "mfa")),
    "window": _some(WINDOWS),
}
_of_messages = {
    "qos": _some((0, 1, 2)),
    "retain": st.booleans(),
    "payload_bytes_max": st.integers(3, 9),
    "payload_bytes_min": st.integers(0, 3),
    "content_type": _some(("text/plain", "a/b")),
    "utf8": st.booleans(),
}


@st.composite
def conditions(draw: st.DrawFn, *, publishes: bool) -> dict[str, Any]:
    """`when`, in a third of the cases; in few parts, so that it sometimes holds."""
    if draw(st.integers(0, 2)):
        return {}
    parts = _of_connections | (_of_messages if publishes else {})
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=2, unique=True))
    return {"when": {part: draw(parts[part]) for part in chosen}}


@st.composite
def rules(draw: st.DrawFn, bound: list[str], effect: str) -> dict[str, Any]:
    """A role's own permit or forbid."""
    levels = [literals, st.just("+")] + ([st.sampled_from(bound).map("{{{}}}".format)] if bound else [])
    action = draw(st.sampled_from(["publish", "subscribe", "all", ["publish", "subscribe"]]))
    publishes = action != "subscribe"
    rule: dict[str, Any] = {
        "action": action,
        "filter": draw(filters(st.one_of(levels), dollar=effect == "forbid" or not publishes)),
    }
    if draw(st.integers(0, 7)) == 0:
        rule["filter"] = CONTROL
    if effect == "permit" and publishes:
        rule |= draw(st.fixed_dictionaries({}, optional={"qos_max": st.integers(0, 2), "retain": st.booleans()}))
    return rule | draw(conditions(publishes=publishes))


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """A whole valid policy, as `tomllib` would read it."""
    topics: dict[str, Any] = {}
    for _ in range(draw(st.integers(0, 4))):
        publish = draw(st.lists(st.sampled_from(ROLES), unique=True))
        template = draw(templates(dollar=not publish))
        subscribe = draw(st.lists(st.sampled_from(ROLES), unique=True))
        options = st.fixed_dictionaries({}, optional={"qos_max": st.integers(0, 2), "retain": st.booleans()})
        when = draw(conditions(publishes=bool(publish)))
        topics[template] = {"publish": publish, "subscribe": subscribe, **draw(options), **when}
    roles: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(ROLES), unique=True)):
        binds = draw(st.dictionaries(st.sampled_from(VARIABLES), st.sampled_from(SOURCES)))
        permit = draw(st.lists(rules(sorted(binds), "permit"), max_size=3))
        forbid = draw(st.lists(rules(sorted(binds), "forbid"), max_size=2))
        own = {level[1:-1] for rule in permit + forbid for level in rule["filter"].split("/") if level[:1] == "{"}
        declared = {
            level[1:-1]
            for template, topic in topics.items()
            if name in topic["publish"] + topic["subscribe"]
            for level in template.split("/")
            if level[:1] == "{"
        }
        used = {variable: source for variable, source in binds.items() if variable in own | declared}
        # Only what comes later in the order of names: no role is part of itself.
        later = [other for other in roles if other > name]
        includes = draw(st.lists(st.sampled_from(later), unique=True)) if later else []
        roles[name] = {"includes": includes, "binds": used, "permit": permit, "forbid": forbid}
    day = {"days": ["mon-fri"], "from": "06:00", "to": "22:00", "zone": "UTC"}
    return {"windows": {name: dict(day) for name in WINDOWS}, "topics": topics, "roles": roles}


# What a stranger's token allows: filters over the words of the policies, one with braces, and often none at all.
_grants = st.tuples(
    st.sampled_from(["publish", "subscribe", "all", "all"]),
    filters(st.one_of(literals, st.sampled_from(["+", "+", "{x}"]))),
)
tokens = st.one_of(st.just([]), st.lists(st.lists(_grants, max_size=4).map(tuple), max_size=2)).map(tuple)

identities = st.builds(
    Identity,
    id=values,
    client_id=values,
    roles=st.lists(st.sampled_from([*ROLES, "stranger"]), unique=True).map(tuple),
    attributes=st.dictionaries(st.sampled_from(["site", "area"]), values),
    there=st.none()
    | st.builds(
        There,
        listener=st.sampled_from(LISTENERS),
        address=st.sampled_from(ADDRESSES),
        method=st.sampled_from([*METHODS, "certificate+jwt"]),
        strengths=st.lists(st.sampled_from(["certificate", "mfa"]), unique=True).map(tuple),
    ),
    windows=st.lists(st.sampled_from(WINDOWS), unique=True).map(tuple),
)


def _bearer(who: Identity, tokens: Any, tenant: str | None) -> Identity:
    return replace(who, tokens=tokens, attributes=who.attributes | ({} if tenant is None else {"tenant": tenant}))


bearers = st.builds(_bearer, identities, tokens, st.sampled_from([None, None, "a", "a", "b", "z", "+"]))
"""Identities that a token narrows, or none; of a tenant, or none."""


@st.composite
def tenanted(draw: st.DrawFn) -> dict[str, Any]:
    """A policy that declares tenants, or none."""
    names = draw(st.lists(st.sampled_from(["a", "b"]), unique=True))
    tenants = {name: {"root": draw(st.sampled_from([f"{name}", f"plants/{name}"]))} for name in names}
    return draw(policies()) | ({"tenants": tenants} if tenants else {})


def contents(random: Random) -> dict[str, Any]:
    """What a PUBLISH may be beside topic, QoS and RETAIN."""
    return {
        "payload_bytes": random.randint(0, 10),
        "content_type": random.choice([None, "text/plain", "a/b", "x"]),
        "utf8": random.random() < 0.5,
    }


_NAME_LEVELS = ("a", "b", "c", "", "é", "$x", "$SYS", "{x}", "q")
_FILTER_LEVELS = ("a", "b", "c", "", "é", "$x", "$SYS", "+", "+")
_OF_COMMANDS = (CONTROL, f"{CONTROL}/response", "$CONTROL/dynamic-security/v2")


def names(random: Random, count: int) -> list[str]:
    """Topic Names over the words of the policies, and some they do not have."""
    texts = ["/".join(random.choices(_NAME_LEVELS, k=random.randint(1, 5))) for _ in range(count)]
    return [random.choice(_OF_COMMANDS) if random.random() < 0.1 else text or "a" for text in texts]


def asked_filters(random: Random, count: int) -> list[str]:
    """Topic Filters that a client may ask for."""
    tails = ([], [], ["#"])
    texts = [
        "/".join(random.choices(_FILTER_LEVELS, k=random.randint(1, 4)) + random.choice(tails)) for _ in range(count)
    ]
    return [random.choice((*_OF_COMMANDS, "$CONTROL/#")) if random.random() < 0.1 else text or "#" for text in texts]


def as_toml(policy: dict[str, Any]) -> str:
    """The text of this policy; its strings are such that JSON and TOML spell them alike."""
    lines = ["[topics]", "[roles]"]
    if "contract" in policy:
        lines += ["[contract]", *(f"{key} = {_value(value)}" for key, value in policy["contract"].items())]
    for name, window in policy.get("windows", {}).items():
        lines.append(f"[windows.{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in window.items()]
    for name, tenant in policy.get("tenants", {}).items():
        lines.append(f"[tenants.{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in tenant.items()]
    for template, topic in policy["topics"].items():
        lines.append(f"[topics.{json.dumps(template, ensure_ascii=False)}]")
        lines += [f"{key} = {_value(value)}" for key, value in topic.items()]
    for name, role in policy["roles"].items():
        lines.append(f"[roles.{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in role.items()]
    return "\n".join(lines)


def compiled_of(policy: dict[str, Any]) -> CompiledPolicy:
    """This policy, as the engine has it."""
    text = as_toml(policy)
    assert tomllib.loads(text) == policy, "the text says what the oracle is asked about"
    result = check(text, "random")
    assert result.compiled is not None, (text, [str(error) for error in result.errors])
    return result.compiled


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def asked_of(
    who: Identity, action: Asked, topic: str, *, qos: int = 0, retain: bool = False, **content: Any
) -> Request:
    """The request to the engine that the oracle is asked by the same words."""
    at = who.there
    return Request(
        action, topic, identity=who.id, client_id=who.client_id, roles=who.roles,
        attributes=who.attributes, qos=qos, retain=retain, windows=who.windows,
        there=Circumstances(at.listener, at.address, at.method, tuple(map(Strength, at.strengths))) if at else None,
        narrowed_to=tuple(tuple(TokenGrant.parse(*grant) for grant in token) for token in who.tokens), **content,
    )  # fmt: skip
