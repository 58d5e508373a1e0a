"""The pytest plugin in somebody else's project: its page's examples, reports, skips, and hands off real devices.

Each run is a process of its own: pytest in pytest would drop modules that it was the first to load.
"""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_simulated_devices import plugin
from pytest_simulated_devices.hardware import DevicesError, parse_devices

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[2] / "common/pytest_simulated_devices/README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SERVICE = """
import pytest
from climate_sensor.emulator import ClimateChip
from climate_sensor.service import ClimateSensor
"""


@pytest.fixture
def project(pytester):
    """Somebody else's tests."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    return pytester


def test_every_example_of_the_page_is_a_body_of_about_ten_lines_that_passes(project):
    project.makepyfile(**{f"test_{number}": example for number, example in enumerate(EXAMPLES)})
    outcome = project.runpytest_subprocess("-q", "-p", "no:xdist")
    outcome.assert_outcomes(passed=6, skipped=1)
    outcome.stdout.fnmatch_lines(["devices: the only test on real buses did not run; *"])
    bodies = [example.partition("async def")[2].strip().splitlines()[1:] for example in EXAMPLES]
    assert max(map(len, bodies)) <= 10


def test_what_fails_shows_buses_messages_and_faults_and_what_is_used_wrongly_says_what_to_do(project):
    project.makepyfile(
        SERVICE
        + """
async def test_fails(i2c_bus, running_service, received, clock):
    i2c_bus.plug_in(ClimateChip(clock=clock.now), 0x76)
    await running_service.start(ClimateSensor, i2c_bus, address=0x76)
    await received.wait_for(quantity="temperature")
    i2c_bus.no_acknowledge()
    await received.wait_for(quantity="temperature", value=99, timeout_s=60)

async def test_passes(i2c_bus, running_service, received, clock):
    i2c_bus.plug_in(ClimateChip(clock=clock.now), 0x76)
    await running_service.start(ClimateSensor, i2c_bus, address=0x76)
    await received.wait_for(quantity="temperature")

@pytest.mark.needs_bus("gpio")
def test_real(real_bus): ...

@pytest.mark.needs_bus("serial")
def test_another(real_bus): ...

def test_not_marked(real_bus): ...

async def test_names_a_device(running_service):
    await running_service.start(ClimateSensor)

async def test_misspelt(i2c_bus, running_service):
    await running_service.start(ClimateSensor, i2c_bus, adress=1)

async def test_wants_a_process(i2c_bus, running_service, clock):
    await running_service.start(ClimateSensor, i2c_bus, as_process=True)
"""
    )
    outcome = project.runpytest_subprocess("-rs", "-p", "no:xdist")
    outcome.assert_outcomes(passed=1, failed=4, skipped=2, errors=1)
    outcome.stdout.fnmatch_lines(
        [
            "*test_not_marked uses real_bus: mark it with needs_bus*",
            "E *AssertionError: temperature = 99 (good) did not come in 60 s; the latest of *temperature = no value*",
            "*transcript of buses and messages*",
            "* running_service *climate_sensor starts with {*",
            "* i2c_bus *0x76 write d0 read 1: 60",
            "* received *temperature = 21.* Cel",
            "* i2c_bus *absent chip on",
            "* i2c_bus *0x76 *: EREMOTEIO",
            "*the settings name /dev/i2c-1 of this machine: pass a fixture as i2c_bus to start*",
            "*unknown setting*Did you mean address?*",
            "*processes and nodes need the real clock: leave out the fixture `clock`*",
            "*needs a real gpio bus: run it with --devices=board:FILE or --devices=kernel",
        ]
    )
    outcome.stdout.fnmatch_lines(["devices: all 2 tests on real buses did not run; nothing was tested on hardware"])


def test_what_is_marked_runs_on_the_devices_of_a_board_and_says_which_are_missing(project):
    project.makepyfile(
        """
import pytest

@pytest.mark.needs_bus("serial")
def test_there(real_bus):
    assert real_bus.settings == {"serial": {"port": "/dev/ptmx", "baud": 4800}}

@pytest.mark.needs_bus("i2c")
def test_away(real_bus): ...

@pytest.mark.needs_bus("gpio")
def test_not_named(real_bus): ...
"""
    )
    project.maketxtfile(board='[serial]\nport = "/dev/ptmx"\nbaud = 4800\n[i2c]\npath = "/dev/i2c-99"\n')
    outcome = project.runpytest_subprocess("-rs", "-p", "no:xdist", "--devices=board:board.txt")
    outcome.assert_outcomes(passed=1, skipped=2)
    outcome.stdout.fnmatch_lines_random(
        [
            "*/dev/i2c-99: No such file or directory; plug it in, or enable the bus *",
            '*board.txt has no gpio bus: write [[]gpio] with path = "/dev/…" once the board has one',
        ]
    )
    outcome.stdout.no_fnmatch_line("devices: *")


@pytest.mark.parametrize(
    ("option", "board", "reason"),
    [
        ("real", "", "--devices=real: write simulated, kernel or board:FILE"),
        ("board:", "", "--devices=board:: write simulated"),
        ("board:away.toml", "", "--devices=board:away.toml: .*No such file"),
        ("board:board.toml", "[spi]\n", r"spi is not a table of a bus; write \[serial\], \[i2c\], \[gpio\]"),
        ("board:board.toml", "serial = 5\n", "serial is not a table of a bus"),
        ("board:board.toml", "[i2c]\nport = 5\n", r'\[i2c\] names no device; write path = "/dev/…"'),
        ("board:board.toml", "[[[", "--devices=board:board.toml: "),
    ],
)
def test_a_wrong_option_says_what_to_write(tmp_path, monkeypatch, option, board, reason):
    monkeypatch.chdir(tmp_path)
    Path("board.toml").write_text(board)
    with pytest.raises(DevicesError, match=reason):
        parse_devices(option)


def test_a_wrong_mark_says_what_to_write():
    item = SimpleNamespace(nodeid="test_it", iter_markers=lambda name: [getattr(pytest.mark, name)("spi").mark])
    with pytest.raises(pytest.UsageError, match=r"test_it: needs_bus\('spi'\): write serial, i2c or gpio"):
        plugin.pytest_collection_modifyitems(None, [item])
    item = SimpleNamespace(get_closest_marker=lambda name: getattr(pytest.mark, name)("slow").mark)
    with pytest.raises(pytest.UsageError, match=r"clock\('slow'\): write movable or real"):
        plugin.pytest_asyncio_loop_factories(item)


def test_a_run_that_does_not_use_the_plugin_loads_nothing_but_pytest():
    code = "import pytest_simulated_devices.plugin, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"device_bridge", "simulated_devices", "local_agent", "msgspec"} & set(loaded)
