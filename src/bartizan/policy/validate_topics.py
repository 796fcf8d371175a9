"""`[topics."template"]` tables -> `Topic`."""

from collections.abc import Collection, Mapping

from bartizan.policy.contract import Pattern, Topic, Wildcard
from bartizan.policy.fields import Reader
from bartizan.policy.syntax import Path
from bartizan.policy.validate_conditions import condition
from bartizan.policy.validate_payload import KEYS, messages

_KEYS = ("title", "description", "unit", "owner", "publish", "subscribe", "qos_max", "retain", "when", *KEYS)


def topic(reader: Reader, path: Path, body: Mapping[str, object], windows: Collection[str] = ()) -> Topic | None:
    """The topic of this table; None, and problems, if its template is none."""
    reader.refuse_unknown(path, body, _KEYS)
    template = reader.pattern(path, str(path[-1]), reader.wrong)
    said = messages(reader, path, body)
    read = Topic(
        template=template or Pattern("invalid", ()),
        at=reader.at(path),
        title=reader.text((*path, "title"), body),
        description=reader.text((*path, "description"), body),
        unit=reader.text((*path, "unit"), body),
        owner=reader.text((*path, "owner"), body),
        publish=reader.role_names((*path, "publish"), body),
        subscribe=reader.role_names((*path, "subscribe"), body),
        qos_max=reader.whole((*path, "qos_max"), body, 2, (0, 2)),
        retain=reader.flag((*path, "retain"), body, default=True),
        when=condition(reader, (*path, "when"), body, windows),
        payload=said.payload,
        enforce=said.enforce,
        rate_per_s=said.rate_per_s,
        retention_s=said.retention_s,
        provenance=said.provenance,
        examples=said.examples,
    )
    if read.when.is_about_messages and not read.publish:
        hint = "name the roles that publish, or remove it"
        reader.wrong((*path, "when"), "the condition is about publishing, and nobody may publish here", hint)
    if template is None:
        return None
    _check_template(reader, path, template)
    if template.begins_with_dollar and read.publish:
        reader.wrong(
            (*path, "publish"),
            "topics that begin with $ are the server's: no client may publish to them",
            "remove publish",
        )
    return read


def _check_template(reader: Reader, path: Path, template: Pattern) -> None:
    if Wildcard.ONE in template.levels:
        reader.wrong(path, "a template names its levels: it has no +", "write a variable, as {area}")
    for name in sorted(set(template.variables)):
        if template.variables.count(name) > 1:
            reader.wrong(path, f"the variable {{{name}}} is there twice", "give the levels different names")
