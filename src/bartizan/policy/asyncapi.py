"""The page of a policy as AsyncAPI 3.0: a channel for each topic, an operation for each role that may use it."""

import json
import re
from typing import Any, Final

from bartizan.policy.contract import Topic, Variable
from bartizan.policy.page import Page, Party, TopicEntry, party_words
from bartizan.policy.payload import Example, Payload, PayloadFormat

_BINDING: Final = "0.2.0"
_CONTENT_TYPES: Final = {
    PayloadFormat.JSON: "application/json",
    PayloadFormat.TEXT: "text/plain; charset=utf-8",
    PayloadFormat.BYTES: "application/octet-stream",
    PayloadFormat.PROTOBUF: "application/x-protobuf",
    PayloadFormat.SPARKPLUG: "application/x-protobuf",
}
_ACTIONS: Final = (("send", "writes"), ("receive", "reads"))


def asyncapi(page: Page, host: str = "localhost:8883") -> str:
    """The document as JSON. Operations are those of clients: `send` is to publish."""
    names = _names(page)
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": page.title,
            "version": page.dated or page.digest[:12],
            "description": f"The topic contract of policy {page.digest}. What it does not permit is refused.",
        },
        "defaultContentType": "application/octet-stream",
        "servers": {"broker": {"host": host, "protocol": "secure-mqtt", "description": "MQTT over TLS"}},
        "channels": {names[entry.number]: _channel(entry) for entry in page.topics},
        "operations": {},
        "components": {"messages": {names[entry.number]: _message(entry) for entry in page.topics}},
    }
    for entry in page.topics:
        name = names[entry.number]
        document["channels"][name]["messages"] = {"message": {"$ref": f"#/components/messages/{name}"}}
        for parties, (action, verb) in zip((entry.writers, entry.readers), _ACTIONS, strict=True):
            for party in parties:
                key = f"{party.role}-{verb}-{name}"
                document["operations"][key] = _operation(entry, party, name, action)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _names(page: Page) -> dict[int, str]:
    """A name for each channel: its words; with a number where two have the same."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    for entry in page.topics:
        words = re.sub(r"[^A-Za-z0-9]+", "-", entry.topic.template.text.replace("#", "all")).strip("-") or "topic"
        name = words if words not in taken else f"{words}-{entry.number}"
        taken.add(name)
        found[entry.number] = name
    return found


def _channel(entry: TopicEntry) -> dict[str, Any]:
    topic = entry.topic
    channel: dict[str, Any] = {"address": topic.template.text, "title": entry.name}
    if topic.description:
        channel["description"] = topic.description
    parameters = {
        level.name: {"description": f"One level of the topic: {level.name}"}
        for level in topic.template.levels
        if isinstance(level, Variable)
    }
    if parameters:
        channel["parameters"] = parameters
    if topic.owner:
        channel["tags"] = [{"name": f"owner: {topic.owner}"}]
    return channel


def _message(entry: TopicEntry) -> dict[str, Any]:
    message: dict[str, Any] = {"name": entry.example, "title": entry.name}
    if entry.topic.description:
        message["summary"] = entry.topic.description
    if entry.topic.unit:
        message["x-unit"] = entry.topic.unit
    if entry.topic.payload:
        message |= _payload(entry.topic.payload)
    if entry.topic.examples:
        message["examples"] = [{"payload": _shown(entry.topic, example)} for example in entry.topic.examples]
    return message


def _payload(payload: Payload) -> dict[str, Any]:
    """Its content type, and its schema where AsyncAPI has a name for such."""
    found: dict[str, Any] = {"contentType": _CONTENT_TYPES[payload.format]}
    if payload.format is PayloadFormat.JSON and payload.schema:
        found["payload"] = json.loads(payload.schema)
    elif payload.format is PayloadFormat.PROTOBUF:
        form = "application/vnd.google.protobuf;version=3"
        found["payload"] = {"schemaFormat": form, "schema": payload.schema}
        found["x-protobuf-type"] = payload.type_name
    elif payload.pattern:
        found["payload"] = {"type": "string", "pattern": f"^(?:{payload.pattern})$"}
    return found


def _shown(topic: Topic, example: Example) -> object:
    """A JSON example as a value; any other as its text."""
    if topic.payload is None or topic.payload.format is not PayloadFormat.JSON:
        return example.text
    return json.loads(example.text)


def _operation(entry: TopicEntry, party: Party, name: str, action: str) -> dict[str, Any]:
    words = party_words(party).replace("`", "")
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"{party.role}{f', {words}' if words else ''}",
        "messages": [{"$ref": f"#/channels/{name}/messages/message"}],
        "tags": [{"name": party.role}],
    }
    if action == "send" and not party.by:
        # The binding has one QoS and one RETAIN: the highest that is allowed, and whether it may be set at all.
        operation["bindings"] = {
            "mqtt": {"qos": entry.topic.qos_max, "retain": entry.topic.retain, "bindingVersion": _BINDING}
        }
    return operation
