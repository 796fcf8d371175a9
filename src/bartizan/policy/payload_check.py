"""Whether the engine can check what topics declare, and whether their own examples fit: what is wrong, with its place."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bartizan.policy.compiled import SchemaError, misfits
from bartizan.policy.contract import Policy
from bartizan.policy.json_places import JsonError, place_of
from bartizan.policy.payload import Example, Payload, PayloadFormat
from bartizan.policy.source import Problem

_OF_PROTO: Final = re.compile(r"schema\.proto:(\d+):(\d+):? (.*)\Z", re.DOTALL)


def payload_problems(policy: Policy, schemas: Mapping[str, str]) -> tuple[Problem, ...]:
    """What is wrong with the payloads of this policy. `schemas`: the texts of the files they name, by origin."""
    # Each once, however many topics have it: a schema is compiled.
    payloads: dict[str, Payload] = {}
    examples: dict[str, list[Example]] = {}
    for topic in policy.topics:
        if topic.payload is not None:
            key = json.dumps(topic.payload.as_image(), sort_keys=True)
            payloads.setdefault(key, topic.payload)
            examples.setdefault(key, []).extend(topic.examples)
    return tuple(
        problem for key, payload in payloads.items() for problem in _of(policy, payload, examples[key], schemas)
    )


def _of(policy: Policy, payload: Payload, examples: Sequence[Example], schemas: Mapping[str, str]) -> Iterator[Problem]:
    try:
        found = misfits(payload, [example.payload for example in examples])
    except SchemaError as error:
        yield _refused(policy, payload, str(error), schemas.get(payload.origin, ""))
        return
    for example, misfit in zip(examples, found, strict=True):
        if misfit is not None:
            at = example.at
            origin = at.origin or policy.origin
            yield Problem(
                origin, at.line, at.column, f"this example does not fit: {misfit}", "correct it or the schema"
            )


def _refused(policy: Policy, payload: Payload, message: str, text: str) -> Problem:
    """What the engine says, where it stands: in the schema's file, or at the payload of the topic."""
    line, column = payload.at.line, payload.at.column
    origin = payload.at.origin or policy.origin
    if payload.format is PayloadFormat.PROTOBUF:
        if found := _OF_PROTO.match(message):
            return Problem(payload.origin, int(found[1]), int(found[2]), found[3], "")
        return Problem(origin, line, column, message, f"look at {payload.origin}")
    pointer, _, what = message.partition(": ")
    if payload.format is not PayloadFormat.JSON or (pointer and not pointer.startswith("/")):
        return Problem(origin, line, column, message, "")
    where = f" (at {pointer})" if pointer else ""
    if not payload.origin or not text:
        return Problem(origin, line, column, f"the schema is refused{where}: {what}", "")
    try:
        line, column = place_of(text, pointer)
    except (JsonError, IndexError, ValueError, RecursionError):
        line, column = 1, 1
    return Problem(payload.origin, line, column, f"{what}{where}", "")
