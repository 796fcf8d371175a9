"""EMQX's acl.conf -> roles, and every difference. There the first rule that matches decides."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bartizan.model.difference import Difference, Weight
from bartizan.model.principal import ANONYMOUS_ROLE
from bartizan.policy.condition import ALWAYS, Condition
from bartizan.policy.contract import Action, Literal, Wildcard
from bartizan.policy.imports.classes import Roles
from bartizan.policy.imports.emqx_rules import EmqxRule, TopicMatch, holds, is_attribute, read_rules, users_of
from bartizan.policy.imports.erlang import Term
from bartizan.policy.imports.filters import ALL, Levels, is_dollar, text_of
from bartizan.policy.imports.imported import CLIENT_IDS, Imported, ImportedIdentity, why_no_name
from bartizan.policy.imports.levels import is_filter, spell
from bartizan.policy.imports.ordered import QOS_MAX, Entry

_PLACEHOLDERS = {"${clientid}": "client_id", "%c": "client_id", "${username}": "user", "%u": "user"}
_ATTRIBUTE = re.compile(r"\$\{client_attrs\.([^}/]+)\}")
_SYS: Levels = (Literal("$SYS"), Wildcard.MANY)
_LOST_CONDITIONS = {
    "address-condition": "the rule asks for the client's address in two ways at once",
    "client-id-condition": "the rule asks for the Client Identifier",
    "attribute-condition": "the rule asks for an attribute of the client in a way that no condition does",
    "zone-condition": "the rule asks for the zone",
    "listener-condition": "the rule asks for the listener",
    "security-profile": "the rule asks for EMQX's security profile",
    "regex": "the rule asks by a regular expression",
}


def import_emqx(terms: Sequence[Term], file: str, *, no_match_allows: bool = False) -> Imported:
    """The roles of these terms. `no_match_allows`: EMQX's `authorization.no_match` is `allow`."""
    return _Import(read_rules(terms, file), file, no_match_allows=no_match_allows).done()


class _Import:
    def __init__(self, rules: Sequence[EmqxRule], file: str, *, no_match_allows: bool) -> None:
        self._rules = rules
        self._file = file
        self._no_match_allows = no_match_allows
        self._told: dict[tuple[str, int, str], Difference] = {}
        names = {found for rule in rules for topic in rule.topics for found in _ATTRIBUTE.findall(topic.text)}
        self._attributes = {f"${{client_attrs.{name}}}": f"attr_{name}" for name in names if is_attribute(name)}
        sources = {variable: f"attr.{variable.removeprefix('attr_')}" for variable in self._attributes.values()}
        self._roles = Roles(file, {"client_id": "client_id", "user": "identity", **sources})

    def done(self) -> Imported:
        """Everything, in the order of the file."""
        self._roles.share(list(self._entries(None)))
        identities = tuple(self._identities())
        self._tell_in_general(identities)
        order = sorted(self._told.values(), key=lambda told: told.line)
        return Imported(tuple(self._roles.roles), identities, (*order, *self._roles.differences))

    def _identities(self) -> Iterator[ImportedIdentity]:
        first: dict[str, int] = {}
        for rule in self._rules:
            for user in users_of(rule.who):
                first.setdefault(user, rule.line)
        for user, line in first.items():
            why = why_no_name(user)
            if why:
                effect = "neither the identity nor its rules are carried over: give it another name there first"
                self._tell(Weight.LOST, "user-name", line, why, effect)
                continue
            roles = self._roles.of(list(self._entries(user)), self._roles.name_for("user", user), f"user {user!r}")
            yield ImportedIdentity(user, roles, place=f"{self._file}:{line}")

    # ---- rules

    def _entries(self, user: str | None) -> Iterator[Entry]:
        """The list of this user, in the order of the file."""
        for rule in self._rules:
            truth = holds(rule.who, user)
            if isinstance(truth, str):
                effect = self._effect(rule, "everybody whom the rest of the rule may mean")
                self._tell(Weight.LOST, truth, rule.line, _LOST_CONDITIONS[truth], effect)
            if isinstance(truth, Condition):
                yield from self._of_rule(rule, truth)
            elif truth is True or (isinstance(truth, str) and not rule.allow):
                yield from self._of_rule(rule, ALWAYS)
        if self._no_match_allows:
            yield Entry(allow=True, action=Action.PUBLISH, levels=ALL, line=0)
            yield Entry(allow=True, action=Action.SUBSCRIBE, levels=ALL, line=0)
            yield Entry(allow=True, action=Action.SUBSCRIBE, levels=_SYS, line=0)

    def _of_rule(self, rule: EmqxRule, who: Condition) -> Iterator[Entry]:
        self._tell_condition(rule, who)
        for action in rule.actions:
            if self._is_lost(rule, action):
                continue
            for topic in rule.topics:
                levels = self._levels(rule, topic, action)
                if levels is None:
                    continue
                if action is Action.SUBSCRIBE:
                    yield Entry(rule.allow, action, levels, topic.line, when=who)
                else:
                    when = replace(who, qos=rule.when.qos, retain=rule.when.retain)
                    yield Entry(rule.allow, action, levels, topic.line, rule.qos_max, rule.retain, when)

    def _tell_condition(self, rule: EmqxRule, who: Condition) -> None:
        if who.addresses:
            message = "the rule asks for the client's address"
            effect = "where nobody is connected (a Retained Message, a Session that waits) no address is asked for here"
            self._tell(Weight.CHANGED, "address", rule.line, message, effect)
        if who.attributes and not rule.allow:
            message = "the rule denies by an attribute, and not who lacks it"
            self._tell(Weight.CHANGED, "attribute", rule.line, message, "here it denies him too")

    def _is_lost(self, rule: EmqxRule, action: Action) -> bool:
        """True if it asks for the QoS of a SUBSCRIBE, and so allows nothing here; a denial denies every one."""
        asks = rule.qos_max < QOS_MAX or bool(rule.when.qos)
        if asks and action is Action.SUBSCRIBE:
            effect = self._effect(rule, "every SUBSCRIBE")
            self._tell(Weight.LOST, "qos-condition", rule.line, "the rule asks for the QoS of a SUBSCRIBE", effect)
        return asks and action is Action.SUBSCRIBE and rule.allow

    def _levels(self, rule: EmqxRule, topic: TopicMatch, action: Action) -> Levels | None:
        if not is_filter(topic.text) or topic.text.split("/")[0] in ("$share", "$queue"):
            message = f"{topic.text!r} matches no topic"
            self._tell(Weight.NOTED, "no-effect", topic.line, message)
            return None
        if topic.exact and not self._exact(rule, topic, action):
            return None
        # `${$}` is how a template spells a dollar.
        spelt = spell(topic.text.replace("${$}", "$"), {} if topic.exact else {**_PLACEHOLDERS, **self._attributes})
        if spelt.trouble is not None:
            effect = self._effect(rule, "any level in its place")
            self._lose(spelt.trouble.name, topic.line, spelt.trouble.message, effect, spelt.levels)
            if rule.allow:
                return None
        if rule.allow and action is Action.PUBLISH and is_dollar(spelt.levels):
            effect = "topics that begin with $ are the server's here: nobody publishes to them"
            message = f"the rule lets clients publish to {topic.text}"
            self._lose("dollar-publish", topic.line, message, effect, spelt.levels)
            return None
        return spelt.levels

    def _exact(self, rule: EmqxRule, topic: TopicMatch, action: Action) -> bool:
        """Whether a rule on exactly this text is a rule on topics."""
        if not {"+", "#"} & set(topic.text.split("/")):
            return True
        if action is Action.PUBLISH:
            return False  # nobody publishes to a wildcard
        if rule.allow:
            message = f"the rule allows a SUBSCRIBE to exactly {topic.text}"
            effect = "here to every filter within it too; the messages are the same"
            self._tell(Weight.CHANGED, "eq", topic.line, message, effect)
            return True
        message = f"the rule denies a SUBSCRIBE to exactly {topic.text}, and no other that has the same messages"
        effect = "a policy is about topics: such a SUBSCRIBE is allowed here where a later rule allows its topics"
        self._lose("eq", topic.line, message, effect, spell(topic.text, {}).levels)
        return False

    @staticmethod
    def _effect(rule: EmqxRule, wider: str) -> str:
        return "it is not allowed here" if rule.allow else f"more than that is denied here: {wider}"

    # ---- what is different whatever the file says

    def _tell_in_general(self, identities: Sequence[ImportedIdentity]) -> None:
        self._tell_no_match()
        message = "EMQX decides a SUBSCRIBE as it comes, and delivers whatever its filter matches"
        effect = (
            "here each delivery that a denial may concern is decided, so a denial inside a wider Subscription holds; "
            "and one rule must cover the whole filter, else the SUBSCRIBE is refused with 0x87"
        )
        self._tell(Weight.CHANGED, "subscribe", 0, message, effect)
        message = "a superuser of EMQX's authenticators is asked for no rule"
        self._tell(Weight.CHANGED, "superuser", 0, message, "nobody is above the policy here: give such users a role")
        message = "rules for all hold in EMQX for clients without a user name, if they are let in"
        effect = f"here they have the role `{ANONYMOUS_ROLE}`, which this import does not make: they may do nothing"
        self._tell(Weight.CHANGED, "anonymous", 0, message, effect)
        message = "in EMQX a user may connect with any Client Identifier"
        self._tell(Weight.CHANGED, "client-ids", 0, message, CLIENT_IDS)
        if self._attributes:
            names = ", ".join(sorted(self._attributes))
            message = f"EMQX makes {names} of certificates, user properties or its authenticators' answers"
            self._tell(Weight.CHANGED, "client-attributes", 0, message, "here they are attributes of the identity")
        message = f"acl.conf names {len(identities)} of EMQX's users, and has no passwords"
        shared = ", ".join(self._roles.shared) or "none"
        effect = f"enrol them, and give the users that it does not name this role: {shared}"
        self._tell(Weight.NOTED, "identities", 0, message, effect)

    def _tell_no_match(self) -> None:
        word = "allow" if self._no_match_allows else "deny"
        rest = "topics that begin with $" if any(rule.is_last_word for rule in self._rules) else "what no rule matches"
        message = f"authorization.no_match of EMQX decides {rest}, and acl.conf does not tell it"
        self._tell(Weight.CHANGED, "no-match", 0, message, f"taken to be {word}, see --no-match")

    def _lose(self, name: str, line: int, message: str, effect: str, levels: Levels) -> None:
        lost = Difference(Weight.LOST, name, self._file, line, message, effect, text_of(levels))
        self._told.setdefault((name, line, message), lost)

    def _tell(self, weight: Weight, name: str, line: int, message: str, effect: str = "") -> None:
        # A rule is met once for each user that it may mean; it is told once.
        told = Difference(weight, name, self._file, line, message, effect)
        self._told.setdefault((name, line, message), told)
