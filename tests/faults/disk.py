"""A disk of its own for a broker, on a loop device: its power can be cut, it can stall, it can end.

Needs root and loop devices; where a machine has none, the tests say loudly that they were left out.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.left_out import LEFT_OUT, require_program

SIZE_BYTES = 512 * 1024 * 1024
# <linux/ext4.h>, <linux/fs.h>: _IOR('X', 125, __u32), _IOWR('X', 119, int), _IOWR('X', 120, int)
SHUTDOWN = 0x8004587D
FREEZE = 0xC0045877
THAW = 0xC0045878
WITHOUT_WRITING_ANYTHING = struct.pack("I", 2)


@dataclass
class Disk:
    """An ext4 file system on a file."""

    image: Path
    place: Path

    def mount(self) -> None:
        """Mounts it; whatever its journal holds is played back."""
        self.place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.place)], check=True, capture_output=True)

    def unmount(self) -> None:
        """Unmounts it, in use or not."""
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)

    def cut_power(self) -> None:
        """From here on nothing reaches the disk: what was not flushed is lost, and every write fails."""
        with _directory(self.place) as descriptor:
            fcntl.ioctl(descriptor, SHUTDOWN, WITHOUT_WRITING_ANYTHING)

    def copy(self, to: Path) -> "Disk":
        """The disk as another machine would find it now."""
        image = to / "copy.img"
        subprocess.run(["cp", "--sparse=always", str(self.image), str(image)], check=True)
        return Disk(image, to / "copy")

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Every write and sync waits until the end of this."""
        with _directory(self.place) as descriptor:
            fcntl.ioctl(descriptor, FREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(descriptor, THAW, 0)

    def make_read_only(self) -> None:
        """What the kernel does to a file system that it does not trust any more."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.place)], check=False, capture_output=True)


def cannot(what: str, fix: str) -> None:
    """Skips the calling test, loudly: no package makes up for a right or a device that a machine lacks."""
    pytest.skip(f"{LEFT_OUT}: {what}; to run it: {fix}")


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def disk_in(directory: Path, size_bytes: int = SIZE_BYTES) -> Iterator[Disk]:
    """A new disk, mounted in `directory`; left out where the machine cannot."""
    mkfs = require_program("mkfs.ext4", "e2fsprogs")
    if os.geteuid() != 0:
        cannot("mounting a disk needs root", "run the tests as root")
    disk = Disk(directory / "disk.img", directory / "disk")
    with disk.image.open("wb") as image:
        image.truncate(size_bytes)
    subprocess.run([mkfs, "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(disk.image)], check=True)
    try:
        disk.mount()
    except subprocess.CalledProcessError as error:
        cannot(f"this machine has no loop devices ({error.stderr.decode().strip()})", "load the module loop")
    try:
        yield disk
    finally:
        disk.unmount()
        with suppress(FileNotFoundError):
            disk.image.unlink()
