"""The detectors that come with the broker. The rules are a table: what counts, how much is too much, what is said."""

from bartizan.config.detect import DetectSettings
from bartizan.detect import counted
from bartizan.detect.actuators import Actuators
from bartizan.detect.base import Detector
from bartizan.detect.certain import (
    POINT_AND_TAG_IDENTIFICATION,
    VALID_ACCOUNTS,
    CredentialsEnding,
    Decoys,
    TwoPlaces,
    WideSubscriptions,
)
from bartizan.detect.novelty import Novelty
from bartizan.detect.rules import Counting, Rule
from bartizan.detect.silence import Silence
from bartizan.detect.topics import NewTopics, Widened
from bartizan.detect.volume import Volume
from bartizan.model.signal import (
    Connected,
    ContractBroken,
    Denied,
    Disconnected,
    LimitMet,
    LoginFailed,
    Refused,
    Traffic,
    Visits,
)

MINUTE_S = 60.0
TEN_MINUTES_S = 600.0
HOUR_S = 3_600.0
DAY_S = 86_400.0

DENIAL_OF_SERVICE = "T0814"
UNAUTHORIZED_COMMAND_MESSAGE = "T0855"
SPOOF_REPORTING_MESSAGE = "T0856"
EXPLOITATION_OF_REMOTE_SERVICES = "T0866"


def builtin_detectors(settings: DetectSettings) -> tuple[Detector, ...]:
    """Those that are not turned off."""
    detectors: list[Detector] = [
        *(Counting(rule) for rule in rules(settings)),
        Novelty(settings.days_known),
        Silence(settings.days_known),
        Volume(settings.days_known),
        NewTopics(settings.days_known),
        Widened(settings.days_known),
        Actuators(settings.days_known, settings.actuator_levels),
        TwoPlaces(),
        WideSubscriptions(),
        CredentialsEnding(),
        Decoys(settings.decoy_identities, settings.decoy_topics),
    ]
    return tuple(detector for detector in detectors if detector.name not in settings.off)


def rules(settings: DetectSettings) -> tuple[Rule, ...]:
    """What is counted. Each text goes on with "in ten minutes, more than 20"."""
    return (*_of_logins(settings), *_of_connections(settings), *_of_identities(settings), *_of_activity(settings))


def _of_logins(usual: DetectSettings) -> tuple[Rule, ...]:
    logins, accounts = (LoginFailed,), VALID_ACCOUNTS
    names, networks = usual.failed_names_per_hour_max, usual.failed_networks_per_hour_max
    return (
        Rule("password_guessing", logins, counted.failed_logins, usual.failed_logins_per_10min_max, TEN_MINUTES_S,
             "{count} logins failed", 60, accounts),
        Rule("password_guessing", logins, counted.failed_logins, usual.failed_logins_per_day_max, DAY_S,
             "{count} logins failed", 60, accounts),
        Rule("password_spraying", logins, counted.names_tried, names, HOUR_S,
             "logins failed as {count} different names", 70, accounts, different=True),
        Rule("password_spraying", logins, counted.names_tried, usual.failed_names_per_day_max, DAY_S,
             "logins failed as {count} different names", 70, accounts, different=True),
        Rule("password_spraying", logins, counted.networks_tried_from, networks, HOUR_S,
             "logins failed from {count} different addresses", 70, accounts, different=True),
    )  # fmt: skip


def _of_connections(usual: DetectSettings) -> tuple[Rule, ...]:
    return (
        Rule("failed_handshakes", (Refused,), counted.failed_handshakes, usual.failed_handshakes_per_10min_max,
             TEN_MINUTES_S, "{count} TLS handshakes failed", 40, VALID_ACCOUNTS),
        Rule("connect_flood", (Refused, LimitMet, Visits), counted.crowds, usual.connections_per_min_max,
             MINUTE_S, "{count} connections were refused, over a limit or too many to tell", 60, DENIAL_OF_SERVICE),
        Rule("slow_connects", (Refused, LimitMet), counted.slow_connects, usual.slow_connects_per_10min_max,
             TEN_MINUTES_S, "{count} connections never finished handshake or CONNECT", 50, DENIAL_OF_SERVICE),
        Rule("malformed_packets", (Refused, Disconnected), counted.malformed, usual.malformed_per_10min_max,
             TEN_MINUTES_S, "{count} connections ended by malformed packets", 50, EXPLOITATION_OF_REMOTE_SERVICES),
    )  # fmt: skip


def _of_identities(usual: DetectSettings) -> tuple[Rule, ...]:
    return (
        Rule("denial_burst", (Denied,), counted.denials, usual.denials_per_min_max,
             MINUTE_S, "was denied {count} times", 50, UNAUTHORIZED_COMMAND_MESSAGE),
        Rule("topic_scan", (Denied,), counted.denied_topics, usual.denied_topics_per_10min_max,
             TEN_MINUTES_S, "was denied {count} different topics", 60, POINT_AND_TAG_IDENTIFICATION, different=True),
        Rule("topic_scan", (Denied,), counted.denied_topics, usual.denied_topics_per_day_max,
             DAY_S, "was denied {count} different topics", 60, POINT_AND_TAG_IDENTIFICATION, different=True),
        Rule("broken_contract", (ContractBroken,), counted.broken_contracts, usual.broken_contracts_per_min_max,
             MINUTE_S, "sent {count} messages that are not as declared", 50, SPOOF_REPORTING_MESSAGE),
        Rule("limits_met", (LimitMet,), counted.limits_met, usual.limits_met_per_10min_max,
             TEN_MINUTES_S, "met limits {count} times", 40, DENIAL_OF_SERVICE),
        Rule("take_overs", (Disconnected,), counted.take_overs, usual.take_overs_per_10min_max,
             TEN_MINUTES_S, "took {count} sessions of its own over, as two who share an identity do", 50, VALID_ACCOUNTS),
        Rule("reconnects", (Connected,), counted.connects, usual.reconnects_per_10min_max,
             TEN_MINUTES_S, "connected {count} times", 20),
        Rule("keep_alive", (Disconnected,), counted.timeouts, usual.keep_alive_timeouts_per_10min_max,
             TEN_MINUTES_S, "left {count} connections to their Keep Alive timeout", 40, DENIAL_OF_SERVICE),
        Rule("keep_alive", (Connected,), counted.endless, usual.keep_alive_off_per_10min_max,
             TEN_MINUTES_S, "connected {count} times with Keep Alive off", 30, DENIAL_OF_SERVICE),
    )  # fmt: skip


def _of_activity(usual: DetectSettings) -> tuple[Rule, ...]:
    return (
        Rule("retained_flood", (Traffic,), counted.retained, usual.retained_per_10min_max,
             TEN_MINUTES_S, "sent {count} messages to be retained", 50, DENIAL_OF_SERVICE),
        Rule("will_flood", (Traffic,), counted.wills, usual.wills_per_10min_max,
             TEN_MINUTES_S, "left Wills and had them published {count} times", 50, SPOOF_REPORTING_MESSAGE),
        Rule("ping_flood", (Traffic,), counted.pings, usual.pings_per_min_max,
             MINUTE_S, "sent {count} PINGREQ", 40, DENIAL_OF_SERVICE),
    )  # fmt: skip
