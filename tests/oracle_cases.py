"""What the oracle says of many requests, written down for the evaluator's own tests in Rust.

    python -m tests.oracle_cases

One line of crates/bartizan-core/tests/policy_oracle/cases.jsonl is a policy as the compiler writes it, an identity,
and requests with the oracle's answers; without tenants, whose topics are translated before. `make mutants` needs
them: without the Python suite, they pin the evaluator.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bartizan.policy import Asked, CompiledPolicy, check
from tests.oracle import Identity, decide
from tests.unit.policy.strategies import as_toml, asked_filters, asked_of, bearers, contents, names, policies

FILE = Path(__file__).parents[1] / "crates/bartizan-core/tests/policy_oracle/cases.jsonl"
DRAWN = 2_500
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


def cases() -> list[str]:
    """Lines, the same each time: of each kind of request some."""
    lines: list[str] = []
    seen = Counter[tuple[Any, ...]]()

    @seed(0)
    @settings(
        max_examples=DRAWN,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
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
            case = {"image": json.loads(native.image), "who": asdict(who), "asked": chosen}
            lines.append(json.dumps(case, ensure_ascii=False, separators=(",", ":")))

    draw()
    return lines


def main() -> None:
    """Writes the file anew."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join(cases()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
