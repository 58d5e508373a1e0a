"""The least that can be done for SHT31 sensors on an emulated bus: read one after another, blocking, and print.

`python i2c_poller.py SETTINGS SECONDS`, with the settings that register_sensor would get. No bridge, no profile.
"""

from __future__ import annotations

import json
import sys
import time

from device_bridge.buses.i2c.adapter import open_adapter
from device_bridge.buses.workers import run_blocking

_MEASURE = b"\x24\x00"
"""Single shot, high repeatability (Sensirion SHT3x-DIS data sheet version 7, section 4.3)."""

_LONGEST_MEASUREMENT_S = 0.0155


def main() -> None:
    """Prints `ready`, polls, and prints the processor seconds it took."""
    settings, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
    bus = open_adapter(settings["bus"]["path"], 1.0)

    def transfer(address: int, *messages: bytes | int) -> list[bytes]:
        return run_blocking(bus.transfer(address, messages))

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start, due = time.process_time(), time.monotonic()
    end = due + seconds
    while due < end:
        readings = {}
        for sensor in settings["sensors"]:
            name, mux, address = sensor["name"], sensor["mux"], sensor.get("address", 0x44)
            transfer(mux["address"], bytes([1 << mux["channel"]]))
            transfer(address, _MEASURE)
            time.sleep(_LONGEST_MEASUREMENT_S)
            body = transfer(address, 6)[0]
            transfer(mux["address"], b"\0")
            temperature, humidity = int.from_bytes(body[:2]), int.from_bytes(body[3:5])
            readings[f"{name}/temperature"] = temperature * 175 / 65_535 - 45
            readings[f"{name}/humidity"] = humidity * 100 / 65_535
        sys.stderr.write(json.dumps(readings) + "\n")
        due += 1.0
        time.sleep(max(0.0, due - time.monotonic()))
    sys.stdout.write(f"{time.process_time() - start}\n")


main()
