"""Emulates the files of drivers, for development and tests: sensors on a wire, a DHT22, a chip, a zone, a battery."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from device_bridge.settings import profile_names
from simulated_devices import add_socket_option, emulator_parser, play_until_stopped, socket_of

from .emulated_devices import Wire, scaled_device
from .emulated_profiles import add_profile
from .emulated_tree import SimulatedSysfs

_ALARMS = ("temp1_max_alarm", "fan1_alarm", "in0_min_alarm")


def build(tree: SimulatedSysfs, sensors: int) -> list[dict[str, Any]]:
    """Fills a tree; returns the settings by which a service reads it.

    Parameters:
        sensors: on the wire.
    """
    wire = Wire(tree)
    settings: list[dict[str, Any]] = []
    for number in range(1, sensors + 1):
        id_ = f"28-{0x0A1B2C0000 + number:012x}"
        wire.add(f"tank{number}", id_, 20.0 + number / 4)
        settings.append({"profile": "ds18b20", "name": f"tank{number}", "id": id_, "resolution": 11})
    for profile in ("dht22", "cpu_thermal", "battery"):
        add_profile(tree, profile, profile)
        settings.append({"profile": profile, "name": profile.split("_")[0]})
    board = scaled_device(
        "hwmon",
        "devices/platform/board.0",
        "nct6775",
        {"temp": ("temp1_input", 1e3, 41), "fan": ("fan1_input", 1, 1180), "in": ("in0_input", 1e3, 1.1)},
        {"temp1_label": "SYSTIN\n", "fan1_fault": "0\n"} | dict.fromkeys(_ALARMS, "0\n"),
    )
    tree.add("board", board)
    channels = {"system": "temp:SYSTIN", "fan": "fan1", "core": "in0"}
    named = [{"name": name, "channel": channel} for name, channel in channels.items()]
    settings.append({"kind": "hwmon", "driver": "nct6775", "name": "board", "channels": named})
    return settings


async def play(options: argparse.Namespace) -> None:
    """Serves the tree until stopped."""
    with socket_of(options) as path:
        tree = SimulatedSysfs(path)
        if options.profile:
            add_profile(tree, "device", options.profile)
            sensors: list[dict[str, Any]] = [{"profile": options.profile}]
        else:
            sensors = build(tree, options.sensors)
        async with tree.serving():
            settings = {"path": f"sim:{path}", "sensors": sensors, "interval": 2.0}
            await play_until_stopped(settings, tree.play(), tree)


def main() -> None:
    """Runs the emulator as this process."""
    parser = emulator_parser("kernel_sensor.emulator", __doc__, SimulatedSysfs)
    add_socket_option(parser)
    parser.add_argument("--profile", choices=profile_names("kernel_sensor"), help="the device of a profile alone")
    parser.add_argument("--sensors", type=int, default=4, help="DS18B20 on the wire (default 4)")
    asyncio.run(play(parser.parse_args()))


if __name__ == "__main__":
    main()
