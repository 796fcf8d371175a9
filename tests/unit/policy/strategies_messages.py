"""Random contracts, what clients publish under them, and random limits of roles and tenants."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from bartizan.policy.limits import LIMITS
from bartizan.policy.tenants import LIMITS as TENANT_LIMITS
from tests.oracle_messages import Published, declaration
from tests.unit.policy.strategies import ROLES, names, templates

ENFORCE = ("off", "warn", "reject")
ALL = {"all": {"permit": [{"action": "all", "filter": "#"}]}}
SAID = (("unit", "Cel"), ("bartizan-identity", "root"), ("Bartizan-Time", "0"), ("bartizan", "1"), ("x-bartizan-", "2"))
NAMINGS = ("identity", "certificate", "{identity}-*", "press-*", "{attr.site}-*")


@st.composite
def _said(draw: st.DrawFn) -> dict[str, Any]:
    """What one topic says about its messages."""
    said: dict[str, Any] = {}
    if draw(st.booleans()):
        said["enforce"] = draw(st.sampled_from(ENFORCE))
    if draw(st.booleans()):
        said["payload"] = {"format": "bytes", "bytes_max": draw(st.integers(0, 2))}
    if draw(st.integers(0, 2)):
        said["rate_per_s"] = draw(st.integers(1, 2))
    if draw(st.booleans()):
        said["retention_s"] = draw(st.integers(1, 90))
    if draw(st.integers(0, 2)) == 0:
        said["provenance"] = draw(st.booleans())
    return said


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    """Topics that ask something of messages; of those that a message cannot tell apart one at most."""
    topics: dict[str, dict[str, Any]] = {}
    shapes: set[str] = set()
    for template in draw(st.lists(templates(dollar=True), min_size=1, max_size=8, unique=True)):
        shape = "/".join("+" if part.startswith("{") else part for part in template.split("/"))
        # Where one topic asks for something the image has all of them.
        topics[template] = {} if shape in shapes else draw(_said()) if topics else {"retention_s": 60}
        shapes.add(shape)
    contract = draw(st.sampled_from([{}, *({"enforce": word} for word in ENFORCE)]))
    tenants = draw(st.sampled_from([{}, {}, {"a": {"root": "plants/a"}, "b": {}}]))
    parts = {"contract": contract, "tenants": tenants}
    # In any order: which declaration holds is no matter of which one stands first.
    ordered = dict(draw(st.permutations(list(topics.items()))))
    return {"topics": ordered, "roles": ALL} | {key: part for key, part in parts.items() if part}


def meant(policy: dict[str, Any], random: Random) -> list[str]:
    """Random topics, and near misses of what the policy spells."""
    spelt = []
    for template in policy["topics"]:
        parts = [random.choice("abq") if part[:1] == "{" else part for part in template.split("/")]
        tail = [random.choice("abq") for _ in range(random.randint(0, 2))]
        spelt.append("/".join([*parts[:-1], *tail] if parts[-1] == "#" else parts) or "a")
    return [name for name in [*spelt, *names(random, 12)] if not set(name) & set("+#")]


def published(policy: dict[str, Any], random: Random, count: int) -> list[Published]:
    """Messages to a few of these topics, some of them in a rush."""
    chosen = [name for name in meant(policy, random) if not name.startswith("$")] or ["a"]
    # Those with a rate first: it takes a burst of more than ten to be too many.
    rates = {name: policy["topics"].get(declaration(policy, name), {}).get("rate_per_s", 9) for name in chosen}
    chosen = sorted(random.sample(chosen, min(4, len(chosen))), key=rates.__getitem__)
    weights, at_ms = (16, 6, 1, 1), 0
    found: list[Published] = []
    for _ in range(count):
        at_ms += random.choice((0, 0, 0, 0, 0, 1, 499, 500, 501, 1_000, 3_000))
        (topic,) = random.choices(chosen, weights[: len(chosen)])
        payload, expiry_s = bytes(random.choice((0, 1, 2, 3))), random.choice((None, None, 1, 30, 60, 100))
        found.append(
            Published(at_ms, topic, payload, expiry_s, tuple(random.sample(SAID, random.choice((0, 0, 2, 3)))))
        )
    return found


def _limits(bounds: dict[str, tuple[int, int]], *, wider: bool = False) -> st.SearchStrategy[dict[str, int]]:
    """Some of these limits: few values, so that two are often alike, and the ends of what there may be."""

    def of(least: int, most: int) -> st.SearchStrategy[int]:
        return st.sampled_from((least, least + 1, least + 2, 100, most - 1, most))

    each = {key: of(*ends) for key, ends in bounds.items()}
    return st.fixed_dictionaries(each) if wider else st.fixed_dictionaries({}, optional=each)


@st.composite
def bounded(draw: st.DrawFn) -> dict[str, Any]:
    """Roles that include each other, with limits, ages of credentials and namings; tenants with theirs."""
    days = st.sampled_from((1, 2, 30, 36_500))
    ages = st.fixed_dictionaries(
        {}, optional=dict.fromkeys([f"{kind}_days_max" for kind in ("password", "certificate", "scram")], days)
    )
    named = st.one_of(st.sampled_from(NAMINGS), st.lists(st.sampled_from(NAMINGS), min_size=1, max_size=2, unique=True))
    roles: dict[str, Any] = {}
    for name in sorted(draw(st.lists(st.sampled_from(ROLES), unique=True)), reverse=True):
        # Only what comes later in the order of names: no role is part of itself.
        roles[name] = {"includes": draw(st.lists(st.sampled_from(list(roles)), unique=True)) if roles else []}
        roles[name] |= {"limits": draw(_limits(LIMITS)), "credentials": draw(ages)}
        roles[name] |= draw(st.fixed_dictionaries({}, optional={"client_id": named, "user_name": named}))
    tenants = {name: draw(st.fixed_dictionaries({"limits": _limits(dict(TENANT_LIMITS))}, optional={"root": st.just(f"plants/{name}")}))
               for name in draw(st.lists(st.sampled_from(["a", "b"]), unique=True))}  # fmt: skip
    return {"topics": {}, "roles": roles} | ({"tenants": tenants} if tenants else {})


listeners = _limits(LIMITS, wider=True)
"""What a listener bounds."""
identities_roles = st.lists(st.sampled_from([*ROLES, "stranger"]), unique=True).map(tuple)
