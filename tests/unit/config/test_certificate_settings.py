"""Settings of client certificates that contradict each other are refused, and say which to correct."""

import pytest

from bartizan.config.danger import dangers
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError

LISTENER = ["listeners.mqtts.bind=127.0.0.1:1", "listeners.mqtts.client_ca_file=ca.pem"]
URLS = 'listeners.mqtts.crl_urls=["http://pki.example/ca.crl"]'
FLEET = ["authenticators.fleet.kind=certificate", 'listeners.mqtts.authentication=["fleet"]']


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([LISTENER[0], URLS], "set client_ca_file"),
        ([*LISTENER, "listeners.mqtts.crl_leeway_s=9"], "crl_leeway_s is about crl_urls"),
        ([*LISTENER, "listeners.mqtts.danger_stale_crl='at sea'"], "danger_stale_crl is about crl_urls"),
        ([*LISTENER, 'listeners.mqtts.crl_urls=["ftp://pki.example/ca.crl"]'], "write a URL"),
        ([*LISTENER, 'listeners.mqtts.crl_urls=["http://a/x", "http://a/x"]'], "same URL twice"),
        ([*LISTENER, "listeners.mqtts.ocsp=required"], "needs ocsp_url, or ocsp_hosts"),
        ([*LISTENER, "listeners.mqtts.ocsp_url=http://pki.example"], "need ocsp ="),
        ([*LISTENER, "listeners.mqtts.ocsp=soft", 'listeners.mqtts.ocsp_hosts=["http://x"]'], "without scheme"),
        ([LISTENER[0], "listeners.mqtts.ocsp=soft", "listeners.mqtts.ocsp_url=http://x/"], "set client_ca_file"),
        ([*LISTENER, URLS, "listeners.mqtts.client_certificates=off"], "useless"),
        ([LISTENER[0], *FLEET, "listeners.mqtts.danger_plaintext=bench"], "no client certificate can come there"),
        ([LISTENER[0], *FLEET, "listeners.mqtts.client_certificates=off"], "no client certificate can come there"),
        ([LISTENER[0], *FLEET, "authenticators.fleet.rules=[{ pattern = '{identity}' }]"], "from"),
        (["credentials.password_days_max=0"], "password_days_max"),
        (["credentials.ages=never"], "ages"),
    ],
)
def test_what_contradicts_itself_is_refused(settings, said):
    with pytest.raises(ConfigurationError, match=said):
        load_settings(None, settings)


def test_who_accepts_what_no_list_speaks_for_is_told_so():
    settings = load_settings(None, [*LISTENER, URLS, "listeners.mqtts.danger_stale_crl='at sea'"])
    assert [(one.setting, one.reason) for one in dangers(settings)] == [("listeners.mqtts.danger_stale_crl", "at sea")]


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ([], False),
        (["listeners.mqtts.ocsp=soft", "listeners.mqtts.ocsp_url=http://pki.example/"], True),
        ([*FLEET, 'authenticators.fleet.rules=[{ from = "cn" }]'], False),
        ([*FLEET, "authenticators.fleet.pinned=true"], True),
        (
            [
                *FLEET,
                'authenticators.fleet.rules=[{ from = "cn" }]',
                "authenticators.fleet.identities=certificate",
                'authenticators.fleet.roles_by_ou={ Presses = ["press"] }',
            ],
            True,
        ),
    ],
)
def test_certificates_are_handed_over_whole_only_where_somebody_looks_into_them(more, needs):
    assert load_settings(None, [*LISTENER, *more]).needs_chain("mqtts") is needs
