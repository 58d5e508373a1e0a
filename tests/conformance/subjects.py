"""Every polled sensor, as the conformance suite needs to know it.

A profile of register_sensor is here by itself, and so is the SUBJECT of a module `subject_NAME`.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from climate_sensor import chip as climate
from climate_sensor.emulator import ClimateChip
from climate_sensor.service import ClimateSensor
from device_bridge import DeviceService
from device_bridge.buses import number_of
from device_bridge.settings import profile_names
from register_sensor.chip import chip_of
from register_sensor.emulator import ProfileChip
from register_sensor.service import RegisterSensor

from ..movable_clock import now


class Measured(NamedTuple):
    """A quantity: its unit, its range, and the finest step between two readings."""

    unit: str
    low: float
    high: float
    step: float


class Subject(NamedTuple):
    """A sensor: its service, its emulated chip, and what can be expected of it."""

    name: str
    service_type: type[DeviceService[Any]]
    settings: Callable[[int], dict[str, Any]]
    """By address, without the bus."""
    chip: Callable[[int], Any]
    """By address."""
    address: int
    measured: dict[str, Measured]
    sentinel: tuple[str, Callable[[Any], None]] | None = None
    """A quantity, and what makes its chip say that it has no value."""
    identified: bool = True
    """Whether another chip at its address is noticed."""
    checked: bool = False
    """Whether it sends checksums."""
    crops: frozenset[str] = frozenset()
    on_sockets: bool = False
    """Whether it is also run in real time on a bus behind a socket: it is quick, and differs from the others."""


def _of_profile(name: str) -> Subject:
    chip = chip_of(name)
    measured, sentinel = {}, None
    for field in chip.fields:
        if not field.is_number or field.hidden:
            continue
        low, high = field.valid
        measured[field.name] = Measured(field.unit, low, high, field.step or (high - low) / 1e5)
        if field.missing:
            sentinel = (field.name, lambda chip, field=field: chip.set_raw(field.name, int(field.missing[0])))
    for computed in chip.computed:
        if computed.is_calibrated:
            measured[computed.name] = Measured(computed.unit, *computed.valid, 3 * 10**-computed.decimals)
    reads = [conversion.read for conversion in chip.reads]
    return Subject(
        name,
        RegisterSensor,
        lambda address: {
            "sensors": [{"profile": name, "address": address}],
            "max_retry_interval": 1,
        },
        lambda address: ProfileChip(chip, now, lambda: 1_700_000_000.0, address),
        number_of(chip.address),
        measured,
        sentinel,
        identified=any(step.identify or step.kept for step in chip.init) or all(read.checksum for read in reads),
        checked=all(read.checksum for read in reads),
        crops=frozenset(field.name for field in chip.fields if field.crop),
        on_sockets=name == "sht40",
    )


def _climate(identity: int, name: str, address: int) -> Subject:
    measured = {
        "temperature": Measured("Cel", -40, 85, 0.005),
        "humidity": Measured("%RH", 0, 100, 0.01),
        "pressure": Measured("Pa", 30_000, 110_000, 3.0),  # 16 bits, for oversampling is 1
    }
    if identity == climate.BMP280_ID:
        del measured["humidity"]

    def skip(chip):
        chip._measured = lambda: climate.Raw(climate.SKIPPED_20, climate.SKIPPED_20, climate.SKIPPED_16)

    return Subject(
        name,
        ClimateSensor,
        lambda address: {"address": address},
        lambda _: ClimateChip(identity, clock=now),
        address,
        measured,
        ("pressure", skip),
        on_sockets=name == "bme280",
    )


SUBJECTS = [
    _climate(climate.BME280_ID, "bme280", 0x76),
    _climate(climate.BMP280_ID, "bmp280", 0x76),
    *(_of_profile(name) for name in profile_names("register_sensor")),
]


for _file in sorted(Path(__file__).parent.glob("subject_*.py")):
    SUBJECTS.append(import_module(f"{__package__}.{_file.stem}").SUBJECT)
