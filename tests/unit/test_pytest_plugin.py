"""The pytest plugin in somebody else's project: its page's examples, reports, skips, and hands off real devices."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[2] / "common/pytest_simulated_devices/README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SERVICE = """
import pytest
from simulated_devices import RegisterChip
from register_sensor.emulator import ProfileChip
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
    outcome = project.runpytest_inprocess("-q")
    outcome.assert_outcomes(passed=6, skipped=1)
    outcome.stdout.fnmatch_lines(["devices: the only test on real buses did not run; *"])
    bodies = [example.partition("async def")[2].strip().splitlines()[1:] for example in EXAMPLES]
    assert max(map(len, bodies)) <= 10


def test_a_failure_shows_buses_messages_and_faults(project):
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
"""
    )
    outcome = project.runpytest_inprocess("-rs")
    outcome.assert_outcomes(passed=1, failed=1, skipped=2)
    outcome.stdout.fnmatch_lines(
        [
            "E *AssertionError: temperature = 99 (good) did not come in 60 s; the latest of *temperature = no value*",
            "*transcript of buses and messages*",
            "* running_service *climate_sensor starts with {*",
            "* i2c_bus *0x76 write d0 read 1: 60",
            "* received *temperature = 21.* Cel",
            "* i2c_bus *absent chip on",
            "* i2c_bus *0x76 *: EREMOTEIO",
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
    outcome = project.runpytest_inprocess("-rs", "--devices=board:board.txt")
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
        ("board:away.toml", "", "--devices=board:away.toml: *No such file"),
        ("board:board.txt", "[spi]\n", "spi is not a table of a bus; write *serial*i2c*gpio"),
        ("board:board.txt", "serial = 5\n", "serial is not a table of a bus"),
        ("board:board.txt", "[i2c]\nport = 5\n", '*i2c* names no device; write path = "/dev/…"'),
        ("board:board.txt", "[[[", "--devices=board:board.txt: "),
    ],
)
def test_a_wrong_option_says_what_to_write(project, option, board, reason):
    project.maketxtfile(board=board)
    outcome = project.runpytest_inprocess(f"--devices={option}")
    outcome.stderr.fnmatch_lines([f"ERROR: *{reason}*"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('@pytest.mark.needs_bus("spi")\ndef test_it(): ...', "*needs_bus('spi'): write serial, i2c or gpio*"),
        ("def test_it(real_bus): ...", "*test_it uses real_bus: mark it with needs_bus*"),
        ('@pytest.mark.clock("slow")\nasync def test_it(): ...', "*clock('slow'): write movable or real*"),
        (
            "async def test_it(running_service):\n    await running_service.start(ClimateSensor)",
            "*the settings name /dev/i2c-1 of this machine: pass a fixture as i2c_bus to start*",
        ),
        (
            "async def test_it(i2c_bus, running_service):\n"
            "    await running_service.start(ClimateSensor, i2c_bus, adress=1)",
            "*unknown setting*Did you mean address?*",
        ),
        (
            "async def test_it(i2c_bus, running_service, clock):\n"
            "    await running_service.start(ClimateSensor, i2c_bus, as_process=True)",
            "*processes and nodes need the real clock: leave out the fixture `clock`*",
        ),
    ],
)
def test_a_wrong_use_says_what_to_do(project, body, reason):
    project.makepyfile(SERVICE + body)
    outcome = project.runpytest_inprocess()
    assert outcome.ret
    lines = outcome.stdout.str() + outcome.stderr.str()
    assert re.search(re.escape(reason).replace(r"\*", ".*"), lines, re.DOTALL), lines


def test_a_run_that_does_not_use_the_plugin_loads_nothing_but_pytest():
    code = "import pytest_simulated_devices.plugin, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"device_bridge", "simulated_devices", "local_agent", "msgspec"} & set(loaded)
