"""Each word is one level of a path, and stays one on its way."""

import httpx2
import pytest

from bartizan.cli.paths import path_of


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("clients", "press-01"), "/clients/press-01"),
        (("clients", "a/b?c#d%e f"), "/clients/a%2Fb%3Fc%23d%25e%20f"),
        (("clients", "é"), "/clients/%C3%A9"),
        (("identities", "press-01", "credentials", ".."), "/identities/press-01/credentials/%2E%2E"),
        (("clients", "."), "/clients/%2E"),
        (("clients", "../identities"), "/clients/..%2Fidentities"),
        (("clients", "..."), "/clients/..."),
    ],
)
def test_a_word_is_one_level_whatever_it_is_of(words, path):
    assert path_of(*words) == path
    with httpx2.Client(base_url="http://control/api/v1") as client:
        assert client.build_request("GET", path_of(*words)).url.raw_path.decode() == f"/api/v1{path}"
