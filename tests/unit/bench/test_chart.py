"""The chart: well-formed, bars as long as their logarithms, everything labelled."""

import xml.etree.ElementTree as ET

import pytest

from bench.chart import Bar, Panel, Scale, fold, render, short


def bar(name: str, median: float, *, is_own: bool = False, is_flawed: bool = False) -> Bar:
    low, high = median * 0.9, median * 1.1
    return Bar(name=name, median=median, low=low, high=high, is_own=is_own, is_flawed=is_flawed)


def panel(*bars: Bar, must: float | None = None) -> Panel:
    return Panel(title="1 to 1 & <more>", unit="per CPU-second", bars=bars, must=must, notes=("no figure: Aedes",))


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(render("Plain", "a machine", panels))


def of_class(picture: ET.Element, kind: str) -> list[ET.Element]:
    return [element for element in picture.iter() if kind in (element.get("class") or "").split()]


def test_a_bar_that_is_ten_times_as_much_is_a_decade_longer():
    scale = Scale.of(panel(bar("a", 1_000.0), bar("b", 1_000_000.0)), 0.0, 400.0)
    assert scale.x(100_000.0) - scale.x(10_000.0) == pytest.approx(scale.x(10_000.0) - scale.x(1_000.0))


def test_everything_that_is_drawn_is_inside_the_scale():
    one = panel(bar("a", 1_000.0), bar("b", 950_000.0), must=2_000_000.0)
    scale = Scale.of(one, 10.0, 400.0)
    assert 10.0 < scale.x(900.0) < scale.x(2_000_000.0) <= 410.0


def test_bars_carry_their_broker_their_value_and_what_they_are():
    picture = drawn(panel(bar("Bartizan", 1_200_000.0, is_own=True), bar("Aedes", 10.0, is_flawed=True), must=100.0))
    words = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert {"Bartizan", "Aedes", "1.2 M", "10", "must", "no figure: Aedes", "1 to 1 & <more>"} <= set(words)
    assert len(of_class(picture, "bar")) == 2
    assert len(of_class(picture, "flaw")) == 1


def test_it_has_colours_for_dark_pages():
    assert "prefers-color-scheme: dark" in render("Plain", "", [panel(bar("a", 1.0))])


def test_a_panel_without_bars_is_drawn_too():
    assert of_class(drawn(panel()), "panel")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (0.823, "0.823"),
        (7.25, "7.25"),
        (99.96, "100"),
        (999.0, "999"),
        (999.9, "1 k"),
        (12_345.0, "12.3 k"),
        (1_210_000.0, "1.21 M"),
        (23e6, "23 M"),
        (3.2e9, "3.2 G"),
    ],
)
def test_numbers_have_three_digits(value, said):
    assert short(value) == said


def test_times_are_shown_in_the_unit_that_suits():
    assert [short(value, is_time=True) for value in (0.5, 758.0, 10_200.0, 2e6)] == [
        "0.5 µs",
        "758 µs",
        "10.2 ms",
        "2 s",
    ]


def test_a_long_subtitle_does_not_run_out_of_a_narrow_picture():
    picture = ET.fromstring(render("Plain", "a word " * 60, [panel(bar("a", 1.0))]))
    words = [element.text or "" for element in of_class(picture, "quiet")]
    assert max(map(len, words)) < 100


def test_lines_are_folded_between_words():
    assert fold("one two three", 7) == ["one two", "three"]
    assert fold("", 7) == []
