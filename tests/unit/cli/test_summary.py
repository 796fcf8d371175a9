"""What `up` says about a listener is what that listener takes."""

import sys

import pytest

from bartizan.broker.ports import Bound
from bartizan.cli.listing import show_record, show_table
from bartizan.cli.summary import Place, Summary, _place, show
from bartizan.config.load import load_settings

TOKENS = 'authenticators.tokens={kind = "jwt", issuer = "i", audience = ["a"], jwks_file = "keys"}'


@pytest.mark.parametrize(
    ("words", "proof"),
    [
        ([], "certificate or password"),
        (['listeners.mqtts.client_certificates="required"'], "certificate"),
        (
            ['listeners.mqtts.authentication=["tokens", "certificate + password"]', TOKENS],
            "tokens or certificate + password",
        ),
        (["listeners.mqtts.danger_anonymous='a test'"], "certificate or password or nothing"),
    ],
)
def test_the_proofs_of_a_listener_are_listed(words, proof):
    place = _place(Bound("mqtts", "[::]:8883", "tls"), load_settings(None, words))
    assert place.proof == proof


def test_what_looks_like_the_code_of_a_picture_is_shown_as_it_is(capsys):
    fingerprint = "F1:CA:AB:35"
    summary = Summary(
        first=True,
        data="data",
        policy="policy.toml",
        ca_file="ca.crt",
        ca_fingerprint=f"SHA-256 {fingerprint}",
        places=(Place("mqtts", "MQTT, TLS", "[fe80::ab:1]:8883", tls=True, proof="certificate"),),
        metrics=None,
        api=None,
        dangers=(),
        subscribe=None,
        publish=None,
    )
    show(summary, sys.stdout, json_output=False)
    show_table([{"serial": fingerprint, "client_id": ":key:"}], {"serial": "serial", "client_id": "client"}, ":ab:")
    show_record({"topic": "a:star:b"}, {"topic": "topic"})
    shown = capsys.readouterr().out
    assert shown.count(fingerprint) == 2
    assert all(text in shown for text in ("[fe80::ab:1]:8883", ":key:", ":ab:\n", "a:star:b"))
