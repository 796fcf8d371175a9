"""The promise behind docs/reference/conformance.md: nothing left out, nothing out of date."""

from pathlib import Path

import pytest

from tests.conformance.clauses import CATALOGUES, catalogue, clause
from tests.conformance.report import PAGE, missing, page, proofs

CHAPTERS = [(v, chapter) for v in CATALOGUES for chapter in catalogue(v).chapters]


# Appendix B of each standard, counted by hand.
@pytest.mark.parametrize(("v", "count"), [(5, 251), (311, 141)])
def test_the_catalogue_has_every_statement_of_appendix_b(v: int, count: int) -> None:
    book = catalogue(v)
    assert len(book.statements) == count
    assert sum(len(book.of(chapter)) for chapter in book.chapters) == count
    assert all(one.binds in {"server", "client", "both"} for one in book.statements.values())


@pytest.mark.parametrize(("v", "chapter"), CHAPTERS)
def test_each_statement_that_binds_the_server_has_a_test_or_a_reason(v: int, chapter: str) -> None:
    assert not [one.id for one in missing(v, proofs()) if one.chapter == chapter]


def test_the_page_is_what_the_catalogue_and_the_tests_say() -> None:
    hint = "stale: run python -m tests.conformance.report"
    assert PAGE.read_text() == page(proofs()), hint


def test_no_statement_is_both_tested_and_called_unseen() -> None:
    found = proofs()
    both = [key for key in found if catalogue(key[0]).statements[key[1]].unseen]
    assert not both


def test_a_statement_without_a_test_is_reported_missing(tmp_path: Path) -> None:
    source = '@clause("MQTT-3.12.4-1", v=5)\ndef test_mqtt_3_12_4_1_x() -> None: ...\n'
    (tmp_path / "test_v5_x.py").write_text(source)
    found = proofs(tmp_path)
    assert found == {(5, "MQTT-3.12.4-1"): ["test_v5_x.py::test_mqtt_3_12_4_1_x"]}
    left = {one.id for one in missing(5, found)}
    assert "MQTT-3.12.4-1" not in left
    assert "MQTT-3.1.0-1" in left
    assert "MQTT-3.1.2-20" not in left  # binds the client alone


def test_a_clause_the_standard_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no statement"):
        clause("MQTT-9.9.9-9", v=5)


def test_a_test_name_that_hides_its_clause_is_refused() -> None:
    def test_something() -> None: ...

    with pytest.raises(ValueError, match="should begin with test_mqtt_3_1_0_1_"):
        clause("MQTT-3.1.0-1", v=5)(test_something)
