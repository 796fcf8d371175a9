"""What the API answers with. Nothing here has room for a secret but `Shown*`: what is shown this once."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Client(_Told):
    """A connected client. Counters are since it connected."""

    client_id: str
    identity: str
    tenant: str | None = None
    method: str
    roles: list[str]
    listener: str
    address: str
    port: int
    version: str
    connected_at: datetime
    subscriptions: int
    queued: int
    inflight: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


class Identity(_Told):
    """An identity, and what it acts as."""

    identity: str
    state: str
    roles: list[str]
    groups: list[str]
    attributes: dict[str, str]
    owner: str
    note: str
    created_at: datetime
    quarantined_until: datetime | None
    quarantine_reason: str
    quarantine_ticket: str
    quarantined_by: str
    all_roles: list[str] = Field(description="With those of its groups.")
    last_seen_at: datetime | None


class Credential(_Told):
    """What proves an identity, without its secret."""

    id: str
    kind: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    note: str
    must_change: bool | None = None
    fingerprint_sha256: str | None = None
    serial_hex: str | None = None
    issuer: str | None = None
    not_after: datetime | None = None
    mechanism: str | None = None
    iterations: int | None = None
    live: bool
    last_used_at: datetime | None


class HeldCredential(Credential):
    """A credential, whose it is, and what follows it."""

    identity: str
    successor: str | None = Field(description="The newest live one of its kind, where that is another.")
    stale: bool = Field(description="Still live though it has a successor, which its holder does not use yet.")


class IdentityInFull(Identity):
    """An identity with its credentials."""

    last_seen_from: str
    credentials: list[Credential]


class ShownCredential(_Told):
    """A new password: shown this once."""

    identity: str
    kind: str
    earlier_end_at: datetime | None
    password: str


class Group(_Told):
    """A group."""

    group: str
    roles: list[str]
    note: str
    created_at: datetime


class GroupWithSize(Group):
    """A group, with how many are in it."""

    member_count: int


class GroupInFull(Group):
    """A group, with who is in it."""

    members: list[str]


class Role(_Told):
    """A role, with how many have it."""

    role: str
    in_policy: bool
    identity_count: int
    groups: list[str]


class Holder(_Told):
    """Who has a role."""

    identity: str
    through: list[str]


class RoleInFull(_Told):
    """A role, with who has it."""

    role: str
    in_policy: bool
    holders: list[Holder]


class OperatorPasskey(_Told):
    """A passkey, without its key."""

    id: str
    label: str
    created_at: datetime
    last_used_at: datetime | None


class Operator(_Told):
    """An operator, with its second factors and no secret of any."""

    operator: str
    roles: list[str]
    tenant: str
    enabled: bool
    note: str
    created_at: datetime
    must_change_password: bool
    second_factor: list[str]
    totp: str
    recovery_codes_left: int
    passkeys: list[OperatorPasskey]
    subject: str = Field(description="Issuer and subject at the OpenID Provider that it came by; empty: none.")


class ShownOperator(Operator):
    """An operator, with the password that was made for it: shown this once."""

    password: str | None = None


class Token(_Told):
    """A secret by which a program acts for an operator, without that secret."""

    id: str
    operator: str
    scopes: list[str]
    label: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class ShownToken(Token):
    """A new token: shown this once."""

    token: str


class Login(_Told):
    """A login that is under way."""

    id: str
    operator: str
    factors: list[str]
    address: str
    began_at: datetime
    used_at: datetime
    proved_at: datetime


class Me(_Told):
    """Who calls."""

    actor: str
    way: str
    roles: list[str] = Field(description="Those that count now.")
    withheld_roles: list[str] = Field(description="Those that would count after a login with two factors.")
    tenant: str
    must_change_password: bool
    session: Login | None


class ShownLogin(Me):
    """A new login. `token` is shown this once, and only where it was asked for instead of a cookie."""

    token: str | None = None


class ShownTotp(_Told):
    """The secret for an authenticator app: shown this once. It counts once a first code of it was shown."""

    uri: str


class ShownRecoveryCodes(_Told):
    """Recovery codes, each good once: shown this once."""

    recovery_codes: list[str]


class ShownPasskey(OperatorPasskey):
    """A new passkey. Recovery codes, each good once, come with the first second factor: shown this once."""

    recovery_codes: list[str]


class Ceremony(_Told):
    """A question to the browser, for one answer."""

    ceremony: str = Field(description="Its id, for the answer.")
    ends_at: datetime
    options: dict[str, Any] = Field(
        description=(
            "For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`, whose result "
            "`navigator.credentials.create` or `get` takes as `publicKey`."
        )
    )


class Approval(_Told):
    """A request that waits for a second operator."""

    id: str
    act: str
    request: str = Field(description="Method and path.")
    query: str
    asked_by: str
    address: str
    asked_at: datetime
    ends_at: datetime


class ApprovalInFull(Approval):
    """The same, with what was sent."""

    body: Any


class Listener(_Told):
    """Where clients connect."""

    name: str
    address: str
    transport: str
    protocol: str
    tls: bool
    client_certificates: str
    anonymous: bool


class Danger(_Told):
    """A risk that was taken."""

    setting: str
    reason: str
    effect: str


class PolicyInForce(_Told):
    """The policy that decides now."""

    digest: str
    epoch: int
    files: list[str]
    changed_by_hand: list[str] = Field(description="Files that are not as the history has them.")
    roles: list[str]
    tenants: list[str]


class Status(_Told):
    """The broker."""

    state: str
    version: str
    uptime_s: int
    clients_connected: int
    identities: int
    policy: str
    epoch: int


class PolicyVersion(_Told):
    """One change of the policy."""

    number: int
    digest: str
    files: dict[str, str] = Field(description="SHA-256 by name.")
    at: datetime
    who: str
    note: str
    kind: str
    state: str
    previous: str
    of: int | None


class PolicyFinding(_Told):
    """What is wrong with a policy, or probably not meant, and where."""

    origin: str
    line: int
    column: int
    message: str
    hint: str
    code: str = Field(description="The name of a warning; an error has none.")


class PolicyCheck(_Told):
    """Whether texts are a policy."""

    ok: bool
    digest: str | None
    errors: list[PolicyFinding]
    warnings: list[PolicyFinding]


class Reload(_Told):
    """What a reload did; what was refused changed nothing."""

    applied: list[str]
    refused: list[str]
    needs_restart: list[str]
    epoch: int


class Denial(_Told):
    """What the policy refused: requests of one kind, and how often."""

    number: int
    identity: str
    client_id: str
    action: str
    topic: str
    rule: str
    why: str
    listener: str
    qos: int
    retain: bool
    bytes: int
    count: int
    first_at: datetime
    last_at: datetime
