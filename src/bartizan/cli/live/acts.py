"""What can be done about a row: by which key, after which question, and what was done, in a line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bartizan.cli.duration import ago, parse_duration
from bartizan.cli.live.look import Row
from bartizan.cli.live.rows import List, counted, spelt
from bartizan.cli.live.source import Source
from bartizan.errors import InvalidValue

HIT_MAX: Final = 4
"""Connections that are named one by one."""

MUTE_DEFAULT: Final = "7d"


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to be filled in."""

    name: str
    label: str
    value: str = ""
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What is about to be done."""

    title: str
    lines: Sequence[str]
    """What it does, and who is hit."""
    verb: str
    """The button that does it."""
    asked: Sequence[Asked] = ()


Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done about a row."""

    key: str
    label: str
    lists: frozenset[List]
    question: Callable[[Source, List, Row], Question]
    """Asks the broker who is hit."""
    do: Callable[[Source, List, Row, Answers], str]
    """Does it; what was done."""


WHY: Final = Asked("why", "why, for the record", is_needed=True)


def identity_of(which: List, row: Row) -> str:
    """Whom a row is about; `InvalidValue` where that is no identity."""
    if which in {List.CLIENTS, List.DENIALS}:
        return row["identity"]
    if row["about"] != "identity":
        raise InvalidValue(
            f"that is about {row['about']} {spelt(row['name'])}, which is no identity".replace("  ", " ")
        )
    return row["name"]


def hit(source: Source, name: str) -> list[str]:
    """Who is hit by what is done to an identity: what it is, and its connections."""
    found, clients = source.identity(name)
    seen = "never seen" if found["last_seen_at"] is None else f"last seen {ago(found['last_seen_at'])} ago"
    roles = spelt(", ".join(found["all_roles"])) or "none"
    lines = [
        f"{spelt(name)} is {found['state']}, roles {roles}, {seen}.",
        f"{counted(len(clients), 'connection')}{':' if clients else '.'}",
    ]
    lines += [
        f"- {spelt(client['client_id'])} from {client['address'] or 'a Unix socket'}, {counted(client['subscriptions'], 'Subscription')}"
        for client in clients[:HIT_MAX]
    ]
    return lines + ([f"- and {len(clients) - HIT_MAX} more"] if len(clients) > HIT_MAX else [])


def _disconnect(_source: Source, _which: List, row: Row) -> Question:
    lines = (
        f"Identity {spelt(row['identity'])}, from {row['address'] or 'a Unix socket'}.",
        "Its Session stays, and it may come again.",
    )
    return Question(f"Disconnect {spelt(row['client_id'])}?", lines, "Disconnect", (WHY,))


def _disconnected(source: Source, _which: List, row: Row, answers: Answers) -> str:
    source.disconnect(row["client_id"], row.get("tenant"), answers["why"])
    return f"{spelt(row['client_id'])} is disconnected"


def _quarantine(source: Source, which: List, row: Row) -> Question:
    name = identity_of(which, row)
    lines = ("It may connect, in the policy's role `quarantine` alone; its Subscriptions end.", *hit(source, name))
    until = Asked("span", "for how long, such as 2d; empty: until it is released")
    return Question(f"Put {spelt(name)} into quarantine?", lines, "Quarantine", (WHY, until))


def _quarantined(source: Source, which: List, row: Row, answers: Answers) -> str:
    span = parse_duration(answers["span"]) if answers["span"] else None
    return _told(source.quarantine(identity_of(which, row), answers["why"], span), "in quarantine")


def _release(source: Source, which: List, row: Row) -> Question:
    name = identity_of(which, row)
    lines = ("It has its roles again, and connects and subscribes anew.", *hit(source, name))
    return Question(f"Release {spelt(name)} from quarantine?", lines, "Release")


def _released(source: Source, which: List, row: Row, _answers: Answers) -> str:
    return _told(source.release(identity_of(which, row)), "released")


def _revoke(source: Source, which: List, row: Row) -> Question:
    name = identity_of(which, row)
    lines = ("For ever: its connections, Sessions, credentials and Wills end now.", *hit(source, name))
    return Question(f"Revoke {spelt(name)}?", lines, "Revoke", (WHY,))


def _revoked(source: Source, which: List, row: Row, answers: Answers) -> str:
    return _told(source.revoke(identity_of(which, row), answers["why"]), "revoked")


def _acknowledge(_source: Source, _which: List, row: Row) -> Question:
    lines = (spelt(row["text"]), "Somebody has seen to it. If it gets much worse, it is open again.")
    return Question(f"Acknowledge finding {row['number']}?", lines, "Acknowledge", (WHY,))


def _acknowledged(source: Source, _which: List, row: Row, answers: Answers) -> str:
    source.acknowledge(row["number"], answers["why"])
    return f"finding {row['number']} is acknowledged"


def _mute(_source: Source, _which: List, row: Row) -> Question:
    of = f"{row['about']} {spelt(row['name'])}".strip()
    lines = (spelt(row["text"]), f"Of {row['detector']} about {of} nobody is told for a while.")
    asked = (WHY, Asked("span", "for how long", MUTE_DEFAULT, is_needed=True))
    return Question(f"Mute {row['detector']} of {of}?", lines, "Mute", asked)


def _muted(source: Source, _which: List, row: Row, answers: Answers) -> str:
    source.mute(row, answers["why"], parse_duration(answers["span"]))
    return f"{row['detector']} of {spelt(row['name']) or 'the broker'} is muted for {answers['span']}"


def _confirm(source: Source, _which: List, row: Row) -> Question:
    whom = hit(source, row["name"]) if row["about"] == "identity" else [f"{row['about']} {spelt(row['name'])}"]
    lines = (f"Playbook {row['playbook']} wants to {row['action']}, since finding {row['finding']}.", *whom)
    return Question(f"Confirm response {row['number']}?", lines, "Confirm")


def _confirmed(source: Source, _which: List, row: Row, _answers: Answers) -> str:
    settled = source.confirm(row["number"])
    return f"response {row['number']} is {settled['outcome']}: {spelt(settled['text'])}"


def _dismiss(_source: Source, _which: List, row: Row) -> Question:
    lines = (f"Playbook {row['playbook']} wants to {row['action']} {spelt(row['name'])}. It will not.",)
    return Question(f"Dismiss response {row['number']}?", lines, "Dismiss")


def _dismissed(source: Source, _which: List, row: Row, _answers: Answers) -> str:
    return f"response {row['number']} is {source.dismiss(row['number'])['outcome']}"


def _told(done: Row, what: str) -> str:
    sessions = done["ended"]["sessions"]
    cut = sum(each["was_connected"] for each in sessions)
    ended = f": {counted(len(sessions), 'Session')} ended, {counted(cut, 'connection')} cut" if sessions else ""
    return f"{spelt(done['identity'])} is {what}{ended}"


EVERYWHERE: Final = frozenset(List)
CLIENTS: Final = frozenset({List.CLIENTS})
FINDINGS: Final = frozenset({List.FINDINGS})
WAITING: Final = frozenset({List.WAITING})

ACTS: Final[Mapping[str, Act]] = {
    "disconnect": Act("d", "Disconnect", CLIENTS, _disconnect, _disconnected),
    "acknowledge": Act("a", "Ack", FINDINGS, _acknowledge, _acknowledged),
    "mute": Act("m", "Mute", FINDINGS, _mute, _muted),
    "confirm": Act("c", "Confirm", WAITING, _confirm, _confirmed),
    "dismiss": Act("x", "Dismiss", WAITING, _dismiss, _dismissed),
    "quarantine": Act("Q", "Quarantine", EVERYWHERE, _quarantine, _quarantined),
    "release": Act("r", "Release", EVERYWHERE - WAITING, _release, _released),
    "revoke": Act("R", "Revoke", EVERYWHERE, _revoke, _revoked),
}
"""All of them, in the order in which the keys are shown."""
