"""Services on a file that behaves as /dev/i2c-N does: the kernel's own interface is between smbus2 and the chips."""

import asyncio
import contextlib
import json
import os
import platform
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="an x86-64 machine, where the kernel's interface to /dev/i2c-N is imitated"
)

PLAIN, SMBUS_ONLY = "0eff0009", "0eff0008"
RUNNER = Path(__file__).with_name("i2c_dev.py")


@contextlib.asynccontextmanager
async def readings_of(service, node, functions, **settings):
    """Runs a service on a node, and gives what fetches its next message: readings by name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(RUNNER), str(node), functions, sys.executable, "-m", service),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ
        | {"IOFOG_LINK": "console:", "SETTING_BUS__PATH": str(node), "SETTING_INTERVAL": "0.1"}
        | {f"SETTING_{name.upper()}": json.dumps(value) for name, value in settings.items()},
    )

    async def fetch():
        return {record["n"]: record for record in json.loads(await process.stdout.readline())["content"]}

    try:
        async with asyncio.timeout(60):
            yield fetch
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize("functions", [PLAIN, SMBUS_ONLY])
async def test_a_register_chip_on_either_kind_of_adapter(functions, tmp_path):
    async with readings_of("climate_sensor", tmp_path / "i2c-1", functions) as fetch:
        for _ in range(3):
            found = await fetch()
            assert found["temperature"]["v"] == pytest.approx(-12.5, abs=0.005)
            assert set(found) == {"temperature", "humidity", "pressure"}


SENSORS = [{"profile": "sht31", "name": "a"}, {"profile": "tmp102", "name": "b"}, {"profile": "mcp9808", "name": "c"}]


async def test_commands_registers_and_an_absent_chip(tmp_path):
    async with readings_of("register_sensor", tmp_path / "i2c-1", PLAIN, sensors=SENSORS) as fetch:
        seen = {}
        while len(seen) < 4:
            seen |= await fetch()
        assert seen["a/temperature"]["v"] == pytest.approx(30, abs=0.005)
        assert seen["b/temperature"]["v"] == 40
        assert "nothing answers" in json.dumps(seen["c/temperature"])


async def test_what_an_smbus_adapter_cannot_do_is_reported_and_the_rest_works(tmp_path):
    async with readings_of("register_sensor", tmp_path / "i2c-1", SMBUS_ONLY, sensors=SENSORS[:2]) as fetch:
        seen = {}
        while len(seen) < 3:
            seen |= await fetch()
        assert "this adapter cannot do such a transfer" in json.dumps(seen["a/temperature"])
        assert seen["b/temperature"]["v"] == 40


GUARD = """
import asyncio, sys
from device_bridge.buses import I2cBus, I2cSettings
from device_bridge.control.guard_process import I2cAct, execute

async def main():
    bus = I2cBus(I2cSettings(path=sys.argv[1]))
    await bus.open()
    await bus.device(0x20).write_word(0x14, 0xFFFF)
    acts = [(0x20, bytes([0x14, 0, 0]), bytes([0x14, 1, 0x80]), True), (0x21, b"\\x0f", b"\\x0f", False)]
    print(execute([I2cAct(sys.argv[1], *act) for act in acts]), execute([I2cAct(sys.argv[1], 0x50, b"0", b"0")]))
    print(hex(await bus.device(0x20).read_word(0x14)), await bus.device(0x21).read(1))
    await bus.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("functions", [PLAIN, SMBUS_ONLY])
async def test_a_guard_switches_outputs_on_either_kind_of_adapter(functions, tmp_path):
    node = str(tmp_path / "i2c-1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(RUNNER), node, functions, sys.executable, "-c", GUARD, node),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    assert told.decode().splitlines() == ["True False", "0x8001 b'\\x0f'"]
