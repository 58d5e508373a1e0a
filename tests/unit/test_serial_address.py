"""Which tty is opened: by path, or by what the USB device says it is."""

import os
from types import SimpleNamespace

import pytest

from device_bridge import DeviceError, SettingsError
from device_bridge.buses.serial import address as serial_address
from device_bridge.buses.serial.address import find_tty


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(serial_address, "_first_seen", {})


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Plugs devices in: name=(vendor, product, serial), under tmp_path as if it were /dev."""
    monkeypatch.setattr(serial_address, "_NUMBERED", serial_address.re.compile(rf"{tmp_path}/tty(USB|ACM)\d+"))

    def plug(**devices):
        for old in tmp_path.iterdir():
            old.unlink()
        infos = []
        for name, (vid, pid, serial) in devices.items():
            (tmp_path / name).touch()
            infos.append(SimpleNamespace(device=str(tmp_path / name), vid=vid, pid=pid, serial_number=serial))
        infos.append(SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None))
        return lambda: infos

    return plug


FTDI, OTHER, NAMELESS = (0x0403, 0x6001, "A1"), (0x0403, 0x6001, "B2"), (0x1A86, 0x7523, None)


def test_a_link_is_left_as_it_is():
    assert find_tty("/dev/serial/by-id/usb-x", lambda: pytest.fail("not needed")) == "/dev/serial/by-id/usb-x"


def test_a_usb_device_is_found_by_its_identity(plugged, tmp_path):
    ports = plugged(ttyUSB0=OTHER, ttyUSB3=FTDI, ttyUSB1=NAMELESS)
    assert find_tty("usb:0403:6001:A1", ports) == str(tmp_path / "ttyUSB3")
    assert find_tty("usb:1A86:7523", ports) == str(tmp_path / "ttyUSB1")


def test_an_absent_one_is_not_found_and_those_present_are_named(plugged):
    with pytest.raises(DeviceError, match=r"usb:0403:6001:A1 at .*ttyUSB0") as caught:
        find_tty("usb:0403:6001:Z9", plugged(ttyUSB0=FTDI))
    assert caught.value.kind.value == "not found"


def test_two_that_fit_are_not_guessed_between(plugged):
    with pytest.raises(DeviceError, match="2 devices fit"):
        find_tty("usb:0403:6001", plugged(ttyUSB0=FTDI, ttyUSB1=OTHER))


@pytest.mark.parametrize("port", ["usb:", "usb:403:6001", "usb:0403-6001", "usb:0403:6001:", "usb:xxxx:6001"])
def test_what_is_no_usb_address_is_a_settings_error(port):
    with pytest.raises(SettingsError, match="VENDOR:PRODUCT"):
        find_tty(port, list)


def test_a_number_means_the_device_first_found_there(plugged, tmp_path):
    port = str(tmp_path / "ttyUSB0")
    assert find_tty(port, plugged(ttyUSB0=FTDI)) == port
    assert find_tty(port, plugged(ttyUSB1=FTDI)) == str(tmp_path / "ttyUSB1"), "back under another number"
    assert find_tty(port, plugged(ttyUSB0=OTHER, ttyUSB1=FTDI)) == str(tmp_path / "ttyUSB1")
    with pytest.raises(DeviceError, match="usb:0403:6001:A1 is not plugged in"):
        find_tty(port, plugged(ttyUSB0=OTHER))


def test_a_number_without_a_device_yet_is_tried_as_it_is(plugged, tmp_path):
    port = str(tmp_path / "ttyACM0")
    assert find_tty(port, plugged()) == port
    assert find_tty(port, plugged(ttyACM0=NAMELESS)) == port


def test_this_machines_ports_can_be_listed():
    path = "/dev/ttyUSB99"
    assert not os.path.exists(path)  # noqa: PTH110
    assert find_tty(path) == path
