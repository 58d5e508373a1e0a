"""The service as a process: real services on emulated lines, rules, pages; safe outputs when it is killed."""

import asyncio
import contextlib
import json
import os
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import SettingsError
from device_bridge.gateway import check_entries
from device_bridge.settings import SettingsSources
from digital_outputs.emulator import LINES
from edge_gateway.service import EdgeGateway, EdgeGatewaySettings
from local_agent.ports import free_port
from simulated_devices import SimulatedGpio

CONTACT, RELAY, LAMP = "GPIO4", "GPIO17", "GPIO22"


@contextlib.asynccontextmanager
async def running(settings, folder):
    """The gateway's process."""
    file = folder / "gateway.json"
    file.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_gateway", "--settings", str(file)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
            env=os.environ | {"IOFOG_LINK": "console:"},
        )
    try:
        yield process, file
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def get(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().partition("\r\n\r\n")[2]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_rules_between_services_pages_for_all_and_a_kill(tmp_path):
    gpio = SimulatedGpio(tmp_path / "gpio")
    chip = gpio.add("pinctrl-bcm2711", LINES)
    port, lines = free_port(), {"gpio": {"path": f"sim:{tmp_path}/gpio"}}
    contact = {"kind": "contact", "name": "door", "line": CONTACT, "heartbeat": 1}
    outputs = [{"name": "relay", "line": RELAY}, {"name": "lamp", "line": LAMP}]
    settings = {
        "http": {"port": port},
        "bridges": {
            "contacts": {"service": "digital_inputs", "settings": lines | {"inputs": [contact]}},
            "relays": {"service": "digital_outputs", "settings": lines | {"outputs": outputs, "node_timeout": 0}},
            "wrong": {"service": "climate_sensor", "settings": {"adress": 1}},
        },
        "rules": [{"reading": "contacts/door", "output": "relays/relay", "on_when": True}],
    }

    def level(line):
        return chip.level(chip.offset(line))

    gpio.drive(CONTACT, 0)
    async with gpio.serving(), running(settings, tmp_path) as (process, _):
        await until(lambda: chip.lines[chip.offset(RELAY)].request is not None)
        gpio.drive(CONTACT, 1)
        await until(lambda: level(RELAY) == 1)
        ready = json.loads(await get(port, "/readyz"))
        assert not ready["ready"]
        assert ready["bridges"]["relays"]["device"]["state"] == "reading"
        assert "bridges.wrong.settings.adress" in ready["bridges"]["wrong"]["settings"]["refused"]
        readings = {one["name"]: one["value"] for one in json.loads(await get(port, "/readings"))["readings"]}
        assert readings["contacts/door"] is True
        assert "relays/relay" in readings
        metrics = await get(port, "/metrics")
        families = [line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE")]
        assert len(families) == len(set(families)), "a name's metrics follow each other"
        assert 'bridge_device_up{bridge="contacts"} 1' in metrics
        assert 'bridge_device_up{bridge="wrong"} 0' in metrics
        assert 'bridge_build_info{bridge="relays",version=' in metrics
        process.kill()
        await until(lambda: level(RELAY) == 0)


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        ({"bridges": {"a/b": {"service": "gps_receiver"}}}, 78, "setting bridges.a/b: is no name of a bridge"),
        ({"bridges": {"gps": 3}}, 78, "setting bridges.gps = 3: is no object"),
        ({"bridges": {"gps": {"service": "gps_receiver", "settings": {"prt": 1}}}}, 78, "bridges.gps.settings.prt"),
        ({"bridges": {"gps": {"service": "gps_receiver", "settings": {"serial": {"port": "/dev/ttyS0"}}}}}, 0, ""),
    ],
)
async def test_settings_are_checked_whole_before_they_are_used(tmp_path, settings, status, said):
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_gateway", "--settings", str(file), "--check"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == status
    assert said in errors.decode()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=8)
    | st.sampled_from(["gps_receiver", "edge_gateway"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
MEMBERS = st.sampled_from(["service", "settings", "enabled", "max_rate", "other"])
ENTRIES = st.dictionaries(
    st.text("abz/-_", max_size=5), st.dictionaries(MEMBERS, VALUES, max_size=4) | VALUES, max_size=4
)
NAMES = st.sampled_from(["reading", "output", "on_above", "off_below", "on_when", "max_age"])


@given(ENTRIES, st.lists(st.dictionaries(NAMES, VALUES | st.just("a/b"), max_size=5), max_size=3))
def test_whatever_a_document_says_is_settings_or_an_error_that_names_its_place(bridges, rules):
    document = json.dumps({"bridges": bridges, "rules": rules})
    field = "bridges"
    try:
        settings = SettingsSources(EdgeGatewaySettings, file=None, environment={}).resolve(document)
        EdgeGateway.check_settings(settings)
        check_entries(settings)
    except SettingsError as error:
        field = error.field
    assert re.match(r"(bridges|rules)\b", field)
