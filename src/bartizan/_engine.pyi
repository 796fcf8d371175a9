"""The engine of Bartizan, in Rust. Keyword-only; values in, values out; no callbacks, no async."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final, final

class PolicyImageError(ValueError):
    """These bytes are not a policy image."""

@final
class Decision:
    """Allowed or not, by which rule, and why."""

    allow: Final[bool]
    """True if the request is granted."""
    per_delivery: Final[bool]
    """For a subscription: a forbid overlaps its filter, so each delivery is decided."""
    rule: Final[str | None]
    """The stable name of the rule that decided; None where none matched."""
    why: Final[str]
    """`permitted`, `forbidden`, `no_permit`, `condition_not_met`, `qos_above_max`, `retain_not_allowed`, `not_in_token`, `server_topic`."""

class PayloadSchemaError(ValueError):
    """Payloads cannot be checked by this: the text begins with the place in the schema, if there is one."""

@final
class CompiledPolicy:
    """A policy as the engine evaluates it. Immutable."""

    @staticmethod
    def load(*, image: bytes) -> CompiledPolicy:
        """Loads what the policy compiler wrote; PolicyImageError if it is anything else."""

    digest: Final[str]
    """SHA-256 of the image, in hexadecimal: the name of this policy."""
    windows: Final[list[str]]
    """Names of the time windows that rules ask for, in the order in which a schedule has them."""

    def decide(
        self,
        *,
        identity: str,
        client_id: str,
        roles: Sequence[str],
        attributes: Mapping[str, str],
        action: str,
        topic: str,
        qos: int,
        retain: bool,
        payload_bytes: int = 0,
        content_type: str | None = None,
        utf8: bool = False,
        listener: str | None = None,
        address: str | None = None,
        method: str = "",
        strength: Sequence[str] = (),
        windows: Sequence[str] = (),
        narrowed_to: Sequence[Sequence[tuple[str, str]]] = (),
    ) -> Decision:
        """Decides one request: `publish` or `receive` a Topic Name, `subscribe` to a Topic Filter.

        `qos` to `utf8` are those of a PUBLISH. Without `listener` nobody is connected; without `address` it is a
        Unix socket. `strength`: `certificate`, `mfa`. `windows`: those that are open. `narrowed_to`: for each token
        its grants, as `publish`, `subscribe` or `all` and a filter.
        """

    def examine(self, *, topic: str, payload: bytes | None = None) -> tuple[str | None, str, str | None, str]:
        """The declaration that holds, `off`, `warn` or `reject`, what is broken (`topic`, `payload`), and why."""

def check_payloads(
    *,
    form: str,
    payloads: Sequence[bytes],
    schema: str | None = None,
    type_name: str | None = None,
    pattern: str | None = None,
    bytes_max: int | None = None,
) -> list[str | None]:
    """How each of these does not fit, None where it does; PayloadSchemaError where no check can be made of this."""

def parse_topic_name(*, text: str) -> str:
    """The Topic Name of this text, as it is; ValueError where it is none."""

def parse_topic_filter(*, text: str) -> str:
    """The Topic Filter of this text, as it is; ValueError where it is none."""

def filter_matches(*, filter: str, name: str) -> bool:
    """True if the filter matches the name."""

def filter_covers(*, filter: str, other: str) -> bool:
    """True if the filter matches every name that the other filter matches."""

def bench(*, arguments: Sequence[str]) -> int:
    """Runs the load generator with these words; its exit code. It writes to the process's own standard output."""

class EngineConfigError(ValueError):
    """The configuration cannot be used: change it. The text names the section and what is wrong."""

class ListenerError(RuntimeError):
    """A listener cannot be bound: free its address or change it."""

class TlsError(ValueError):
    """Certificates, keys or CRLs cannot be used: replace them. Nothing has changed."""

class StoreError(RuntimeError):
    """The store cannot be used; the text says what to do."""

@final
class AuthRequest:
    """A CONNECT, or a re-authentication, that waits for a verdict. `repr` shows no secret."""

    token: Final[int]
    """Names the question in `AuthVerdict`."""
    again: Final[bool]
    """True after CONNACK: the client re-authenticates (4.12.1)."""
    client_id: Final[str]
    """The Client Identifier; empty asks for an assigned one."""
    user_name: Final[str | None]
    """The User Name."""
    password: Final[bytes | None]
    """The Password. Secret."""
    auth_method: Final[str | None]
    """The Authentication Method (3.1.2.11.9)."""
    auth_data: Final[bytes | None]
    """The Authentication Data. Secret."""
    state: Final[bytes | None]
    """What `AuthVerdict.proceed` asked to have back with the client's answer. Secret."""
    certificate: Final[bytes | None]
    """JSON: common_name, san_dns, san_uri, san_email, fingerprint_sha256, serial, issuer, not_after_s."""
    channel_binding: Final[bytes | None]
    """`tls-exporter` of RFC 9266, where an Authentication Method is named over TLS 1.3. Secret."""
    certificate_chain: Final[list[bytes]]
    """DER of what the client sent, its own certificate first; empty unless `tls.client_chain` is set."""
    listener: Final[str]
    """The listener's name."""
    anonymous_allowed: Final[bool]
    """True when the listener admits clients without a credential."""
    address: Final[str]
    """Where it comes from, without the port."""
    version: Final[str]
    """`3.1`, `3.1.1` or `5.0`."""

@final
class AuthVerdict:
    """The answer to one AuthRequest. `repr` shows no secret."""

    @staticmethod
    def allow(
        *,
        token: int,
        identity: str,
        roles: Sequence[str],
        attributes: Mapping[str, str],
        method: str,
        managed: bool,
        client_id: str | None = None,
        ends_at_ms: int | None = None,
        data: bytes | None = None,
        remembered_s: int = 0,
        strength: Sequence[str] = (),
        narrowed_to: Sequence[Sequence[tuple[str, str]]] = (),
    ) -> AuthVerdict:
        """It is this identity, `managed` if the store knows it; its credential is good for `remembered_s`."""

    @staticmethod
    def deny(*, token: int, reason: int, why: str) -> AuthVerdict:
        """No: a Reason Code from 0x80 for the client, words for the log."""

    @staticmethod
    def proceed(*, token: int, data: bytes, state: bytes | None = None) -> AuthVerdict:
        """The exchange goes on: AUTH 0x18 with this data; `state` comes back with the client's answer."""

@final
class Engine:
    """Reactors, listeners and store. Thread-safe; a call that waits gives the GIL away."""

    def __new__(cls, *, config: bytes) -> Engine:
        """Checks the JSON of `config.engine.engine_config` whole; EngineConfigError where it cannot be used."""

    def start(self, *, policy: CompiledPolicy, identities: bytes, schedule: bytes | None = None) -> None:
        """Binds, opens the store, restores, serves: all or nothing. Listener-, Tls-, StoreError."""

    def recovery(self) -> tuple[int, int]:
        """While `start` runs in another thread: Sessions and messages taken back so far."""

    def stop(self, *, grace_s: float) -> None:
        """DISCONNECT 0x8B to all, at most `grace_s` for them to leave; then the store is closed."""

    def apply(self, *, policy: CompiledPolicy, identities: bytes, schedule: bytes | None = None) -> int:
        """Swaps policy, enabled identities (JSON list of id, roles, attributes, revoked) and schedule; the new epoch.

        `schedule`: JSON of `until_ms` and `changes`, a list of `[from_ms, [open, ...]]`; behind its end all is closed.
        """

    def update(self, *, changed: bytes) -> bytes:
        """JSON of `identities`, `gone`, and of `endings` by name (reason, why, retained); what ended, as JSON."""

    def ban(self, *, bans: bytes) -> bytes:
        """JSON list of of, what, issuer in place of all bans, also before `start`; the connections cut, as JSON."""

    def throttle(self, *, throttles: bytes) -> None:
        """JSON object of identity -> [PUBLISH packets, octets] per second, in place of all; 0 leaves one as it is."""

    def discard(self, *, client_id: str, tenant: str | None = None) -> bytes:
        """Ends a Session, connected or not; JSON of what was in it, or `null`."""

    def set_tls(self, *, listener: str, material: bytes) -> None:
        """Swaps certificates, CA roots and CRLs in place, disconnects whom a CRL revokes; TlsError changes nothing."""

    def disconnect(self, *, client_id: str, reason: int, tenant: str | None = None) -> bool:
        """Disconnects a client, of a tenant if one is named; False when it is not connected."""

    def clients(self, *, after: str, limit: int, identity: str | None = None, client_id: str | None = None) -> bytes:
        """JSON list of connected clients behind a Client Identifier, in order; of one identity or name alone."""

    def session(self, *, client_id: str, tenant: str | None = None) -> bytes | None:
        """JSON of a Session, connected or away: Subscriptions, queue, window, Will; None where there is none."""

    def retained(self, *, filter: str, after: str | None, limit: int, whole: bool) -> bytes:
        """JSON of `messages`, whole or without payload and properties, and `next`; ValueError where no filter."""

    def clear_retained(self, *, filter: str, after: str | None, limit: int) -> bytes:
        """Removes so many; JSON of `count`, and of `next` where there are more. ValueError as above."""

    def subscriptions(self, *, sought: bytes, after: tuple[int, int] | None, limit: int) -> bytes:
        """JSON of `subscriptions` that fit (JSON: identity, client_id, topic) and `next`: the place for more."""

    def topics(self, *, prefix: str, depth: int, traffic: bool = False) -> bytes:
        """JSON of `topics` by name: what is retained, subscribed to and, while asked for, carried; and `left_out`."""

    def metrics(self) -> bytes:
        """JSON object: counters and gauges by name."""

    def listeners(self) -> bytes:
        """JSON list of name, address (with the port the system chose), transport."""

    def watch(self, *, learn: Sequence[str], staged: CompiledPolicy | None, schedule: bytes | None) -> None:
        """Notes uses, denials, what clients of listeners `learn` do, what `staged` would decide (hours: `schedule`)."""

    def take_observations(self, *, uses: bool) -> bytes:
        """JSON list: what each shard noted since the last time; uses only if they are asked for."""

    def take_activity(self) -> tuple[bytes, list[bytes], list[bytes]]:
        """What identities did since the last time, counted from the first call on: JSON list of the figures of each
        shard; portions, JSON lists each, of what is fresh, in the order of time; portions of windows."""

    def trace(self, *, client_id: str, for_s: float, payloads: bool, tenant: str | None = None) -> int:
        """Takes down what a client sends and is sent, without secrets; its number. RuntimeError where too many are."""

    def take_trace(self, *, trace: int, limit: int, octets: bool) -> bytes | None:
        """JSON lines: packets, oldest first, with their octets (base64) or without; None where no such trace is."""

    def end_trace(self, *, trace: int) -> bool:
        """Ends a trace and forgets what waits; False where there is none."""

    def publish_status(self, *, topics: bytes) -> None:
        """JSON object of topic -> text, below `$SYS/`, retained; ValueError for any other topic."""

    wake_fd: Final[int]
    """Readable when there are AuthRequests, commands or events."""

    def take_auth_requests(self, *, limit: int) -> list[AuthRequest]:
        """Questions, oldest first; unanswered ones are refused at their deadline."""

    def answer(self, *, verdicts: Sequence[AuthVerdict]) -> None:
        """Answers; one that nobody waits for any more is dropped."""

    def take_control(self, *, limit: int) -> list[tuple[str, bytes, str, str, str | None, bytes | None, str | None]]:
        """Commands: topic, payload (secret), identity, Client Identifier, tenant, Correlation Data, Response Topic."""

    def reply(self, *, client: str | None, topic: str, payload: bytes) -> None:
        """Answers a client, or all that are subscribed; ValueError for a topic that is not below `$CONTROL/`."""

    def take_events(self, *, limit: int) -> bytes:
        """JSON lines: what happened, oldest first."""

@final
class StoreTool:
    """Work on the store of a broker that does not run. Calls wait without the GIL; StoreError names file and place."""

    def __new__(cls, *, path: PathLike[str] | str) -> StoreTool:
        """Names the store's directory; nothing is opened yet."""

    def check(self) -> bytes:
        """Reads everything. JSON: counts, `segments`, `damage` (file, offset, what); nothing is changed."""

    def export_to(self, *, file: PathLike[str] | str) -> bytes:
        """Writes everything as lines. JSON: how many of each kind."""

    def import_from(self, *, file: PathLike[str] | str) -> bytes:
        """Makes a store of an export, in place of none or an empty one, or changes nothing. JSON as above."""

    def compact(self) -> bytes:
        """Gives free room back to the disk. JSON: bytes_before, bytes_after."""

    def progress(self) -> tuple[str, int, int]:
        """From another thread: what is gone over, how many are done, of how many (0: not known)."""
