"""What `up` says about a listener is what that listener takes."""

import pytest

from bartizan.broker.ports import Bound
from bartizan.cli.summary import _place
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
