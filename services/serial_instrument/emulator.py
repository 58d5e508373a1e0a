"""The devices of the profiles, on a real tty: they answer, execute commands and have faults on demand."""

from __future__ import annotations

import argparse
import asyncio

from simulated_devices import (
    PlayedDevice,
    SerialDevice,
    add_line_options,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
)

from .emulated_device import Device
from .emulated_meters import BatteryMonitor, DsmrMeter, QpigsInverter, Sds011, StreamingScale, WeatherTransmitter
from .emulated_sensors import ArduinoJson, BarcodeScanner, BenchScale, MhZ19, Pms5003

DEVICES: dict[str, type[Device]] = {
    "bench_scale": BenchScale,
    "arduino_json": ArduinoJson,
    "pms5003": Pms5003,
    "mhz19": MhZ19,
    "barcode_scanner": BarcodeScanner,
    "dsmr_p1": DsmrMeter,
    "qpigs_inverter": QpigsInverter,
    "sds011": Sds011,
    "streaming_scale": StreamingScale,
    "vaisala_wxt": WeatherTransmitter,
    "ve_direct": BatteryMonitor,
}
"""The device of each profile."""


async def _run(options: argparse.Namespace) -> None:
    device: SerialDevice = DEVICES[options.profile]()
    if options.interval is not None and device.interval_s:
        device.interval_s = options.interval
    with line_of(options) as (line, faults):
        played = PlayedDevice(device, line, faults)
        settings = {"profile": options.profile, "serial": {"port": str(line.path)}}
        await play_until_stopped(settings, played.run(), played)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("serial_instrument.emulator", __doc__, PlayedDevice)
    add = parser.add_argument
    add("--profile", choices=DEVICES, default="bench_scale", help="device (default bench_scale)")
    add("--interval", type=number(float, 0.001, 3600), help="seconds between what it sends by itself")
    add_line_options(parser, "frames")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
