"""Settings of detection: what is usual, so that what is more than that is a finding."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Most = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]

Place = Literal["address", "network"]
"""What is one place: a single address, or a network (IPv4 /24, IPv6 /64)."""

DetectorName = Literal[
    "actuator_command",
    "broken_contract",
    "connect_flood",
    "credential_ending",
    "decoy",
    "denial_burst",
    "failed_handshakes",
    "keep_alive",
    "limits_met",
    "malformed_packets",
    "new_topic",
    "novelty",
    "password_guessing",
    "password_spraying",
    "ping_flood",
    "reconnects",
    "retained_flood",
    "silent_device",
    "slow_connects",
    "take_overs",
    "topic_scan",
    "two_places",
    "volume",
    "wide_subscription",
    "widened_subscription",
    "will_flood",
]


class DetectSettings(BaseModel):
    """`[detect]`: what is more than usual. Every detector is on; what each finds, and when it is wrong, is in detectors.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=True, description="Whether anything is looked for.")
    off: tuple[DetectorName, ...] = Field((), description="Detectors that are not asked.")
    findings_max: Annotated[int, Field(strict=True, ge=100, le=1_000_000)] = Field(
        10_000,
        description=(
            "Findings that are kept. Acknowledged ones give way first, then those of the lowest score, the oldest first."
        ),
    )
    failed_logins_per_10min_max: Most = Field(
        20,
        description="Credentials that prove nobody, from one address, or for one identity. More: `password_guessing`.",
    )
    failed_logins_per_day_max: Most = Field(100, description="The same in a day, for who is patient.")
    failed_names_per_hour_max: Most = Field(
        8, description="Different names whose passwords are wrong, from one address. More: `password_spraying`."
    )
    failed_names_per_day_max: Most = Field(25, description="The same in a day, for who is patient.")
    failed_networks_per_hour_max: Most = Field(
        8, description="Different addresses from which passwords of one identity are wrong. More: `password_spraying`."
    )
    failed_handshakes_per_10min_max: Most = Field(
        30, description="TLS handshakes that fail, of one address. More: `failed_handshakes`."
    )
    connections_per_min_max: Most = Field(
        600,
        description=(
            "Connections of one address that are accepted in a crowd, refused, or over a limit. More: `connect_flood`."
        ),
    )
    slow_connects_per_10min_max: Most = Field(
        20, description="Connections of one address that never finish handshake or CONNECT. More: `slow_connects`."
    )
    malformed_per_10min_max: Most = Field(
        5, description="Packets of one identity, or one address, that are none. More: `malformed_packets`."
    )
    denials_per_min_max: Most = Field(60, description="Denials of one identity. More: `denial_burst`.")
    denied_topics_per_10min_max: Most = Field(
        20, description="Different topics that one identity is denied. More: `topic_scan`."
    )
    denied_topics_per_day_max: Most = Field(60, description="The same in a day, for who is patient.")
    broken_contracts_per_min_max: Most = Field(
        10, description="Messages of one identity that are not as the policy declares. More: `broken_contract`."
    )
    limits_met_per_10min_max: Most = Field(20, description="Limits that one identity meets. More: `limits_met`.")
    take_overs_per_10min_max: Most = Field(
        6, description="Sessions of one identity that are taken over. More: `take_overs`."
    )
    reconnects_per_10min_max: Most = Field(60, description="Connections of one identity. More: `reconnects`.")
    keep_alive_timeouts_per_10min_max: Most = Field(
        30, description="Connections of one identity that end because it says nothing for too long. More: `keep_alive`."
    )
    keep_alive_off_per_10min_max: Most = Field(
        30,
        description="Connections of one identity with Keep Alive off, where `keep_alive_max_s` lets it. More: `keep_alive`.",
    )
    retained_per_10min_max: Most = Field(
        6_000, description="Messages with RETAIN of one identity. More: `retained_flood`."
    )
    wills_per_10min_max: Most = Field(
        150, description="Wills of one identity, left with CONNECT or published. More: `will_flood`."
    )
    pings_per_min_max: Most = Field(600, description="PINGREQ of one identity. More: `ping_flood`.")
    place_of_certificate: Place = Field(
        "address",
        description=(
            "What is one place for a certificate (`two_places`): a single `address`, or a whole `network` (IPv4 /24, IPv6 "
            "/64). Within a network a client that comes back by another address has moved, and is not told."
        ),
    )
    place_of_secret: Place = Field(
        "network", description="The same for passwords, SCRAM and tokens, which several clients may share."
    )
    days_known: Annotated[int, Field(strict=True, ge=1, le=365)] = Field(
        7,
        description="Days after which detectors that learn (`novelty`, `silent_device`, `volume`, `new_topic`, `widened_subscription`, `actuator_command`) take what they know of an identity for all that is usual.",
    )
    actuator_levels: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        (
            "actuators",
            "actuator",
            "commands",
            "command",
            "cmd",
            "cmnd",
            "control",
            "setpoint",
            "setpoints",
            "set",
            "write",
        ),
        max_length=1_000,
        description="Levels of topics whose messages move something, in any case: for `actuator_command`.",
    )
    decoy_identities: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        (), max_length=1_000, description="Names that nobody uses: who tries one is a finding of `decoy`, at once."
    )
    decoy_topics: tuple[Annotated[str, Field(min_length=1, max_length=1_024)], ...] = Field(
        (),
        max_length=1_000,
        description=(
            "Topic Filters that no role is granted: who asks for what they match is a finding of `decoy`, at once."
        ),
    )
