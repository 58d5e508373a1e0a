"""Every class of gpiozero that gpiozero_device knows, on emulated lines."""

import math

import pytest

from device_bridge import Quality
from gpiozero_device.classes.rows import DeviceSettings
from gpiozero_device.classes.table import ROWS
from gpiozero_device.emulator import DEVICES
from gpiozero_device.service import GpiozeroDevice

from .gpiozero_world import bridged_to, tell, world_of
from .serving import settings_of

_SPI = {"clock_pin": "GPIO11", "mosi_pin": "GPIO10", "miso_pin": "GPIO9", "select_pin": "GPIO8"}
_READ_ONLY = _SPI | {"mosi_pin": None}
CONVERTERS = {
    **dict.fromkeys(("MCP3001", "MCP3201", "MCP3301"), _READ_ONLY),
    **{f"MCP3{n}": _SPI | {"channel": 1} for n in ("002", "004", "008", "202", "204", "208", "302", "304")},
}
EXAMPLES = {
    "DistanceSensor": DEVICES["level"] | {"queue_len": 1, "interval": 0.05},
    "MotionSensor": {"pin": "GPIO4", "sample_rate": 100},
    "LightSensor": DEVICES["daylight"] | {"queue_len": 1, "interval": 0.1, "charge_time_limit": 0.1},
    "LineSensor": {"pin": "GPIO4"},
    "Button": {"pin": 17, "bounce_time": 0.001, "hold_time": 0.05},
    "RotaryEncoder": {"a": "GPIO5", "b": "GPIO6"},
    **CONVERTERS,
    "CPUTemperature": {},
    "TimeOfDay": {"start_time": "00:00", "end_time": "23:59:59"},
    "PingServer": {"host": "127.0.0.1"},
    "LED": {"pin": "GPIO22"},
    "PWMLED": {"pin": "GPIO22"},
    "RGBLED": {"red": "GPIO20", "green": "GPIO21", "blue": "GPIO22"},
    "LEDBoard": {"pins": ["GPIO20", "GPIO21", "GPIO22"]},
    "Buzzer": {"pin": "GPIO22"},
    "TonalBuzzer": {"pin": "GPIO22"},
    "Motor": {"forward": "GPIO20", "backward": "GPIO21", "enable": "GPIO22"},
    "PhaseEnableMotor": {"phase": "GPIO20", "enable": "GPIO21"},
    "Servo": {"pin": "GPIO22", "initial_value": 0},
    "AngularServo": {"pin": "GPIO22", "initial_angle": 0},
    "Energenie": {"socket": 1, "lines": ["BOARD7", "GPIO22", "GPIO23", "GPIO27", "GPIO24", "GPIO25"]},
}


@pytest.mark.parametrize("name", ROWS)
async def test_each_class_sends_what_it_declares_and_carries_out_its_commands(name, tmp_path, monkeypatch):
    row, settings = ROWS[name], {"device": name} | EXAMPLES[name]
    if name == "CPUTemperature":
        (tmp_path / "temp").write_text("48312\n")
        settings["sensor_file"] = str(tmp_path / "temp")
    if name == "PingServer":
        monkeypatch.setattr("gpiozero_device.classes.makers.ping", lambda _: True)
    async with world_of(tmp_path) as world:
        async with bridged_to(world, settings) as bridged:
            declared = {one.name: one for one in GpiozeroDevice.quantities_of(bridged.told)}
            found = {}
            while found.keys() != declared.keys():
                found |= await bridged.sample()
            for reading in found.values():
                assert (reading.quality, reading.unit) == (Quality.GOOD, declared[reading.name].unit), reading
                assert declared[reading.name].judged(reading) is reading
            for spec in GpiozeroDevice.commands_of(bridged.told):
                result = await tell(
                    bridged, spec.name, **{one.name: _allowed(one) for one in spec.parameters if one.required}
                )
                assert result.ok, f"{spec.name}: {result.detail}"
                assert {reading.name for reading in result.readings} == declared.keys()
                for reading in result.readings:
                    assert declared[reading.name].judged(reading) is reading
        for line, level in row.safe_levels(_model(name)).items():
            assert world.gpio.level(line.replace("BOARD7", "GPIO4")) == level


def _model(name):
    return settings_of(GpiozeroDevice, devices=[{"device": name, "name": "it"} | EXAMPLES[name]]).devices[0]


def _allowed(parameter):
    if parameter.kind == "boolean":
        return True
    if parameter.kind == "any":
        return "B4"
    low, high = parameter.range
    return high if high <= 1 else math.floor((low + high) / 2)


def test_each_class_has_an_example():
    assert EXAMPLES.keys() == ROWS.keys()
    assert all(isinstance(_model(name), DeviceSettings) for name in ROWS)
