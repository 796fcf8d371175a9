"""Mosquitto's ACL file and password file -> roles and identities, and every difference.

There a message is judged by four lists in turn: what the user is denied, what he is allowed, what patterns deny, what
patterns allow; the first that matches decides, and nothing matching is a denial. Here they are roles: one that all
share, of the patterns, and one for each user with a section.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bartizan.model.difference import Difference, Weight
from bartizan.model.principal import ANONYMOUS_ROLE
from bartizan.policy.contract import Action, Literal, Variable, Wildcard
from bartizan.policy.imports.acl_file import AclFile, AclRule
from bartizan.policy.imports.classes import Roles
from bartizan.policy.imports.filters import ALL, Levels, is_dollar, overlaps, text_of
from bartizan.policy.imports.imported import CLIENT_IDS, Imported, ImportedIdentity, why_no_name
from bartizan.policy.imports.levels import spell
from bartizan.policy.imports.ordered import QOS_MAX, Entry
from bartizan.policy.imports.passwords import PasswordFile

CLIENT, USER = "client_id", "user"
SOURCES = {CLIENT: "client_id", USER: "identity"}
PLACEHOLDERS = {"%c": CLIENT, "%u": USER}
WEAK_SCHEMES = frozenset({"6", "7"})

_SYS: Levels = (Literal("$SYS"), Wildcard.MANY)


@dataclass(frozen=True, slots=True)
class Around:
    """What the configuration says beside the two files."""

    file: str = "mosquitto.conf"
    anonymous: bool = False
    """Whether a client without a user name is let in."""

    qos_max: int = QOS_MAX
    retain: bool = True


def import_mosquitto(acl: AclFile | None, passwords: PasswordFile | None, around: Around) -> Imported:
    """The roles and identities of these files. Without an ACL file, everybody may do everything."""
    return _Import(acl, passwords, around).done()


class _Import:
    def __init__(self, acl: AclFile | None, passwords: PasswordFile | None, around: Around) -> None:
        self._acl = acl or AclFile(around.file)
        self._passwords = passwords or PasswordFile(around.file)
        self._around = around
        self._open = acl is None
        self._roles = Roles(self._acl.name, SOURCES)
        self._told: list[Difference] = [*self._acl.remarks, *self._passwords.remarks]
        self._patterns: list[Entry] = []

    def done(self) -> Imported:
        """Everything, in the order of the files."""
        self._patterns = self._everything() if self._open else self._read(self._acl.patterns, PLACEHOLDERS)
        self._roles.share(self._patterns)
        identities = tuple(self._identities())
        self._anonymous()
        self._tell_in_general(identities)
        told = [*self._told, *self._roles.differences]
        return Imported(tuple(self._roles.roles), identities, tuple(told))

    # ---- rules

    def _everything(self) -> list[Entry]:
        message = "there is no acl_file, so everybody may read and write everything"
        effect = "carried over as it is; see `bartizan policy check`"
        self._tell(Weight.CHANGED, "no-acl-file", self._around.file, 0, message, effect)
        message = "without an acl_file, clients may also publish to topics that begin with $, but for $SYS"
        self._tell(Weight.CHANGED, "dollar-publish", self._around.file, 0, message, "nobody does here")
        return [
            self._entry(Action.PUBLISH, ALL, 0),
            self._entry(Action.SUBSCRIBE, ALL, 0),
            self._entry(Action.SUBSCRIBE, _SYS, 0),
        ]

    def _entry(self, action: Action, levels: Levels, line: int) -> Entry:
        if action is Action.SUBSCRIBE:
            return Entry(allow=True, action=action, levels=levels, line=line)
        bounds = (self._around.qos_max, self._around.retain)
        return Entry(True, action, levels, line, *bounds)  # noqa: FBT003  the dataclass names it

    def _read(self, rules: Sequence[AclRule], placeholders: dict[str, str]) -> list[Entry]:
        """The entries of rules in the order in which Mosquitto tries them: what denies first."""
        entries: list[Entry] = []
        for rule in rules:
            if rule.filter.split("/")[0] == "$share":
                message = f"no topic of a message begins with $share, so {rule.filter!r} matches nothing"
                self._tell(Weight.NOTED, "no-effect", self._acl.name, rule.line, message)
                continue
            entries += self._entries(rule, placeholders)
        return [entry for entry in entries if not entry.allow] + [entry for entry in entries if entry.allow]

    def _entries(self, rule: AclRule, placeholders: dict[str, str]) -> Iterator[Entry]:
        spelt = spell(rule.filter, placeholders)
        denies = not rule.allows
        if spelt.trouble is not None:
            effect = "more than that is denied here: any level in its place" if denies else "it is not allowed here"
            self._lose(spelt.trouble.name, rule, spelt.trouble.message, effect, spelt.levels)
            if not denies:
                return
        if denies:
            for action in Action:
                yield Entry(allow=False, action=action, levels=spelt.levels, line=rule.line)
            return
        for action in rule.allows:
            if action is Action.PUBLISH and is_dollar(spelt.levels):
                self._dollar_publish(rule, spelt.levels)
            else:
                yield self._entry(action, spelt.levels, rule.line)

    def _dollar_publish(self, rule: AclRule, levels: Levels) -> None:
        if levels[0] == Literal("$SYS") and not _reaches_bridge_state(levels):
            message = f"Mosquitto lets nobody publish to {rule.filter}, whatever the file says"
            self._tell(Weight.NOTED, "no-effect", self._acl.name, rule.line, message, "nor does anybody here")
        else:
            message = f"the rule lets clients publish to {rule.filter}"
            effect = "topics that begin with $ are the server's here: nobody publishes to them"
            self._lose("dollar-publish", rule, message, effect, levels)

    def _lose(self, name: str, rule: AclRule, message: str, effect: str, levels: Levels) -> None:
        lost = Difference(Weight.LOST, name, self._acl.name, rule.line, message, effect, text_of(levels))
        self._told.append(lost)

    # ---- identities

    def _identities(self) -> Iterator[ImportedIdentity]:
        users = list(dict.fromkeys([*self._passwords.users, *(user for user in self._acl.sections if user)]))
        for user in users:
            known = self._passwords.users.get(user)
            file = self._passwords.name if known else self._acl.name
            line = known.line if known else self._acl.lines[user]
            if not self._is_name(user, file, line):
                continue
            if known is None:
                message = f"{user!r} has rules and no password"
                effect = "an identity is made that only a certificate of its name proves: enrol it, or remove it"
                self._tell(Weight.NOTED, "no-credential", file, line, message, effect)
            yield ImportedIdentity(
                name=user,
                roles=self._roles_of(user),
                password_hash=known.hash if known else "",
                place=f"{file}:{line}",
            )

    def _is_name(self, user: str, file: str, line: int) -> bool:
        why = why_no_name(user)
        if why:
            effect = "neither the identity nor its rules are carried over: give it another name there first"
            self._tell(Weight.LOST, "user-name", file, line, why, effect)
        return not why

    def _roles_of(self, user: str) -> tuple[str, ...]:
        rules = self._acl.sections.get(user, [])
        if not rules:
            return self._roles.shared
        own = [*self._read(rules, {}), *self._patterns]
        return self._roles.of(own, self._roles.name_for("user", user), f"user {user!r}")

    def _anonymous(self) -> None:
        rules = self._acl.sections.get(None, [])
        if not self._around.anonymous:
            if rules:
                message = (
                    "rules before the first `user` are of clients without a user name, whom this broker lets not in"
                )
                self._tell(
                    Weight.NOTED, "anonymous-section", self._acl.name, rules[0].line, message, "not carried over"
                )
            return
        patterns = [entry for entry in self._patterns if Variable(USER) not in entry.levels]
        entries = [*self._read(rules, {}), *patterns]
        if entries:
            self._roles.alone(entries, ANONYMOUS_ROLE, "clients without a user name")
        if rules:
            message = "rules before the first `user` are of clients without a user name only"
            effect = f"they are the role `{ANONYMOUS_ROLE}`, which nobody else has"
            self._tell(Weight.CHANGED, "anonymous-section", self._acl.name, rules[0].line, message, effect)
        self._special_client_ids(patterns)

    def _special_client_ids(self, patterns: Sequence[Entry]) -> None:
        if any(entry.allow and not _has_variable(entry.levels) for entry in patterns):
            message = "Mosquitto applies no pattern to a client whose identifier holds + or #"
            effect = "here it gets those patterns that have no %c, if it is let in without a user name"
            line = next(entry.line for entry in patterns if entry.allow and not _has_variable(entry.levels))
            self._tell(Weight.CHANGED, "special-client-id", self._acl.name, line, message, effect)

    # ---- what is different whatever the files say

    def _tell_in_general(self, identities: Sequence[ImportedIdentity]) -> None:
        file = self._acl.name
        message = "Mosquitto grants every SUBSCRIBE, and checks each message when it is delivered"
        effect = (
            "a SUBSCRIBE that no single rule covers, or that a denial has in whole, is refused with 0x87 here (0x80 in MQTT "
            "3.1.1), so a client that subscribes to more than it may read has to subscribe to what it may read"
        )
        self._tell(Weight.CHANGED, "subscribe-refused", file, 0, message, effect)
        if identities:
            message = "in Mosquitto a user may connect with any Client Identifier"
            self._tell(Weight.CHANGED, "client-ids", self._passwords.name, 0, message, CLIENT_IDS)
        with_value = [entry for entry in self._patterns if _has_variable(entry.levels)]
        if with_value:
            message = "Mosquitto 2.0 puts a user name or Client Identifier with a / into a pattern as several levels"
            effect = "here it is no value: an allowance with it does not hold, a denial with it holds for every value"
            self._tell(Weight.CHANGED, "slash-in-value", file, with_value[0].line, message, effect)
        if any(isinstance(entry.levels[0], Variable) for entry in with_value):
            message = "in Mosquitto a value at the first level may begin with $, and so reach the server's topics"
            self._tell(Weight.CHANGED, "dollar-in-value", file, with_value[0].line, message, "here it reaches nothing")
        self._tell_of_hashes(identities)

    def _tell_of_hashes(self, identities: Sequence[ImportedIdentity]) -> None:
        kept = sum(bool(identity.password_hash) for identity in identities)
        if kept:
            weak = sum(identity.scheme in WEAK_SCHEMES for identity in identities)
            message = f"{kept} {'password is' if kept == 1 else 'passwords are'} kept as a hash of Mosquitto, {weak} as $6$ or $7$"
            effect = "carried over as it is, and hashed anew (argon2id) at the next login"
            self._tell(Weight.NOTED, "password-hash", self._passwords.name, 0, message, effect)

    def _tell(self, weight: Weight, name: str, file: str, line: int, message: str, effect: str = "") -> None:
        self._told.append(Difference(weight, name, file, line, message, effect))


def _has_variable(levels: Levels) -> bool:
    return any(isinstance(level, Variable) for level in levels)


_BRIDGE_STATE: Levels = tuple(
    Wildcard(part) if part == "+" else Literal(part) for part in ("$SYS", "broker", "connection", "+", "state")
)


def _reaches_bridge_state(levels: Levels) -> bool:
    """Bridges tell their state there, and Mosquitto lets any client do so whom the file allows it."""
    return overlaps(levels, _BRIDGE_STATE)
