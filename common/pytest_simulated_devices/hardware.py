"""Real devices: which a run may touch, what is missing for a test, and that two tests never share a bus."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

BUSES = {"serial": "serial", "i2c": "bus", "gpio": "gpio"}
"""Each bus with the member of a service's settings that names its device."""
_LOCK_S = 600.0
_POLL_S = 0.05
_STUB = "SMBus stub driver"


class DevicesError(ValueError):
    """`--devices` or its file cannot be used; the text says what would be accepted."""


class Found(NamedTuple):
    """What a run has of a bus: settings, or a reason why it has none."""

    settings: Mapping[str, Any] = {}
    missing: str = ""


class Devices(Protocol):
    """What `--devices` allows a run to use."""

    def find(self, bus: str) -> Found:
        """What there is of a bus."""


class SimulatedDevices:
    """No real device at all."""

    def find(self, bus: str) -> Found:
        """Says how to run the test."""
        return Found(missing=f"needs a real {bus} bus: run it with --devices=board:FILE or --devices=kernel")


class KernelDevices:
    """The kernel's own simulated hardware.

    Parameters:
        root: of the file system.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def find(self, bus: str) -> Found:
        """The adapter of i2c-stub, or the first chip of gpio-sim."""
        if bus == "serial":
            return Found(missing="the kernel simulates no serial device: use the fixture serial_device, a real tty")
        if bus == "i2c":
            adapters = sorted(self._root.glob("sys/bus/i2c/devices/i2c-*/name"))
            stubs = [file.parent.name for file in adapters if file.read_text().strip().startswith(_STUB)]
            return self._usable("bus", stubs, "modprobe i2c-dev; modprobe i2c-stub chip_addr=0x48")
        chips = [path.name for path in sorted(self._root.glob("sys/devices/platform/gpio-sim.*/gpiochip*"))]
        remedy = "modprobe gpio-sim, then make a chip: docs.kernel.org/admin-guide/gpio/gpio-sim.html"
        return self._usable("gpio", chips, remedy)

    def _usable(self, member: str, names: list[str], remedy: str) -> Found:
        if not names:
            module = "i2c-stub" if member == "bus" else "gpio-sim"
            return Found(missing=f"needs {module} of the kernel; as root: {remedy}")
        path = self._root / "dev" / names[0]
        return Found({"path": str(path)}, _not_usable(path))


class BoardDevices:
    """The devices that a file names.

    Parameters:
        file: TOML with a table for each bus that the board has: settings as a service takes them.

    Raises DevicesError for a file that cannot be used.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._tables = tomllib.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise DevicesError(f"--devices=board:{file}: {error}") from None
        for name, table in self._tables.items():
            if name not in BUSES or not isinstance(table, dict):
                known = ", ".join(f"[{bus}]" for bus in BUSES)
                raise DevicesError(f"--devices=board:{file}: {name} is not a table of a bus; write {known}")
            if _path_of(table) is None:
                raise DevicesError(
                    f'--devices=board:{file}: [{name}] names no device; write {_key_of(name)} = "/dev/…"'
                )

    def find(self, bus: str) -> Found:
        """What the file says of a bus, if its device is there and may be opened."""
        if (table := self._tables.get(bus)) is None:
            example = f'[{bus}] with {_key_of(bus)} = "/dev/…"'
            return Found(missing=f"{self.file} has no {bus} bus: write {example} once the board has one")
        path = _path_of(table)
        is_address = path is None or not path.startswith("/")
        return Found(table, "" if is_address else _not_usable(Path(str(path))))


def parse_devices(text: str) -> Devices:
    """What the option `--devices` names. Raises DevicesError."""
    kind, _, file = text.partition(":")
    if text == "simulated":
        return SimulatedDevices()
    if text == "kernel":
        return KernelDevices()
    if kind == "board" and file:
        return BoardDevices(Path(file))
    raise DevicesError(f"--devices={text}: write simulated, kernel or board:FILE")


class RealBus:
    """The fixture `real_bus`: the buses that the test's markers name, which are its alone while it runs.

    Parameters:
        found: by bus.
    """

    def __init__(self, found: Mapping[str, Found]) -> None:
        self.settings: dict[str, Any] = {BUSES[bus]: dict(each.settings) for bus, each in found.items()}
        """Members of a service's settings by which it reaches them."""

    @property
    def paths(self) -> frozenset[str]:
        """Of their devices."""
        return frozenset(path for table in self.settings.values() if (path := _path_of(table)))

    @contextlib.contextmanager
    def locked(self) -> Iterator[RealBus]:
        """Within the block no other test of this machine has them. Raises TimeoutError after ten minutes."""
        with contextlib.ExitStack() as stack:
            for path in sorted(self.paths):
                stack.enter_context(_locked(path))
            yield self


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    file = Path(tempfile.gettempdir()) / f"pytest-devices-{os.getuid()}{path.replace('/', '-')}.lock"
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{path} is used by another test for {_LOCK_S:g} s") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)


def _key_of(bus: str) -> str:
    return "port" if bus == "serial" else "path"


def _path_of(table: Mapping[str, Any]) -> str | None:
    path = table.get("port", table.get("path"))
    return path if isinstance(path, str) and path else None


def _not_usable(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"{path}: {error.strerror}; plug it in, or enable the bus (on a Raspberry Pi: raspi-config)"
    if not (stat.S_ISCHR(mode) or stat.S_ISDIR(mode)):
        return f"{path} is not a device"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path}: permission denied; add yourself to its group (ls -l {path}; usermod -aG GROUP $USER)"
    return ""
