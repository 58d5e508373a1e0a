"""The serial bus: what each failure to open is called and how to mend it."""

import asyncio
import errno
import os

import pytest
import serial

from device_bridge import DeviceError, SettingsError
from device_bridge.buses import SerialBus, SerialSettings
from simulated_devices import SimulatedSerialLine


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.ENOENT, "not found", "plugged in"),
        (errno.EACCES, "permission", "give the service group"),
        (errno.EPERM, "permission", "no rule for this device"),
        (errno.EBUSY, "busy", "another process"),
        (errno.EIO, "bus fault", os.strerror(errno.EIO)),
    ],
)
async def test_failures_to_open_have_kind_and_remedy(tmp_path, monkeypatch, code, kind, remedy):
    def refuse(*_args, **_options):
        raise serial.SerialException(code, "could not open port")

    with SimulatedSerialLine(tmp_path / "tty") as line:
        monkeypatch.setattr(serial, "Serial", refuse)
        with pytest.raises(DeviceError) as caught:
            await SerialBus(SerialSettings(port=str(line.path))).open()
    assert caught.value.kind.value == kind
    assert remedy in str(caught.value)
    assert str(line.path) in str(caught.value)


async def test_a_missing_device_is_a_device_error(tmp_path):
    with pytest.raises(DeviceError, match="not found"):
        await SerialBus(SerialSettings(port=str(tmp_path / "tty"))).open()


@pytest.mark.parametrize("make", ["mkdir", "touch"])
async def test_what_can_never_be_a_port_is_a_settings_error(tmp_path, make):
    getattr(tmp_path / "tty", make)()
    with pytest.raises(SettingsError, match=r"serial\.port"):
        await SerialBus(SerialSettings(port=str(tmp_path / "tty"))).open()


async def test_only_one_may_have_it_open(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        first, second = (SerialBus(SerialSettings(port=str(line.path))) for _ in range(2))
        await first.open()
        with pytest.raises(DeviceError, match="another process"):
            await second.open()
        await first.close()


async def test_silence_is_waited_for_and_unplugging_is_an_error(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = SerialBus(SerialSettings(port=str(line.path)))
        await bus.open()
        reading = asyncio.ensure_future(bus.read())
        await asyncio.sleep(0)
        assert not reading.done()
        await line.send(b"x")
        assert await asyncio.wait_for(reading, 5) == b"x"
        reading = asyncio.ensure_future(bus.read())
        await asyncio.sleep(0)
        line.unplug()
        with pytest.raises(DeviceError, match="unplugged"):
            await asyncio.wait_for(reading, 5)
        await bus.close()
