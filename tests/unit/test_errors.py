"""What a device's error says out of the kernel's number."""

import errno
import os
from pathlib import Path

import pytest

from device_bridge.errors import DeviceError, DeviceErrorKind

KNOWN = {errno.EPERM: (DeviceErrorKind.BUS_FAULT, "an input cannot be written")}


def error_of(number: int, file: Path | None) -> DeviceError:
    return DeviceError.from_os(OSError(number, os.strerror(number), file and str(file)), "the bus", KNOWN)


def test_a_file_mode_that_forbids_it_names_the_group(tmp_path: Path) -> None:
    file = tmp_path / "i2c-1"
    file.touch()
    error = error_of(errno.EACCES, file)
    assert error.kind is DeviceErrorKind.PERMISSION
    assert (
        str(error)
        == f"{file}: permission: access denied; give the service group {file.stat().st_gid}, which owns the device"
    )


def test_a_container_without_a_device_rule_is_distinguished_from_it(tmp_path: Path) -> None:
    assert "no rule for this device" in str(error_of(errno.EPERM, tmp_path / "i2c-1"))


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EPERM, "an input cannot be written"), (errno.EIO, "Input/output")]
)
def test_errors_of_an_open_device_say_what_the_bus_knows(number: int, words: str) -> None:
    assert words in str(error_of(number, None))
