"""What a policy allows, defined: slow and obvious lines that the engine is compared with.

Works from the policy as `tomllib` reads it, shares no code with the compiler or the engine, and
knows nothing of speed. A topic set is asked for by trying topics, not by algebra.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from itertools import product
from typing import Any

ANY, REST = object(), object()  # `+` and `#`
FRESH = "\u2603"  # a level that no policy of the tests spells
CONTROL = "$CONTROL/dynamic-security/v1"  # of the topics of the server the one that clients may be let publish to


@dataclass(frozen=True)
class Identity:
    """Who asks."""

    id: str = ""
    client_id: str = ""
    roles: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    there: "There | None" = None
    windows: tuple[str, ...] = ()  # those that are open
    tokens: tuple[tuple[tuple[str, str], ...], ...] = ()  # what each of its tokens allows: action and filter


@dataclass(frozen=True)
class There:
    """How it is connected."""

    listener: str
    address: str | None = None
    method: str = ""
    strengths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """What a PUBLISH is, beside its topic."""

    qos: int = 0
    retain: bool = False
    payload_bytes: int = 0
    content_type: str | None = None
    utf8: bool = False


def decide(
    policy: dict[str, Any], who: Identity, action: str, topic: str, qos: int = 0, retain: bool = False, **content: Any
) -> str:
    """`allow`, `deny`, or for a subscription `per_delivery`."""
    tenants = policy.get("tenants", {})
    if tenants and who.attributes.get("tenant", next(iter(tenants))) not in tenants:
        return "deny"  # of a tenant that is not declared; the topics of one that is are those its client sees
    if tenants and "tenant" in who.attributes and topic.split("/", maxsplit=1)[0] == "$CONTROL":
        return "deny"  # commands are about all identities, and so are their answers
    if not all(token_allows(token, action, topic) for token in who.tokens):
        return "deny"  # a token only narrows what roles permit
    if action == "publish":
        return "allow" if may_publish(policy, who, topic, Sent(qos, retain, **content)) else "deny"
    if action == "receive":
        return "allow" if may_receive(policy, who, topic) else "deny"
    return may_subscribe(policy, who, topic)


def token_allows(token: tuple[tuple[str, str], ...], action: str, topic: str) -> bool:
    """One grant of the token has the topic, or all topics of the filter. What is in braces is a text like others."""
    wanted = ("publish", "all") if action == "publish" else ("subscribe", "all")
    wild: dict[str, object] = {"+": ANY, "#": REST}
    filters = [[wild.get(level, level) for level in text.split("/")] for word, text in token if word in wanted]
    return any(covers(levels, topic) if action == "subscribe" else matches(levels, topic) for levels in filters)


def may_publish(policy: dict[str, Any], who: Identity, topic: str, sent: Sent) -> bool:
    """No `$` topic but that of commands; no forbid matches; some one permit matches and has room for QoS and RETAIN."""
    if topic.startswith("$") and topic != CONTROL:
        return False
    if any(matches(levels, topic) and suits(rule, sent) for levels, rule in grants(policy, who, "forbid", "publish")):
        return False
    return any(
        matches(levels, topic)
        and suits(rule, sent)
        and sent.qos <= rule.get("qos_max", 2)
        and (not sent.retain or rule.get("retain", True))
        for levels, rule in grants(policy, who, "permit", "publish")
    )


def suits(rule: dict[str, Any], sent: Sent) -> bool:
    """What a condition asks of the message itself."""
    when = rule.get("when", {})
    return (
        sent.qos in listed(when.get("qos", [0, 1, 2]))
        and when.get("retain", sent.retain) == sent.retain
        and when.get("payload_bytes_min", 0) <= sent.payload_bytes <= when.get("payload_bytes_max", sent.payload_bytes)
        and ("content_type" not in when or sent.content_type in listed(when["content_type"]))
        and when.get("utf8", sent.utf8) == sent.utf8
    )


def counts(rule: dict[str, Any], who: Identity, effect: str) -> bool:
    """Whether circumstances let a rule count. Nobody gains from what he lacks; what is open permits."""
    when = rule.get("when", {})
    found: set[object] = set()
    for name, values in when.get("attr", {}).items():
        found.add("missing" if name not in who.attributes else who.attributes[name] in listed(values))
    if "window" in when:
        found.add(any(name in who.windows for name in listed(when["window"])))
    for part in ("listener", "address", "method", "strength"):
        if part in when:
            found.add(
                "open" if who.there is None else any(is_there(part, word, who.there) for word in listed(when[part]))
            )
    if False in found or {"missing", "open"} <= found:
        return False
    return not ("missing" in found and effect == "permit") and not ("open" in found and effect == "forbid")


def is_there(part: str, word: str, there: There) -> bool:
    """One word of a condition about how a client is connected."""
    if part == "listener":
        return word == there.listener
    if part == "method":
        return word == there.method or word in there.method.split("+")
    if part == "strength":
        return word in there.strengths
    if word == "local" or there.address is None:
        return word == "local" and there.address is None
    return ipaddress.ip_address(there.address) in ipaddress.ip_network(word)


def listed(value: Any) -> list[Any]:
    """One word stands for a list of itself."""
    return value if isinstance(value, list) else [value]


def may_receive(policy: dict[str, Any], who: Identity, topic: str) -> bool:
    """One delivery: no forbid matches, some permit does."""
    if any(matches(levels, topic) for levels, _ in grants(policy, who, "forbid", "subscribe")):
        return False
    return any(matches(levels, topic) for levels, _ in grants(policy, who, "permit", "subscribe"))


def may_subscribe(policy: dict[str, Any], who: Identity, asked: str) -> str:
    """One permit has all topics of the filter; no forbid has all; one that has some: by delivery."""
    forbids = [levels for levels, _ in grants(policy, who, "forbid", "subscribe")]
    permits = [levels for levels, _ in grants(policy, who, "permit", "subscribe")]
    if any(covers(levels, asked) for levels in forbids):
        return "deny"
    if not any(covers(levels, asked) for levels in permits):
        return "deny"
    return "per_delivery" if any(overlaps(levels, asked) for levels in forbids) else "allow"


def grants(policy: dict[str, Any], who: Identity, effect: str, action: str) -> list[tuple[list[Any], dict[str, Any]]]:
    """The rules of all roles of this identity, with its own values in them."""
    found = []
    for name in all_roles(policy, who.roles):
        role = policy.get("roles", {}).get(name, {})
        binds = role.get("binds", {})
        if effect == "permit":
            for template, topic in policy.get("topics", {}).items():
                if name in topic.get(action, []):
                    found.append((resolve(template, binds, who, effect), topic))
        for rule in role.get(effect, []):
            named = rule["action"] if isinstance(rule["action"], list) else [rule["action"]]
            if action in named or "all" in named:
                found.append((resolve(rule["filter"], binds, who, effect), rule))
    return [(levels, rule) for levels, rule in found if levels is not None and counts(rule, who, effect)]


def owned(policy: dict[str, Any], who: Identity, *, shared: bool) -> list[list[Any]]:
    """The filters of what is this identity's own, alone or together with others: no one else ever publishes there.

    To own is no permit, so no request is decided by it: a policy in which that would not hold is none.
    """
    found = []
    for name in all_roles(policy, who.roles):
        role = policy["roles"].get(name, {})
        told = [each if isinstance(each, dict) else {"filter": each} for each in listed(role.get("owns", []))]
        texts = [each["filter"] for each in told if each.get("shared", False) is shared]
        found += [resolve(text, role.get("binds", {}), who, "permit") for text in texts]
    return [levels for levels in found if levels is not None]


def all_roles(policy: dict[str, Any], names: tuple[str, ...]) -> set[str]:
    """These roles and what they include."""
    included = {more for name in names for more in policy.get("roles", {}).get(name, {}).get("includes", [])}
    return set(names) if included <= set(names) else all_roles(policy, (*names, *included))


def limits(policy: dict[str, Any], names: tuple[str, ...], listener: dict[str, int]) -> dict[str, int]:
    """What bounds an identity of these roles: the largest that they say, and where none says any the listener's."""
    said = [policy["roles"][name].get("limits", {}) for name in all_roles(policy, names) if name in policy["roles"]]
    return {key: max([each[key] for each in said if key in each], default=own) for key, own in listener.items()}


def tenant_limits(policy: dict[str, Any], name: str) -> tuple[str, dict[str, int]]:
    """The root of a tenant, and what bounds all its clients together: what it does not say bounds nothing."""
    tenant = policy["tenants"][name]
    return tenant.get("root", name), tenant.get("limits", {})


def credential_days_max(policy: dict[str, Any], names: tuple[str, ...]) -> dict[str, int]:
    """How old credentials of an identity of these roles may become, by kind: the shortest that they say."""
    said = [
        policy["roles"][name].get("credentials", {}) for name in all_roles(policy, names) if name in policy["roles"]
    ]
    keys = {key for each in said for key in each}
    return {key.removesuffix("_days_max"): min(each[key] for each in said if key in each) for key in keys}


def namings(policy: dict[str, Any], names: tuple[str, ...], key: str) -> set[str]:
    """What all roles say of `client_id`, or `user_name`: any of it is enough. Where none says anything, the identity's."""
    said = [policy["roles"][name].get(key, []) for name in all_roles(policy, names) if name in policy["roles"]]
    return {naming for each in said for naming in listed(each)} or {"identity"}


def may_be_called(namings: Any, name: str, who: Identity, certificate: frozenset[str]) -> bool:
    """Whether `client_id` or `user_name` of the roles admit this name: a Client Identifier, or a User Name."""
    return any(is_admitted(naming, name, who, certificate) for naming in listed(namings))


def is_admitted(naming: str, name: str, who: Identity, certificate: frozenset[str]) -> bool:
    """By one of them. A value that is missing admits nothing, and what the broker assigns nobody chooses."""
    if naming == "identity":
        return name == who.id or name.startswith(who.id + "-")
    if naming == "certificate":
        return name in certificate
    if naming == "assigned":
        return False
    fixed, is_open = (naming[:-1], True) if naming.endswith("*") else (naming, False)
    spelt = ""
    for part in re.split(r"(\{[a-z0-9_.]+\})", fixed):
        value = value_of(part[1:-1], who) if part.startswith("{") else part
        if part.startswith("{") and not value:
            return False
        spelt += value or ""
    return name.startswith(spelt) if is_open else name == spelt


def resolve(text: str, binds: dict[str, str], who: Identity, effect: str) -> list[Any] | None:
    """The levels of a filter for this identity; None if there is no such grant for it."""
    levels: list[Any] = []
    for level in text.split("/"):
        if level == "+":
            levels.append(ANY)
        elif level == "#":
            levels.append(REST)
        elif not level.startswith("{"):
            levels.append(level)
        elif level[1:-1] not in binds:
            levels.append(ANY)
        else:
            value = value_of(binds[level[1:-1]], who)
            if value is None or value == "" or any(char in value for char in "/+#\0"):
                # Nobody gains from a value he lacks: a permit is gone, a forbid holds for all.
                if effect == "permit":
                    return None
                levels.append(ANY)
            elif not levels and value.startswith("$"):
                return None  # only a policy that spells `$` reaches such topics
            else:
                levels.append(value)
    return levels


def value_of(source: str, who: Identity) -> str | None:
    """The identity's own value."""
    if source in ("client_id", "identity"):
        return who.client_id if source == "client_id" else who.id
    return who.attributes.get(source.removeprefix("attr."))


def matches(levels: list[Any], topic: str) -> bool:
    """MQTT 4.7: and a first level that is a wildcard never reaches a `$` topic."""
    if levels[0] in (ANY, REST) and topic.startswith("$"):
        return False
    return matches_from(levels, topic.split("/"))


def matches_from(levels: list[Any], names: list[str]) -> bool:
    """Level by level; `#` also means its parent."""
    if levels and levels[0] is REST:
        return True
    if not levels or not names:
        return not levels and not names
    return levels[0] in (ANY, names[0]) and matches_from(levels[1:], names[1:])


def covers(levels: list[Any], asked: str) -> bool:
    """All topics of the filter: it is enough to try those whose free levels nobody spells."""
    return all(matches(levels, topic) for topic in topics_of(asked, len(levels), {FRESH}))


def overlaps(levels: list[Any], asked: str) -> bool:
    """Some topic of the filter: try every one that is made of the rule's own levels."""
    spelt = {level for level in levels if isinstance(level, str)}
    return any(matches(levels, topic) for topic in topics_of(asked, len(levels), spelt | {FRESH}))


def topics_of(asked: str, depth: int, words: set[str]) -> list[str]:
    """Topics that the filter matches, its `+` and up to depth + 1 levels of its `#` taken from these words."""
    parts = asked.split("/")
    tails = range(depth + 2) if parts[-1] == "#" else range(1)
    head = parts[:-1] if parts[-1] == "#" else parts
    shapes = [head + ["+"] * extra for extra in tails]
    spelt = [product(*[sorted(words) if part == "+" else [part] for part in shape]) for shape in shapes]
    names = ["/".join(levels) for each in spelt for levels in each]
    wild = parts[0] in ("+", "#")
    return [name for name in names if name and not (wild and name.startswith("$"))]
