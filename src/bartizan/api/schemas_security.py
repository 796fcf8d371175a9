"""What the API answers with about findings, actions, certificates, the record of changes and changes of the policy."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bartizan.api.schemas import PolicyFinding, PolicyVersion


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EndedSession(_Told):
    """A Session that ended."""

    identity: str
    client_id: str
    tenant: str | None
    was_connected: bool
    subscriptions: int
    queued: int
    inflight: int
    had_will: bool


class CutConnection(_Told):
    """A connection that a ban has cut. Its Session stays."""

    identity: str
    client_id: str
    tenant: str | None
    address: str
    why: str


class Ended(_Told):
    """What ended."""

    sessions: list[EndedSession]
    retained: int = Field(description="Retained Messages that were removed.")
    cut: list[CutConnection] = Field(description="Connections that met a ban.")


class Acted(_Told):
    """What was done to an identity."""

    identity: str
    before: str
    after: str
    is_in_force: bool
    credentials_ended: list[str]
    serials_blocked: list[str]
    ended: Ended
    lacks_role: bool = Field(
        description="Put into quarantine where the policy has no role `quarantine`: until it is released it may do nothing."
    )


class NotActed(_Told):
    """An identity to which it could not be done."""

    identity: str
    problem: str


class ActedOnMany(_Told):
    """What was done to each. What could not be done to one is done to the others all the same."""

    done: list[Acted]
    failed: list[NotActed]


class Preview(_Told):
    """Who is meant. Nothing is changed."""

    action: str
    count: int
    identities: list[str] = Field(description="The first thousand of them.")
    confirm: str = Field(description="Send this with it: it is done to exactly these, or refused.")


class Ban(_Told):
    """Who may not connect, whatever proves it."""

    id: str
    of: str
    what: str
    issuer: str
    created_at: datetime
    until: datetime | None = Field(description="When it ends by itself; null: when it is removed.")
    reason: str
    by: str


class Banned(Ban):
    """A ban, and what it did."""

    is_in_force: bool
    cut: list[CutConnection]


class HitClient(_Told):
    """A client that would be cut."""

    client_id: str
    identity: str
    address: str


class BanPreview(_Told):
    """Who would be cut. Nothing is changed."""

    count: int
    clients: list[HitClient] = Field(description="The first thousand of them.")


class Throttle(_Told):
    """An identity that publishes more slowly for a while."""

    identity: str
    messages_per_s: int
    bytes_per_s: int
    until: datetime
    reason: str
    by: str


class RunbookStep(_Told):
    """One thing that is done."""

    action: str
    hours: int | None
    messages_per_s: int | None
    clear_retained: bool


class Runbook(_Told):
    """What is done about one identity, or one address, step by step."""

    name: str
    about: str
    note: str
    steps: list[RunbookStep]


class RunPreview(_Told):
    """Who would be hit. Nothing is done."""

    runbook: str
    about: str
    name: str
    state: str | None = Field(description="Of an identity; null where there is none.")
    clients: list[HitClient]
    steps: list[str]


class StepDone(_Told):
    """A step, and what it did, or why it failed."""

    action: str
    text: str


class Run(_Told):
    """What became of a run."""

    runbook: str
    about: str
    name: str
    done: list[StepDone]
    failed: StepDone | None = Field(description="The step at which it stopped, and why.")
    left: list[str] = Field(description="What was not done because of that.")


class Finding(_Told):
    """A suspicion that a detector derived from what happened, and what people made of it."""

    number: int
    detector: str
    about: str
    name: str
    severity: str
    score: int
    technique: str
    text: str
    count: int
    first_at: datetime
    last_at: datetime
    state: str
    by: str
    why: str


class Mute(_Told):
    """Findings that nobody wants to be told of for a while."""

    number: int
    detector: str
    about: str | None
    name: str
    why: str
    by: str
    since: datetime
    until: datetime


class PlaybookResponse(_Told):
    """What a playbook did about a finding, would have done, or waits to do."""

    number: int
    finding: int
    playbook: str
    action: str
    about: str
    name: str
    outcome: str
    text: str
    at: datetime
    by: str


class Certificate(_Told):
    """A certificate of the broker: its CA, or what a listener shows."""

    of: str = Field(description="`ca`, `api`, or `listener NAME`.")
    subject: str
    issuer: str
    serial_hex: str
    fingerprint_sha256: str
    not_before: datetime
    not_after: datetime
    pem: str


class ClientCertificate(_Told):
    """A certificate that proves an identity."""

    identity: str
    id: str
    serial_hex: str
    issuer: str
    fingerprint_sha256: str
    created_at: datetime
    not_after: datetime | None
    revoked_at: datetime | None
    live: bool


class IssuedCertificate(_Told):
    """A certificate that was made for an identity. Its key has not left who asked."""

    identity: str
    id: str
    serial_hex: str
    fingerprint_sha256: str
    not_after: datetime
    earlier_end_at: datetime | None
    certificate: str = Field(description="PEM.")
    ca: str = Field(description="PEM of the CA.")


class AuditRecord(_Told):
    """A record, as it was written: the hash of it can be computed again."""

    record: str = Field(description="`c17` is the 17th of the changes, `e17` of the events.")
    content: dict[str, Any]


class AuditProblem(_Told):
    """Something in the record that is not as it was written, and where."""

    segment: str
    line: int
    seq: int | None
    problem: str


class AuditLog(_Told):
    """What was found in one log."""

    whole: bool
    records: int
    segments: int
    checkpoints: int
    first_seq: int
    last_seq: int
    last_hash: str
    signed_seq: int
    key: str
    problems: list[AuditProblem]
    notes: list[str]
    open_changes: dict[int, str]


class AuditVerified(_Told):
    """Whether the record is as it was written."""

    whole: bool
    logs: dict[str, AuditLog]


class AuditKey(_Told):
    """The public key that verifies the record."""

    name: str
    pem: str


class PolicyTests(_Told):
    """Whether a policy decides as is expected of it."""

    passed: bool
    expectations: list[dict[str, Any]]


class PolicyOffer(_Told):
    """What was found about a policy that is offered."""

    digest: str
    files: list[str]
    findings: list[PolicyFinding]
    tests: PolicyTests
    changes: dict[str, Any] | None = Field(
        description="Who gains and who loses: roles, identities, sessions; null where there is nothing to compare with."
    )


class PolicyChange(PolicyOffer):
    """What became of it. `version` is null where nothing was changed."""

    outcome: str
    version: PolicyVersion | None


class Staged(_Told):
    """The policy that is asked beside the one in force."""

    digest: str
    since: datetime
    until: datetime | None


class StagedDifference(_Told):
    """Requests of one kind that the staged policy would have decided otherwise."""

    number: int
    identity: str
    client_id: str
    action: str
    topic: str
    rule: str
    why: str
    staged_rule: str
    staged_why: str
    listener: str
    qos: int
    retain: bool
    bytes: int
    count: int
    first_at: datetime
    last_at: datetime


class StagedInFull(_Told):
    """What is staged, and what it would have decided otherwise."""

    staged: Staged | None
    differences: list[StagedDifference]
    not_kept: int = Field(description="Further ones, for which there was no room.")


class Unstaged(_Told):
    """Whether a policy was staged."""

    was_staged: bool
