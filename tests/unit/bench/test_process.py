"""Programs are pinned, found with all that they started, and gone at the end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.ports import free_ports
from bench.process import CHECKOUT, Door, StartError, connect_packet, process_table, running, wait_ready

CORE = min(os.sched_getaffinity(0))
FAMILY = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']{}); "


def family(more: str = "") -> list[str]:
    return [sys.executable, "-c", FAMILY.format(more) + "print('up', flush=True); time.sleep(60)"]


def wait_for_children(one, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while len(one.pids()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return one.pids()


@pytest.mark.parametrize("more", ["", ", start_new_session=True"])
def test_what_a_program_started_is_found_pinned_and_stopped(tmp_path: Path, more):
    with running(family(more), core=CORE, directory=tmp_path) as one:
        pids = wait_for_children(one, 2)
        assert len(pids) == 2
        assert all(os.sched_getaffinity(pid) == {CORE} for pid in pids)
    assert not [pid for pid in pids if is_running(pid)]


def test_a_program_is_stopped_when_the_run_is_aborted(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), running(family(), core=CORE, directory=tmp_path) as one:  # noqa: PT012
        pids = wait_for_children(one, 2)
        raise KeyboardInterrupt
    assert not [pid for pid in pids if is_running(pid)]


def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path):
    """kill -9 leaves nobody to stop what was started, and it is stopped all the same."""
    body = (
        "import sys; from pathlib import Path; from bench.process import running\n"
        f"with running({family()!r}, core={CORE}, directory=Path({str(tmp_path)!r})) as one:\n"
        "    while len(one.pids()) < 2: pass\n"
        "    print(*one.pids(), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", body], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        pids = [int(word) for word in run.stdout.readline().split()]
        run.kill()
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def is_running(pid: int) -> bool:
    one = process_table().get(pid)
    return one is not None and not one.is_zombie


@pytest.mark.parametrize(
    "printed",
    [
        "\\x1b[31mERROR\\x1b[0m broker: handling CONNECT, error: ZeroKeepAlive",
        "[7] 2026/11/21 12:00:00.1 [ERR] 127.0.0.1:5 - mid:3 - slow",
        "2026-11-21 <0.7.0> [warning] closing the connection",
    ],
)
def test_a_broker_that_lives_on_is_asked_what_was_wrong(tmp_path: Path, printed: str):
    body = (
        f"import time; print('up'); print('{printed}'); print('client left, terror over', flush=True); time.sleep(60)"
    )
    with running([sys.executable, "-c", body], core=CORE, directory=tmp_path) as one:
        deadline = time.monotonic() + 20
        while one.complaint() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert one.complaint() == printed.replace("\\x1b[31m", "").replace("\\x1b[0m", "")


def test_what_it_says_of_its_files_does_not_tell_where_the_checkout_is(tmp_path: Path):
    body = f"print('ERROR: {CHECKOUT}/.bench/a is bad')"
    with running([sys.executable, "-c", body], core=CORE, directory=tmp_path) as one:
        while one.is_alive():
            time.sleep(0.02)
        assert one.complaint() == one.last_words() == "ERROR: .bench/a is bad"


def test_a_broker_that_saw_nothing_wrong_has_no_complaint(tmp_path: Path):
    with running([sys.executable, "-c", "print('client left')"], core=CORE, directory=tmp_path) as one:
        while one.is_alive():
            time.sleep(0.02)
        assert one.complaint() is None


def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path):
    argv = [sys.executable, "-c", "print('no such file: a.conf')"]
    with (
        running(argv, core=CORE, directory=tmp_path) as one,
        pytest.raises(StartError, match=r"no such file: a\.conf"),
    ):
        wait_ready(one, Door(free_ports(1)[0]))


def test_free_ports_differ():
    assert len(set(free_ports(5))) == 5


def test_connect_is_as_the_standard_writes_it():
    assert (
        connect_packet(Door(1)).hex() == "1017" + "00044d515454" + "04" + "02" + "003c" + "000b" + b"bench-ready".hex()
    )
    guarded = connect_packet(Door(1, "5", None, "u", "p"))
    assert guarded[:2] == bytes([0x10, len(guarded) - 2])
    assert guarded[8:10] == b"\x05\xc2"
    assert guarded.endswith(b"\x00\x01u\x00\x01p")


def test_a_door_does_not_show_its_password():
    assert "geheim" not in repr(Door(1, "5", None, "u", "geheim"))
