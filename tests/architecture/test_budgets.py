"""Files and functions stay small enough to be read in one go; every exception has a name and a reason."""

from statistics import median, quantiles

from tests.architecture.sources import BUDGETS, file_lines, functions

BUDGET = BUDGETS["budget"]
FILES = {entry["path"]: entry for entry in BUDGETS.get("file", [])}
FUNCTIONS = {(entry["path"], entry["name"]): entry for entry in BUDGETS.get("function", [])}


def test_no_file_is_longer_than_its_budget() -> None:
    over = {
        path: lines
        for path, lines in file_lines().items()
        if lines > FILES.get(path, {}).get("lines_max", BUDGET["file_lines_max"])
    }
    assert over == {}


def test_no_function_is_longer_than_its_budget() -> None:
    over = {
        (each.path, each.name): each.lines
        for each in functions()
        if each.lines > FUNCTIONS.get((each.path, each.name), {}).get("lines_max", BUDGET["function_lines_max"])
    }
    assert over == {}


def test_most_files_and_functions_are_short() -> None:
    assert median(file_lines().values()) <= BUDGET["file_lines_median_max"]
    assert quantiles([each.lines for each in functions()], n=10)[-1] <= BUDGET["function_lines_p90_max"]


def test_every_exception_is_still_needed_and_says_why() -> None:
    sizes = file_lines()
    longest: dict[tuple[str, str], int] = {}
    for each in functions():
        longest[each.path, each.name] = max(each.lines, longest.get((each.path, each.name), 0))
    idle_files = [path for path in FILES if sizes.get(path, 0) <= BUDGET["file_lines_max"]]
    idle_functions = [key for key in FUNCTIONS if longest.get(key, 0) <= BUDGET["function_lines_max"]]
    assert idle_files == []
    assert idle_functions == []
    assert all(len(entry["reason"]) > 20 for entry in [*FILES.values(), *FUNCTIONS.values()])
