"""Fixtures of the pytest plugin: every fault of every device is told and ends; histories, clocks, locks."""

import asyncio

import pytest

from climate_sensor.emulator import ClimateChip
from climate_sensor.service import ClimateSensor
from device_bridge import DeviceService, Quality, ServiceSettings
from digital_inputs.service import DigitalInputs
from modbus_meter.service import ModbusMeter
from mqtt_bridge.service import MqttBridge
from pytest_simulated_devices.hardware import BoardDevices, Found, KernelDevices, RealBus, SimulatedDevices
from serial_instrument.emulator import BenchScale
from serial_instrument.service import SerialInstrument

REGISTERS = [{"name": "voltage", "address": 0, "type": "f32", "unit": "V"}]
POLL = {"interval": 0.05, "timeout": 0.05}
DOOR = {"kind": "contact", "name": "door", "line": "GPIO17", "heartbeat": 1}


@pytest.mark.clock("movable", "real")
@pytest.mark.parametrize(
    "fault",
    [
        lambda line: line.unplug(),
        lambda line: line.corrupt(),
        lambda line: line.drop(),
        lambda line: line.stall(),
    ],
    ids=["unplug", "corrupt", "drop", "stall"],
)
async def test_each_fault_of_a_serial_device_is_reported_and_ends(serial_device, running_service, received, fault):
    scale = serial_device.plug_in(BenchScale())
    await running_service.start(SerialInstrument, serial_device, profile="bench_scale", poll=POLL, stale_after=0.5)
    await received.wait_for(quantity="weight", quality="good")
    fault(serial_device)
    await received.wait_for(quantity="weight", where=lambda reading: reading.quality is not Quality.GOOD)
    scale.set("load", 12.5)
    serial_device.heal()
    await received.wait_for(quantity="weight", value=12.5)


@pytest.mark.parametrize(
    "fault",
    [
        lambda unit: unit.unplug(),
        lambda unit: unit.corrupt(),
        lambda unit: unit.no_acknowledge(),
        lambda unit: unit.stall(5),
    ],
    ids=["unplug", "corrupt", "no_acknowledge", "stall"],
)
async def test_each_fault_of_a_modbus_unit_is_reported_and_ends(modbus_unit, running_service, received, clock, fault):
    modbus_unit.set("input", 0, 231.5)
    units = [{"address": 1, "name": "m"}]
    await running_service.start(ModbusMeter, modbus_unit, units=units, registers=REGISTERS)
    await received.wait_for(quantity="m/voltage", value=231.5)
    fault(modbus_unit)
    await received.wait_for(quantity="m/voltage", quality="bad")
    modbus_unit.set("input", 0, 228.25)
    modbus_unit.heal()
    await received.wait_for(quantity="m/voltage", value=228.25)


@pytest.mark.clock("movable", "real")
@pytest.mark.parametrize(
    "fault",
    [
        lambda bus: bus.unplug(),
        lambda bus: bus.no_acknowledge(),
        lambda bus: bus.no_acknowledge("chip"),
        lambda bus: bus.stall(),
        lambda bus: bus.stall(0.2),
        lambda bus: (bus.corrupt(), bus.reset()),
    ],
    ids=["unplug", "no_acknowledge", "one chip", "stall", "stretch", "corrupt"],
)
async def test_each_fault_of_an_i2c_bus_is_reported_and_ends(i2c_bus, running_service, received, fault):
    chip = i2c_bus.plug_in(ClimateChip(clock=asyncio.get_running_loop().time), 0x76)
    settings = {"interval": 0.05, "bus": {"timeout": 0.05}}
    await running_service.start(ClimateSensor, i2c_bus, address=0x76, **settings)
    await received.wait_for(quantity="temperature", quality="good")
    fault(i2c_bus)
    await received.wait_for(quantity="temperature", quality="bad")
    chip.set("temperature", 30)
    i2c_bus.heal()
    await received.wait_for(quantity="temperature", value=pytest.approx(30, abs=0.01))


@pytest.mark.parametrize("fault", [lambda chip: chip.unplug(), lambda chip: chip.stall(30)], ids=["unplug", "stall"])
async def test_each_fault_of_a_gpio_chip_is_reported_and_ends(gpio_chip, running_service, received, clock, fault):
    await running_service.start(DigitalInputs, gpio_chip, inputs=[DOOR])
    for level in (1, 0):
        gpio_chip.drive("GPIO17", level)
        await received.wait_for(quantity="door", value=bool(level))
    fault(gpio_chip)
    await received.wait_for(quantity="door", quality="bad")
    gpio_chip.drive("GPIO17", 1)
    gpio_chip.heal()
    await received.wait_for(quantity="door", value=True)


async def test_nothing_is_lost_in_any_fault_of_the_agent(serial_device, local_agent, running_service, received):
    scale = serial_device.plug_in(BenchScale())
    await running_service.start(SerialInstrument, serial_device, node=local_agent, profile="bench_scale", poll=POLL)
    await received.wait_for(quantity="weight", quality="good")
    faults = (local_agent.unplug, local_agent.corrupt, local_agent.no_acknowledge, local_agent.stall)
    for load, begin in enumerate(faults, 1):
        begin()
        scale.set("load", load)
        await asyncio.sleep(0.1)
        local_agent.heal()
        await received.wait_for(quantity="weight", value=load)


async def test_each_fault_of_the_broker_is_reported_and_ends(mqtt_broker, running_service, received):
    rule = {"topic": "level", "payload": "value", "fields": [{"name": "level"}]}
    broker = {"answer_timeout": 1, "ping_interval": 1}
    await running_service.start(MqttBridge, mqtt_broker, broker=broker, to_iofog=[rule], stale_after=1)
    await mqtt_broker.publish("level", "0", retain=True)
    await received.wait_for(quantity="level")
    for value, begin in enumerate((mqtt_broker.corrupt, mqtt_broker.no_acknowledge, mqtt_broker.stall), 1):
        begin()
        await received.wait_for(quantity="level", where=lambda reading: reading.quality is not Quality.GOOD)
        mqtt_broker.heal()
        await mqtt_broker.publish("level", str(value), retain=True)
        await received.wait_for(quantity="level", where=lambda reading, value=value: reading.value == value)


async def test_a_tty_that_comes_back_is_found_by_the_name_of_the_device_alone(serial_device):
    serial_device.unplug()
    assert not serial_device.path.is_symlink()
    serial_device.replug(as_="ttyUSB3")
    assert serial_device.path.readlink().name == "ttyUSB3"
    assert serial_device.path.is_char_device()
    assert not serial_device.path.with_name("ttyUSB0").is_symlink()


async def test_a_service_is_configured_and_commanded_while_it_runs(gpio_chip, running_service, received, clock):
    await running_service.start(DigitalInputs, gpio_chip, inputs=[DOOR])
    await received.wait_for(quantity="door", value=False)
    began_at = clock.now()
    running_service.configure(**gpio_chip.settings, inputs=[DOOR | {"name": "gate"}])
    await received.wait_for(quantity="gate", value=False)
    await clock.advance(600)
    assert clock.now() - began_at >= 600
    assert len([reading for reading in received.readings if reading.name == "gate"]) >= 600


class NoProcess(DeviceService[ServiceSettings]):
    """Cannot be started as `python -m tests`."""


async def test_what_a_service_ends_by_ends_the_wait(running_service, received):
    await running_service.start(NoProcess, as_process=True)
    with pytest.raises(AssertionError, match="ended with status 1"):
        await received.wait_for()


async def test_a_wait_looks_at_what_came_after_the_one_before(i2c_bus, running_service, received, clock):
    i2c_bus.plug_in(ClimateChip(clock=clock.now), 0x76)
    await running_service.start(ClimateSensor, i2c_bus, address=0x76)
    first = await received.wait_for(quantity="pressure")
    second = await received.wait_for(quantity="pressure")
    assert first.time < second.time or clock.now() > 0
    with pytest.raises(
        AssertionError, match=r"humidity = -1 \(good\) did not come in 20 s; the latest of \d+ readings: "
    ):
        await received.wait_for(quantity="humidity", value=-1, timeout_s=20)
    i2c_bus.unplug()
    with pytest.raises(AssertionError, match=r"a reading did not come in 0\.001 s"):
        await received.wait_for(where=lambda reading: reading.unit == "K", timeout_s=0.001)


def test_the_kernels_simulated_hardware_is_found_by_its_names(tmp_path):
    kernel = KernelDevices(tmp_path)
    assert "as root: modprobe i2c-dev; modprobe i2c-stub" in kernel.find("i2c").missing
    assert "gpio-sim" in kernel.find("gpio").missing
    assert "serial_device" in kernel.find("serial").missing
    for number, name in enumerate(("bcm2835 (i2c@7e804000)", "SMBus stub driver")):
        folder = tmp_path / f"sys/bus/i2c/devices/i2c-{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
    (tmp_path / "sys/devices/platform/gpio-sim.0/gpiochip2").mkdir(parents=True)
    settings, missing = kernel.find("i2c")
    assert settings == {"path": f"{tmp_path}/dev/i2c-1"}
    assert missing.startswith(f"{tmp_path}/dev/i2c-1: No such file or directory; plug it in, or enable the bus")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/gpiochip2").symlink_to("/dev/null")
    assert kernel.find("gpio") == Found({"path": f"{tmp_path}/dev/gpiochip2"})


def test_a_file_names_devices_and_addresses_of_devices(tmp_path):
    file = tmp_path / "board.toml"
    file.write_text('[serial]\nport = "usb:0403:6001"\n[gpio]\npath = "/etc/hostname"\n')
    board = BoardDevices(file)
    assert board.find("serial") == Found({"port": "usb:0403:6001"})
    assert board.find("gpio").missing == "/etc/hostname is not a device"
    assert SimulatedDevices().find("i2c").missing


def test_a_real_bus_is_one_tests_alone(tmp_path, monkeypatch):
    bus = RealBus({"i2c": Found({"path": f"{tmp_path}/i2c-1"})})
    monkeypatch.setattr("pytest_simulated_devices.hardware._LOCK_S", 0.0)
    with bus.locked(), pytest.raises(TimeoutError, match="is used by another test"), bus.locked():
        pass
    with bus.locked() as again:
        assert again.settings == {"bus": {"path": f"{tmp_path}/i2c-1"}}
