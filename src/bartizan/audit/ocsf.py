"""A record as an event of OCSF 1.5: which class it is, and what that class asks for."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from bartizan.audit.severity import severity_of

VERSION: Final = "1.5.0"


class _Class(NamedTuple):
    uid: int
    category: int
    name: str


BASE: Final = _Class(0, 0, "Base Event")
ACCOUNT: Final = _Class(3001, 3, "Account Change")
AUTHENTICATION: Final = _Class(3002, 3, "Authentication")
ENTITY: Final = _Class(3004, 3, "Entity Management")
GROUP: Final = _Class(3006, 3, "Group Management")
API: Final = _Class(6003, 6, "API Activity")

OTHER: Final = 99

_ACTIVITIES: Final[Mapping[str, tuple[_Class, int]]] = {
    "identity.add": (ACCOUNT, 1),
    "identity.remove": (ACCOUNT, 6),
    "operator.add": (ACCOUNT, 1),
    "operator.remove": (ACCOUNT, 6),
    "credential.replace": (ACCOUNT, 4),
    "group.add": (GROUP, 6),
    "group.remove": (GROUP, 5),
    "policy.apply": (ENTITY, 3),
    "policy.rollback": (ENTITY, 3),
    "policy.take-over": (ENTITY, 3),
    "listener.certificates": (ENTITY, 3),
    "ca.create": (ENTITY, 1),
    "store.export": (ENTITY, 2),
    "refused": (AUTHENTICATION, 1),
    "connected": (AUTHENTICATION, 1),
    "disconnected": (AUTHENTICATION, 2),
    "denied": (API, OTHER),
    "contract_broken": (API, OTHER),
    "operator_denied": (API, OTHER),
}
_REFUSALS: Final = frozenset({"refused", "denied", "contract_broken", "operator_denied"})

_FAMILIES: Final[Mapping[str, _Class]] = {
    "identity": ACCOUNT,
    "credential": ACCOUNT,
    "operator": ACCOUNT,
    "group": GROUP,
    "policy": ENTITY,
    "listener": ENTITY,
    "ca": ENTITY,
    "store": ENTITY,
    "broker": ENTITY,
    "client": ENTITY,
}

_SEVERITIES: Final = {"info": (1, "Informational"), "warning": (3, "Medium"), "error": (4, "High")}
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")


def ocsf(record: Mapping[str, Any], product: str) -> dict[str, Any]:
    """The event of a record that is no checkpoint. All of the record is in `unmapped`."""
    kind, activity = _class_of(record)
    severity_id, severity = _SEVERITIES[severity_of(record)]
    status_id, status = _status(record)
    at_ms = int(datetime.fromisoformat(record["at"]).timestamp() * 1000)
    event = {
        "activity_id": activity,
        "category_uid": kind.category,
        "class_uid": kind.uid,
        "class_name": kind.name,
        "type_uid": kind.uid * 100 + activity,
        "time": at_ms,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": _message(record),
        "metadata": {
            "version": VERSION,
            "uid": f"{record['log']}/{record['seq']}",
            "log_name": record["log"],
            "event_code": record["what"],
            "product": {"name": "Bartizan", "vendor_name": "Bartizan", "version": product},
        },
        "unmapped": dict(record),
    }
    if activity == OTHER:
        event["activity_name"] = record["what"]
    detail = record.get("detail")
    if isinstance(detail, Mapping) and isinstance(detail.get("count"), int):
        event["count"] = detail["count"]
    return event | _asked_for(kind, record)


def address_of(record: Mapping[str, Any]) -> str | None:
    """The address without its port, where the record names one."""
    told = record.get("from", "")
    # An operator's has no port, a client's has one; of IPv6 it stands behind brackets.
    has_port = told.startswith("[") or told.count(":") == 1
    address = told.rpartition(":")[0] if has_port else told
    return address.strip("[]") if any(char in address for char in ".:") else None


def _class_of(record: Mapping[str, Any]) -> tuple[_Class, int]:
    what = record["what"]
    if what in _ACTIVITIES:
        return _ACTIVITIES[what]
    family = _FAMILIES.get(what.partition(".")[0]) if "." in what else None
    return (family or BASE, OTHER)


def _status(record: Mapping[str, Any]) -> tuple[int, str]:
    if record.get("outcome") == "failed" or record["what"] in _REFUSALS:
        return _FAILURE
    if record.get("outcome") == "done" or record["what"] in {"connected", "disconnected"}:
        return _SUCCESS
    return 0, "Unknown"


def _message(record: Mapping[str, Any]) -> str:
    words = [record["what"], record.get("target", ""), record.get("outcome", ""), record.get("why", "")]
    return " ".join(word for word in words if word)


def _asked_for(kind: _Class, record: Mapping[str, Any]) -> dict[str, Any]:
    """What its class requires, and who did it."""
    who, name = {"name": record.get("who", "unknown")}, record.get("target", "").partition("/")[2]
    actor = {"actor": {"user": who}}
    address = address_of(record)
    source = {"src_endpoint": {"ip": address}} if address else {}
    match kind.uid:
        case ACCOUNT.uid:
            return actor | {"user": {"name": name or "unknown"}}
        case GROUP.uid:
            return actor | {"group": {"name": name or "unknown"}}
        case ENTITY.uid:
            return actor | {
                "entity": {"name": record.get("target") or "broker", "type": record["what"].partition(".")[0]}
            }
        case AUTHENTICATION.uid:
            return {"user": who, "service": {"name": "mqtt"}} | source
        case API.uid:
            return actor | {"api": {"operation": record["what"]}, "src_endpoint": {"ip": address or ""}}
        case _:
            return actor
