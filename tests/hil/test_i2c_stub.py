"""I2C of a real kernel: i2c-stub behind /dev/i2c-0, an SMBus adapter whose chips are memory."""

import pytest

from climate_sensor import chip as climate
from climate_sensor.emulator import CALIBRATION
from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import I2cBus, I2cSettings
from register_sensor.service import RegisterSensor

from ..services.serving import bridging, settings_of

BUS = {"path": "/dev/i2c-0"}


@pytest.fixture
async def bus():
    way = I2cBus(I2cSettings(**BUS))
    await way.open()
    yield way
    await way.close()


async def test_registers_of_all_widths(bus):
    device = bus.device(0x76)
    await device.write_byte(0x10, 0xA5)
    assert await device.read_byte(0x10) == 0xA5
    await device.write(bytes([0x20, *range(20)]))
    assert await device.write_read(b"\x20", 20) == bytes(range(20))


async def test_nobody_there_is_no_acknowledge_or_gone_by_this_driver(bus):
    with pytest.raises(DeviceError) as caught:
        await bus.device(0x50).read_byte(0)
    assert caught.value.kind in (DeviceErrorKind.NO_ACKNOWLEDGE, DeviceErrorKind.GONE)


async def test_what_an_smbus_adapter_cannot_do_is_reported(bus):
    with pytest.raises(DeviceError, match="cannot do such a transfer"):
        await bus.device(0x76).read(6)


async def test_a_service_reads_a_register(bus):
    await bus.device(0x48).write_word(0x00, 0x0019)  # 0x1900, the high byte first: 25 degrees
    settings = settings_of(RegisterSensor, bus=BUS, sensors=[{"profile": "tmp102"}], interval=0.05)
    async with bridging(RegisterSensor, settings) as bridged:
        assert (await bridged.sample())["temperature"].value == 25


async def test_calibration_in_blocks(bus):
    main, humidity = CALIBRATION.to_bytes()
    device = bus.device(0x76)
    await device.write(bytes([climate.CALIBRATION]) + main)
    await device.write(bytes([climate.HUMIDITY_CALIBRATION]) + humidity)
    read = device.write_read
    found = [await read(bytes([register]), size) for register, size in ((climate.CALIBRATION, 26), (0xE1, 7))]
    assert climate.Calibration.from_bytes(*found) == CALIBRATION
