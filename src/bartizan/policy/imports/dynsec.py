"""The state of Mosquitto's dynamic security plugin -> roles and identities, and every difference.

There three lists decide, each by its first match: who may SUBSCRIBE to what, what is delivered to whom, who may publish
what. Here one rule to subscribe is both SUBSCRIBE and delivery, so the first two are made one list: what both allow.
A client's lists are those of its roles by priority, then those of its groups' roles, then the default.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bartizan.model.difference import Difference, Weight
from bartizan.model.principal import ANONYMOUS_ROLE
from bartizan.policy.contract import Action, Literal, Variable, Wildcard
from bartizan.policy.imports.classes import Roles
from bartizan.policy.imports.dynsec_state import Acl, Client, DynsecRole, State
from bartizan.policy.imports.filters import ALL, Levels, covers, is_dollar, shared, text_of
from bartizan.policy.imports.imported import CLIENT_IDS, Imported, ImportedIdentity, why_no_name
from bartizan.policy.imports.levels import spell
from bartizan.policy.imports.mosquitto import PLACEHOLDERS, SOURCES, WEAK_SCHEMES, Around
from bartizan.policy.imports.ordered import Entry

_SYS: Levels = (Literal("$SYS"), Wildcard.MANY)


def import_dynsec(state: State, around: Around, *, prefix: str = "roles") -> Imported:
    """The roles and identities of this state; `prefix` begins the names of the roles."""
    return _Import(state, around, prefix).done()


class _Import:
    def __init__(self, state: State, around: Around, prefix: str) -> None:
        self._prefix = prefix
        self._state = state
        self._around = around
        self._roles = Roles(state.file, SOURCES)
        self._told: dict[tuple[str, int, str], Difference] = {}
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def done(self) -> Imported:
        """Everything, in the order of the file."""
        identities = tuple(self._identities())
        if self._around.anonymous:
            group = self._state.groups.get(self._state.anonymous_group, ())
            entries = list(self._entries(group))
            if entries:
                self._roles.alone(entries, ANONYMOUS_ROLE, "clients without a user name")
        self._tell_in_general(identities)
        order = sorted(self._told.values(), key=lambda told: told.line)
        return Imported(tuple(self._roles.roles), identities, (*order, *self._roles.differences))

    # ---- identities

    def _identities(self) -> Iterator[ImportedIdentity]:
        for client in self._state.clients:
            why = why_no_name(client.name)
            if why:
                effect = "the identity is not carried over: give it another name there first"
                self._tell(Weight.LOST, "user-name", client.line, why, effect)
                continue
            self._tell_client_id(client)
            yield ImportedIdentity(
                name=client.name,
                roles=self._of_chain(client),
                password_hash=client.hash,
                enabled=client.enabled,
                note=client.note,
                place=f"{self._state.file}:{client.line}",
            )

    def _tell_client_id(self, client: Client) -> None:
        wanted = client.client_id
        if wanted and wanted != client.name:
            message = f"{client.name!r} may connect only as the client {wanted!r}"
            effect = f"here as {client.name!r}, or as what begins with it and a `-`"
            fits = wanted.startswith(f"{client.name}-")
            self._tell(Weight.CHANGED if fits else Weight.LOST, "client-id", client.line, message, effect)

    def _of_chain(self, client: Client) -> tuple[str, ...]:
        """The role of all clients with these roles and groups."""
        groups = [role for group in client.groups for role in self._state.groups[group]]
        chain = (*client.roles, *groups)
        if chain not in self._known:
            entries = list(self._entries(chain))
            name = self._roles.name_for(self._prefix, "-".join(dict.fromkeys(chain)) or "none")
            self._known[chain] = self._roles.alone(entries, name, f"clients such as {client.name!r}") if entries else ()
        return self._known[chain]

    # ---- rules

    def _entries(self, chain: Sequence[str]) -> Iterator[Entry]:
        """The list of a client that has these roles, in their order."""
        roles = [self._state.roles[name] for name in chain if name in self._state.roles]
        subscribe: list[Entry] = []
        receive: list[Entry] = []
        for role in roles:
            if not role.wildcards:
                message = f"the role {role.name!r} allows no SUBSCRIBE with + or #"
                effect = "here such a SUBSCRIBE is allowed if a rule covers it; the messages are the same"
                self._tell(Weight.LOST, "no-wildcard-subscriptions", role.line, message, effect)
            yield from self._acls(role, "publishClientSend", Action.PUBLISH)
            receive += self._acls(role, "publishClientReceive", Action.SUBSCRIBE)
            # What is said of exactly this filter is asked first, whatever its priority.
            subscribe += self._acls(role, "subscribeLiteral", Action.SUBSCRIBE)
            subscribe += self._acls(role, "subscribePattern", Action.SUBSCRIBE)
            self._tell_unsubscribe(role)
        if self._state.defaults["publishClientSend"]:
            yield self._entry(Action.PUBLISH, ALL, 0)
        if self._state.defaults["subscribe"]:
            subscribe += [self._entry(Action.SUBSCRIBE, levels, 0) for levels in (ALL, _SYS)]
        yield from self._both(subscribe, receive)

    def _entry(self, action: Action, levels: Levels, line: int, *, allow: bool = True) -> Entry:
        if action is Action.PUBLISH and allow:
            return Entry(allow, action, levels, line, self._around.qos_max, self._around.retain)
        return Entry(allow, action, levels, line)

    def _acls(self, role: DynsecRole, kind: str, action: Action) -> list[Entry]:
        found: list[Entry] = []
        for acl in role.acls:
            entry = self._acl(acl, action) if acl.kind == kind else None
            if entry is not None:
                found.append(entry)
                if kind == "subscribePattern" and isinstance(entry.levels[0], Wildcard):
                    found.append(replace(entry, levels=self._of_the_server(acl, entry.levels)))
        return found

    def _of_the_server(self, acl: Acl, levels: Levels) -> Levels:
        """What a wildcard at the first level reaches there beside: of the topics that begin with `$`, those of `$SYS`."""
        message = "in a subscribePattern, + and # at the first level reach topics that begin with $"
        effect = "here $SYS is in a rule of its own, and no other such topic has messages"
        self._tell(Weight.CHANGED, "dollar-wildcard", acl.line, message, effect)
        rest = levels if levels[0] is Wildcard.MANY else levels[1:]
        return (Literal("$SYS"), *rest)

    def _acl(self, acl: Acl, action: Action) -> Entry | None:
        literal = acl.kind == "subscribeLiteral"
        spelt = spell(acl.topic, {} if literal else PLACEHOLDERS)
        if spelt.trouble is not None:
            effect = "it is not allowed here" if acl.allow else "more than that is denied here: any level in its place"
            self._lose(spelt.trouble.name, acl, spelt.trouble.message, effect, spelt.levels)
            if acl.allow:
                return None
        if acl.allow and action is Action.PUBLISH and is_dollar(spelt.levels):
            effect = "topics that begin with $ are the server's here: nobody publishes to them"
            self._lose("dollar-publish", acl, f"the rule lets clients publish to {acl.topic}", effect, spelt.levels)
            return None
        if literal and {"+", "#"} & set(acl.topic.split("/")) and not self._literal(acl, spelt.levels):
            return None
        if any(isinstance(level, Variable) for level in spelt.levels):
            message = "a user name or Client Identifier with a / counts as several levels"
            effect = "here it is no value: an allowance with it does not hold, a denial with it holds for every value"
            self._tell(Weight.CHANGED, "slash-in-value", acl.line, message, effect)
            message = "the plugin of Mosquitto 2.0 reads %c and %u as text, that of 2.1 as the client's own values"
            self._tell(Weight.CHANGED, "variables", acl.line, message, "here they are the client's own values")
        return self._entry(action, spelt.levels, acl.line, allow=acl.allow)

    def _literal(self, acl: Acl, levels: Levels) -> bool:
        """Whether a rule on exactly this filter is carried over as one on its topics."""
        if acl.allow:
            message = f"the rule allows a SUBSCRIBE to exactly {acl.topic}"
            effect = "here to every filter within it too; the messages are the same"
            changed = Difference(
                Weight.CHANGED, "literal", self._state.file, acl.line, message, effect, text_of(levels)
            )
            self._told.setdefault((changed.name, acl.line, message), changed)
            return True
        message = f"the rule denies a SUBSCRIBE to exactly {acl.topic}, and no other that has the same messages"
        effect = "a policy is about topics: such a SUBSCRIBE is allowed here where another rule allows its topics"
        self._lose("literal", acl, message, effect, levels)
        return False

    def _both(self, subscribe: Sequence[Entry], receive: Sequence[Entry]) -> Iterator[Entry]:
        """One list of what both lists allow: the first match of the one, and within it the first of the other."""
        for asked in subscribe:
            if not asked.allow:
                yield asked
                continue
            for delivered in receive:
                part = shared(delivered.levels, asked.levels)
                if part is None:
                    continue
                if delivered.allow and not (covers(delivered.levels, part) and covers(asked.levels, part)):
                    message = f"{text_of(asked.levels)} may be subscribed and {text_of(delivered.levels)} received"
                    effect = "what is in both depends on a value: it is not allowed here"
                    line = asked.line or delivered.line
                    lost = Difference(
                        Weight.LOST, "value-and-level", self._state.file, line, message, effect, text_of(part)
                    )
                    self._told.setdefault((lost.name, line, message), lost)
                    continue
                yield Entry(delivered.allow, Action.SUBSCRIBE, part, asked.line or delivered.line)
            # What no rule on deliveries matches is as by default; but that never gives $CONTROL.
            allow = self._state.defaults["publishClientReceive"] and not _is_control(asked.levels)
            yield Entry(allow, Action.SUBSCRIBE, asked.levels, asked.line)

    # ---- what is different whatever the file says

    def _tell_unsubscribe(self, role: DynsecRole) -> None:
        line = next((acl.line for acl in role.acls if acl.kind.startswith("unsubscribe") and not acl.allow), None)
        if line is not None:
            message = f"the role {role.name!r} denies an UNSUBSCRIBE"
            self._tell(Weight.CHANGED, "unsubscribe", line, message, "here it is always granted")

    def _tell_in_general(self, identities: Sequence[ImportedIdentity]) -> None:
        if self._state.defaults["publishClientSend"] or self._state.defaults["subscribe"]:
            message = "by default everybody may do what no rule is about, with topics that begin with $ too"
            effect = "here without these, but for a SUBSCRIBE to $SYS"
            self._tell(Weight.CHANGED, "default-access", 0, message, effect)
        message = "the plugin decides a SUBSCRIBE and each delivery by different rules"
        effect = "here one rule is both: what is carried over is what both allow, and a denial holds in each delivery"
        self._tell(Weight.CHANGED, "subscribe", 0, message, effect)
        message = "the plugin is changed while the broker runs, by $CONTROL/dynamic-security"
        self._tell(Weight.CHANGED, "control-topic", 0, message, "here by `bartizan identity` and the policy")
        if not self._state.defaults["unsubscribe"]:
            self._tell(Weight.CHANGED, "unsubscribe", 0, "an UNSUBSCRIBE needs a rule", "here it is always granted")
        if any(not client.client_id for client in self._state.clients):
            message = "a client without a clientid may connect with any Client Identifier"
            self._tell(Weight.CHANGED, "client-ids", 0, message, CLIENT_IDS)
        if self._state.anonymous_group and not self._around.anonymous:
            message = f"the group {self._state.anonymous_group!r} is of clients without a user name, who are not let in"
            self._tell(Weight.NOTED, "anonymous-group", 0, message, "not carried over")
        weak = sum(identity.scheme in WEAK_SCHEMES for identity in identities)
        if weak:
            message = f"{weak} {'password is' if weak == 1 else 'passwords are'} kept as PBKDF2 ($7$)"
            effect = "carried over as it is, and hashed anew (argon2id) at the next login"
            self._tell(Weight.NOTED, "password-hash", 0, message, effect)
        self._tell_unused()

    def _tell_unused(self) -> None:
        used = {role for chain in self._known for role in chain}
        used.update(self._state.groups.get(self._state.anonymous_group, ()))
        for role in self._state.roles.values():
            if role.name not in used:
                message = f"no client has the role {role.name!r}"
                self._tell(Weight.NOTED, "unused-role", role.line, message, "not carried over")

    def _lose(self, name: str, acl: Acl, message: str, effect: str, levels: Levels) -> None:
        lost = Difference(Weight.LOST, name, self._state.file, acl.line, message, effect, text_of(levels))
        self._told.setdefault((name, acl.line, message), lost)

    def _tell(self, weight: Weight, name: str, line: int, message: str, effect: str = "") -> None:
        # A rule is met once for each combination of roles; it is told once.
        told = Difference(weight, name, self._state.file, line, message, effect)
        self._told.setdefault((name, line, message), told)


def _is_control(levels: Levels) -> bool:
    first = levels[0]
    return isinstance(first, Literal) and first.text.startswith("$CONTROL")
