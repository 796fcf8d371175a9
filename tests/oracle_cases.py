"""What the oracle says of many requests, written down for the engine's own tests in Rust.

    python -m tests.oracle_cases

One line of crates/bartizan-core/tests/policy_oracle/cases.jsonl is a policy as the compiler writes it, an identity,
and requests with the oracle's answers; without tenants, whose topics are translated before. `make mutants` needs
them: without the Python suite, they pin the evaluator. limits.jsonl has policies whose roles and tenants have limits,
and what bounds whom; messages.jsonl what a client publishes, and what becomes of it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bartizan.policy import Asked, CompiledPolicy, check
from tests.oracle import Identity, decide, limits, tenant_limits
from tests.oracle_messages import passed
from tests.unit.policy.strategies import (
    as_toml,
    asked_filters,
    asked_of,
    bearers,
    compiled_of,
    contents,
    names,
    policies,
)
from tests.unit.policy.strategies_messages import bounded, contracts, identities_roles, listeners, published

FOLDER = Path(__file__).parents[1] / "crates/bartizan-core/tests/policy_oracle"
DRAWN = 2_500
BOUNDED, CONTRACTS, PUBLISHED = 150, 100, 40
OF_A_KIND = 6
"""Most requests are denied by any policy: of each kind so many are kept."""

CONTENT = ("qos", "retain", "payload_bytes", "content_type", "utf8")
Row = list[Any]
"""Action, topic, QoS, RETAIN, octets of the payload, Content Type, whether it is UTF-8; the answer."""


def rows(policy: dict[str, Any], who: Identity, random: Random) -> Iterator[Row]:
    """Requests over the words of the policies, and over this policy's own patterns, each with its answer."""
    own = [text for text in spelt(policy, who, random) if text]
    for topic in [*own, *names(random, 25)]:
        if set(topic) & set("+#"):
            continue
        content = contents(random) | {"qos": random.randint(0, 2), "retain": random.random() < 0.5}
        said = [content[key] for key in CONTENT]
        yield ["publish", topic, *said, decide(policy, who, "publish", topic, **content)]
        yield ["receive", topic, 0, False, 0, None, False, decide(policy, who, "receive", topic)]
    for asked in [*own, *asked_filters(random, 25)]:
        yield ["subscribe", asked, 0, False, 0, None, False, decide(policy, who, "subscribe", asked)]


def spelt(policy: dict[str, Any], who: Identity, random: Random) -> Iterator[str]:
    """What the policy's patterns may stand for: near misses are where an evaluator errs."""
    values = [who.id, who.client_id, *who.attributes.values(), "a", "q"]
    levels = [value for value in values if value and not set(value) & set("/+#\0")]
    patterns = [*policy["topics"]]
    patterns += [rule["filter"] for role in policy["roles"].values() for rule in role["permit"] + role["forbid"]]
    for pattern in patterns * 2:
        parts = [random.choice(levels) if level[:1] == "{" else level for level in pattern.split("/")]
        yield "/".join(random.choice(levels) if level in {"+", "#"} else level for level in parts)
        if parts[-1] == "#" or "#" not in parts:
            yield "/".join(parts)


def features(policy: dict[str, Any], native: CompiledPolicy, who: Identity, row: Row) -> tuple[Any, ...]:
    """What a request touches: the action, its answer and why, and the conditions of the rule that decided."""
    action, topic, *said, _ = row
    content = dict(zip(CONTENT, said, strict=True))
    decision = native.decide(asked_of(who, Asked(action), topic, **content))
    found: Any = policy
    for part in re.findall(r"[^.\[\]\"]+|\"[^\"]*\"", decision.rule or ""):
        step = int(part) if part.isdigit() and isinstance(found, list) else part.strip('"')
        found = found[step] if isinstance(found, list) else found.get(step, {})
    when = sorted(found.get("when", {})) if isinstance(found, dict) else []
    missing = who.there is None, not who.attributes, bool(who.tokens)
    return row[0], row[-1], decision.why, *when, *(missing if when or decision.why != "permitted" else ())


def drawn(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draws so many, the same each time."""
    chosen = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda draw: seed(0)(chosen(draw))


def line(case: dict[str, Any]) -> str:
    """One case, as a line."""
    return json.dumps(case, ensure_ascii=False, separators=(",", ":"))


def cases() -> list[str]:
    """Lines, the same each time: of each kind of request some."""
    lines: list[str] = []
    seen = Counter[tuple[Any, ...]]()

    @drawn(DRAWN)
    @given(policies(), bearers, st.integers(0, 2**32).map(Random))
    def draw(policy: dict[str, Any], who: Identity, random: Random) -> None:
        native = check(as_toml(policy), "random").compiled
        if native is None:
            return
        chosen: list[Row] = []
        for row in rows(policy, who, random):
            kind = features(policy, native, who, row)
            if seen[kind] < OF_A_KIND and row not in chosen:
                seen[kind] += 1
                chosen.append(row)
        if chosen:
            lines.append(line({"image": json.loads(native.image), "who": asdict(who), "asked": chosen}))

    draw()
    return lines


def bounds() -> list[str]:
    """Who is bounded by what: roles, what their listener says, and what of both together holds; tenants."""
    lines: list[str] = []

    @drawn(BOUNDED)
    @given(bounded(), identities_roles, listeners)
    def draw(policy: dict[str, Any], roles: tuple[str, ...], listener: dict[str, int]) -> None:
        case = {"policy": policy, "image": json.loads(compiled_of(policy).image), "roles": roles, "listener": listener}
        case |= {"limits": limits(policy, roles, listener)}
        lines.append(
            line(case | {"tenants": {name: tenant_limits(policy, name) for name in policy.get("tenants", {})}})
        )

    draw()
    return lines


def messages() -> list[str]:
    """What a client publishes, and what becomes of each message."""
    lines: list[str] = []

    @drawn(CONTRACTS)
    @given(contracts(), st.integers(0, 2**32).map(Random))
    def draw(policy: dict[str, Any], random: Random) -> None:
        tenant = random.choice([None, *policy.get("tenants", {})])
        sent = published(policy, random, PUBLISHED)
        rows = [
            [each.at_ms, each.topic, len(each.payload), each.expiry_s, each.said, *asdict(told).values()]
            for each, told in zip(sent, passed(policy, sent), strict=True)
        ]
        image = json.loads(compiled_of(policy).image)
        lines.append(line({"policy": policy, "image": image, "tenant": tenant, "sent": rows}))

    draw()
    return lines


FILES = {"cases.jsonl": cases, "limits.jsonl": bounds, "messages.jsonl": messages}


def main() -> None:
    """Writes the files anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, write in FILES.items():
        (FOLDER / name).write_text("\n".join(write()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
