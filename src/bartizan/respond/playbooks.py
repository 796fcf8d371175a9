"""Which playbook answers which finding, and whether it may: a table of settings and a budget for each.

Whoever can forge what a playbook acts on commands it. So an identity is acted on only where it has proved itself: not
because of a Client Identifier, nor of a name that somebody claims. An address is banned because of what came from it,
for a time, and nobody else is acted on because of that.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from ipaddress import ip_network

from bartizan.config.respond import Playbook
from bartizan.config.runbooks import Runbook
from bartizan.model.finding import About, Kept, Severity
from bartizan.model.response import Outcome, Response

HOUR_S = 3_600.0

_OUTCOMES = {"observe": Outcome.OBSERVED, "confirm": Outcome.WAITING, "auto": Outcome.DONE}


class Playbooks:
    """All playbooks of one broker, and what they did in the last hour."""

    def __init__(
        self,
        playbooks: Mapping[str, Playbook],
        runbooks: Mapping[str, Runbook] | None = None,
        *,
        revoking_takes_two: bool = False,
    ) -> None:
        self._playbooks = dict(playbooks)
        self._about = {name: _about(playbook, runbooks or {}) for name, playbook in playbooks.items()}
        revoking = {name for name, playbook in playbooks.items() if _revokes(playbook, runbooks or {})}
        self._held = revoking if revoking_takes_two else set[str]()
        """What these would do by themselves waits: no playbook is a second operator."""
        self._acted: dict[str, deque[float]] = {name: deque() for name in playbooks}

    def answers(self, kept: Kept, at_s: float) -> Iterator[Response]:
        """What each playbook makes of a finding; `DONE` is what is to be done now."""
        for name, playbook in self._playbooks.items():
            if _concerns(playbook, self._about[name], kept):
                about, whom = kept.finding.about, _whom(playbook, kept.finding.name)
                outcome, text = self._outcome(name, playbook, whom, at_s)
                at = datetime.fromtimestamp(at_s, UTC)
                yield Response(0, kept.number, name, playbook.action, about, whom, outcome, text, at)

    def named(self, name: str) -> Playbook | None:
        """The playbook of this name."""
        return self._playbooks.get(name)

    def _outcome(self, name: str, playbook: Playbook, whom: str, at_s: float) -> tuple[Outcome, str]:
        if allowed := next((one for one in playbook.never if _leaves_out(one, whom)), None):
            return Outcome.LEFT_OUT, f"never about {allowed}"
        acted = self._acted[name]
        while acted and acted[0] <= at_s - HOUR_S:
            acted.popleft()
        if len(acted) >= playbook.per_hour_max:
            return Outcome.LEFT_OUT, f"already {len(acted)} times within an hour"
        acted.append(at_s)
        if name in self._held and playbook.does == "auto":
            return Outcome.WAITING, "to revoke takes two operators here"
        return _OUTCOMES[playbook.does], ""


def _about(playbook: Playbook, runbooks: Mapping[str, Runbook]) -> About | None:
    """What a finding has to be about; None: whatever it is."""
    if playbook.action == "alert":
        return None
    runbook = runbooks.get(playbook.runbook or "")
    of_address = playbook.action == "ban" or (runbook is not None and runbook.about == "address")
    return About.NETWORK if of_address else About.IDENTITY


def _revokes(playbook: Playbook, runbooks: Mapping[str, Runbook]) -> bool:
    runbook = runbooks.get(playbook.runbook or "")
    steps = () if runbook is None else runbook.steps
    return playbook.action == "revoke" or any(step.action == "revoke" for step in steps)


def _whom(playbook: Playbook, name: str) -> str:
    """Who is acted on: whom a finding is about, and of an address that is banned its neighbours, as far as is said."""
    if playbook.action != "ban":
        return name
    try:
        found = ip_network(name)
    except ValueError:
        return name
    bits = playbook.ban_ipv4_bits if found.version == 4 else playbook.ban_ipv6_bits  # noqa: PLR2004
    return name if bits is None or bits >= found.prefixlen else str(found.supernet(new_prefix=bits))


def _concerns(playbook: Playbook, about: About | None, kept: Kept) -> bool:
    finding = kept.finding
    if playbook.detectors and finding.detector not in playbook.detectors:
        return False
    if finding.severity.rank < Severity(playbook.severity).rank:
        return False
    return about is None or finding.about is about


def _leaves_out(pattern: str, name: str) -> bool:
    """Whether an entry of `never` stands for this identity or address."""
    if fnmatchcase(name, pattern):
        return True
    try:
        allowed, found = ip_network(pattern), ip_network(name)
    except ValueError:
        return False
    return allowed.version == found.version and allowed.overlaps(found)
