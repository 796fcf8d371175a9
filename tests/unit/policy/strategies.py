"""Random policies, identities, topics and filters: small words, so that they often meet, and nasty ones."""

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.oracle import Identity

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
    """A filter of these levels, perhaps with a `#` behind, perhaps below `$SYS`."""
    levels = draw(st.lists(level, min_size=1, max_size=4))
    if dollar and draw(st.integers(0, 7)) == 0:
        levels = ["$SYS", *levels]
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
    if effect == "permit" and publishes:
        rule |= draw(st.fixed_dictionaries({}, optional={"qos_max": st.integers(0, 2), "retain": st.booleans()}))
    return rule


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """A whole valid policy, as `tomllib` would read it."""
    topics: dict[str, Any] = {}
    for _ in range(draw(st.integers(0, 4))):
        publish = draw(st.lists(st.sampled_from(ROLES), unique=True))
        template = draw(templates(dollar=not publish))
        subscribe = draw(st.lists(st.sampled_from(ROLES), unique=True))
        options = st.fixed_dictionaries({}, optional={"qos_max": st.integers(0, 2), "retain": st.booleans()})
        topics[template] = {"publish": publish, "subscribe": subscribe, **draw(options)}
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
        roles[name] = {"binds": used, "permit": permit, "forbid": forbid}
    return {"topics": topics, "roles": roles}


identities = st.builds(
    Identity,
    id=values,
    client_id=values,
    roles=st.lists(st.sampled_from([*ROLES, "stranger"]), unique=True).map(tuple),
    attributes=st.dictionaries(st.sampled_from(["site", "area"]), values),
)

_NAME_LEVELS = ("a", "b", "c", "", "é", "$x", "$SYS", "{x}", "q")
_FILTER_LEVELS = ("a", "b", "c", "", "é", "$x", "$SYS", "+", "+")


def names(random: Random, count: int) -> list[str]:
    """Topic Names over the words of the policies, and some they do not have."""
    texts = ["/".join(random.choices(_NAME_LEVELS, k=random.randint(1, 5))) for _ in range(count)]
    return [text or "a" for text in texts]


def asked_filters(random: Random, count: int) -> list[str]:
    """Topic Filters that a client may ask for."""
    tails = ([], [], ["#"])
    texts = [
        "/".join(random.choices(_FILTER_LEVELS, k=random.randint(1, 4)) + random.choice(tails)) for _ in range(count)
    ]
    return [text or "#" for text in texts]


def as_toml(policy: dict[str, Any]) -> str:
    """The text of this policy; its strings are such that JSON and TOML spell them alike."""
    lines = ["[topics]", "[roles]"]
    for template, topic in policy["topics"].items():
        lines.append(f"[topics.{json.dumps(template, ensure_ascii=False)}]")
        lines += [f"{key} = {_value(value)}" for key, value in topic.items()]
    for name, role in policy["roles"].items():
        lines.append(f"[roles.{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in role.items()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)
