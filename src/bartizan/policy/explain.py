"""Why a request is allowed or denied: the decision, the rule where it stands, and what would allow it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bartizan.policy.check import CheckResult
from bartizan.policy.compiled import Asked, CompiledPolicy, Decision, Examination
from bartizan.policy.grant import Grant, smallest_grant
from bartizan.policy.payload import Enforce
from bartizan.policy.places import Excerpt, Granted, Places
from bartizan.policy.subject import Ask, Subject
from bartizan.policy.tenants import tenant_of
from bartizan.policy.windows import Window
from bartizan.policy.words import condition_words


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons."""

    subject: Subject
    ask: Ask
    decision: Decision
    rule: Granted | None
    """The rule that decided; None where there was none to decide."""
    excerpt: Excerpt | None
    grant: Grant | None
    """The smallest grant that would allow what was denied; None if it is allowed, or if no permit can."""
    paste: str
    """Where the grant goes."""
    advice: str
    """What to know beside it."""
    held: Examination | None = None
    """Of what may be published: what is declared of its topic, and how it is not so."""
    declaration: Excerpt | None = None
    """Where that stands."""

    @property
    def passes(self) -> bool:
        """True if it is allowed, and not refused for not being as declared."""
        is_refused = self.held is not None and self.held.broken is not None and self.held.enforce is Enforce.REJECT
        return self.decision.allow and not is_refused


class Explainer:
    """Explains decisions of one policy."""

    def __init__(self, result: CheckResult) -> None:
        if result.compiled is None:
            raise ValueError("a policy with errors decides nothing")
        self.places = Places(result)
        self._compiled: CompiledPolicy = result.compiled
        self._windows = tuple(window.name for window in result.compiled.windows)

    @property
    def image(self) -> bytes:
        """What the engine loads."""
        return self._compiled.image

    @property
    def windows(self) -> Sequence[Window]:
        """Its time windows."""
        return self._compiled.windows

    @property
    def digest(self) -> str:
        """The name of the policy."""
        return self._compiled.digest

    def tenant(self, subject: Subject) -> tuple[str, str] | None:
        """Whose client it is, and the root below which its topics are to everybody else; None: nobody's."""
        name = tenant_of(subject.attributes, self._compiled.tenants)
        return None if name is None else (name, self._compiled.tenants.get(name, ""))

    def decide(self, subject: Subject, ask: Ask) -> tuple[Decision, Granted | None]:
        """The decision, and the rule that made it."""
        decision = self._compiled.decide(subject.asks(ask, self._windows))
        return decision, None if decision.rule is None else self.places.by_name.get(decision.rule)

    def explain(self, subject: Subject, ask: Ask, payload: bytes | None = None) -> Explanation:
        """The decision with its reasons; of what may be published, with a payload whether that fits."""
        decision, rule = self.decide(subject, ask)
        publishes = decision.allow and ask.action is Asked.PUBLISH
        held, declaration = self.declared(ask.topic, payload) if publishes else (None, None)
        grant = (
            None if decision.allow or decision.why in _NO_GRANT else smallest_grant(self.places.policy, subject, ask)
        )
        return Explanation(
            subject,
            ask,
            decision,
            rule,
            None if rule is None else self.places.excerpt(rule),
            grant,
            "" if grant is None else self._paste(grant),
            self._advice(subject, decision, grant, rule),
            held,
            declaration,
        )

    def declared(self, topic: str, payload: bytes | None = None) -> tuple[Examination, Excerpt | None]:
        """What is declared of a topic, with a payload whether that fits; and where it stands."""
        held = self._compiled.examine(topic, payload)
        found = next((one for one in self.places.policy.topics if one.template.text == held.declared), None)
        return held, None if found is None else self.places.at(
            found.payload.at if found.payload else found.at, found.at
        )

    def _paste(self, grant: Grant) -> str:
        if self.places.holds_list(grant.role, "permit"):
            return f"into permit of [roles.{grant.role}], {self.places.at(self.places.role_at(grant.role, 'permit'))}"
        last = list(self.places.texts)[-1]
        declared = {role.name: role for role in self.places.policy.roles if role.is_declared}
        role = declared.get(grant.role)
        return f"at the end of {(role.at.origin if role else '') or last}"

    def _advice(self, subject: Subject, decision: Decision, grant: Grant | None, rule: Granted | None) -> str:
        unknown = subject.undeclared(self.places.policy)
        if decision.allow:
            return "; ".join(filter(None, (_PER_DELIVERY if decision.per_delivery else "", self._whole(subject))))
        if decision.why in _NO_GRANT:
            return _NO_GRANT[decision.why].format(when=condition_words(rule.when) if rule else "")
        if grant is None:
            return _LACKS_GRANT if subject.narrowed_to else "no permit of a policy can spell this topic"
        if not subject.roles:
            return f"it has no role: give it the role {grant.role} as well"
        if unknown:
            return f"the policy has no role {', '.join(unknown)}"
        return self._missing(subject)

    def _whole(self, subject: Subject) -> str:
        """Where the topics of a tenant's client are to everybody else."""
        tenant = self.tenant(subject)
        return "" if tenant is None else f"a client of tenant {tenant[0]}: to others it is {tenant[1]}/..."

    def _missing(self, subject: Subject) -> str:
        """Values that its roles bind and it lacks: often the true reason of a denial."""
        lacking = dict.fromkeys(
            f"{source} (role {role.name} binds {{{variable}}} to it)"
            for name in subject.roles
            for role in self.places.included(name)
            for variable, source in role.binds
            if subject.value(source) is None
        )
        return f"it lacks {', '.join(lacking)}: permits with that variable do not exist for it" if lacking else ""


_NO_GRANT = {
    "forbidden": "no permit can allow it: a forbid beats every permit, so this forbid must be narrowed or removed",
    "condition_not_met": "the rule counts only {when}: meet that, or change its `when`",
    "not_in_token": "no permit can allow it: a token narrows what roles permit, so its issuer must put the grant into it",
    "tenant_not_declared": "no permit can allow it: declare [tenants.NAME], or correct its attribute tenant",
    "server_topic": "no permit can allow it: topics that begin with $ are published by the server alone",
}
_LACKS_GRANT = "a permit alone does not allow it: its token would have to allow it too"
_PER_DELIVERY = "a forbid has some of these topics: each delivery is decided"
