"""Hooks and fixtures; all else is imported when a test asks for it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from .transcript import Transcript

if TYPE_CHECKING:
    from .devices.gpio_chip import GpioChipFixture
    from .devices.i2c_bus import I2cBusFixture
    from .devices.modbus_unit import ModbusUnitFixture
    from .devices.serial_device import SerialDeviceFixture
    from .hardware import Devices, RealBus
    from .movable_clock import Clock
    from .nodes.agent import LocalAgentFixture
    from .nodes.broker import MqttBrokerFixture
    from .received import Received
    from .running_service import RunningServiceFixture

_TRANSCRIPT = pytest.StashKey[Transcript]()
_DEVICES = pytest.StashKey["Devices"]()
_MARKER = "needs_bus"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option `--devices`."""
    parser.getgroup("simulated devices").addoption(
        "--devices",
        default="simulated",
        metavar="simulated|kernel|board:FILE",
        help="which real devices tests marked needs_bus may use: none (default), i2c-stub and gpio-sim of the "
        "kernel, or those that a TOML file names",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Markers, and what the option allows."""
    config.addinivalue_line("markers", "needs_bus(name): needs a real `serial`, `i2c` or `gpio` bus; see --devices")
    config.addinivalue_line(
        "markers", "clock(name, ...): the clocks that a test runs on, `movable` or `real`, or one after the other"
    )
    if (option := config.getoption("--devices")) != "simulated":
        from .hardware import DevicesError, parse_devices  # noqa: PLC0415 - most runs have simulated devices only

        try:
            config.stash[_DEVICES] = parse_devices(option)
        except DevicesError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_asyncio_loop_factories(item: pytest.Function) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A movable clock for tests that ask for the fixture `clock`, and for the marker's names."""
    marker = item.get_closest_marker("clock")
    names = marker.args if marker else ("movable",) if "clock" in item.fixturenames else ("real",)
    return {name: _loop_factory(name) for name in names}


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "real":
        return asyncio.new_event_loop
    if name != "movable":
        raise pytest.UsageError(f"the marker clock({name!r}): write movable or real")
    from .movable_clock import MovableClockLoop  # noqa: PLC0415

    return MovableClockLoop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips tests whose bus is not there."""
    for item in items:
        for bus in _buses_of(item):
            if reason := _devices(config).find(bus).missing:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attaches the transcript to the report of a failed test."""
    report = yield
    transcript = item.stash.get(_TRANSCRIPT, None)
    if report.failed and transcript is not None and (text := transcript.text()):
        report.sections.append(("transcript of buses and messages", text))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says when no test has touched a real device though some should."""
    counts = {
        outcome: sum(
            _MARKER in report.keywords
            for report in terminalreporter.getreports(outcome)
            if hasattr(report, "keywords")
        )
        for outcome in ("skipped", "passed", "failed", "error")
    }
    if counts["skipped"] and not (counts["passed"] or counts["failed"] or counts["error"]):
        count = counts["skipped"]
        what = "the only test" if count == 1 else f"all {count} tests"
        terminalreporter.line(f"devices: {what} on real buses did not run; nothing was tested on hardware")


def _devices(config: pytest.Config) -> Devices:
    if _DEVICES not in config.stash:
        from .hardware import SimulatedDevices  # noqa: PLC0415

        config.stash[_DEVICES] = SimulatedDevices()
    return config.stash[_DEVICES]


def _buses_of(item: pytest.Item) -> list[str]:
    """The buses that a test's markers name. Raises UsageError for one that is not known."""
    buses = [bus for marker in item.iter_markers(_MARKER) for bus in marker.args]
    for bus in buses:
        if bus not in ("serial", "i2c", "gpio"):
            raise pytest.UsageError(f"{item.nodeid}: needs_bus({bus!r}): write serial, i2c or gpio")
    return buses


@pytest.fixture
def device_transcript(request: pytest.FixtureRequest) -> Transcript:
    """What happens on buses and is sent to the node; shown with a failure."""
    transcript: Transcript = request.node.stash.setdefault(_TRANSCRIPT, Transcript())
    return transcript


@pytest.fixture
def device_folder() -> Iterator[Path]:
    """A folder with a short path, whatever that of `tmp_path`: those of sockets have 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="devices-") as folder:
        yield Path(folder)


@pytest.fixture
def clock() -> Clock:
    """A movable clock: intervals, time limits and back-off pass at once."""
    from .movable_clock import Clock  # noqa: PLC0415

    return Clock()


@pytest_asyncio.fixture
async def serial_device(device_folder: Path, device_transcript: Transcript) -> AsyncIterator[SerialDeviceFixture]:
    """A device in software on a serial line."""
    from .devices.serial_device import SerialDeviceFixture  # noqa: PLC0415

    device = SerialDeviceFixture("serial_device", device_folder, device_transcript)
    yield device
    await device.close()


@pytest_asyncio.fixture
async def modbus_unit(device_folder: Path, device_transcript: Transcript) -> AsyncIterator[ModbusUnitFixture]:
    """A Modbus RTU unit with registers, on a serial line of its own."""
    from .devices.modbus_unit import ModbusUnitFixture  # noqa: PLC0415

    folder = device_folder / "modbus"
    folder.mkdir()
    unit = ModbusUnitFixture("modbus_unit", folder, device_transcript)
    yield unit
    await unit.close()


@pytest_asyncio.fixture
async def i2c_bus(device_folder: Path, device_transcript: Transcript) -> AsyncIterator[I2cBusFixture]:
    """An I2C bus with chips in software."""
    from .devices.i2c_bus import I2cBusFixture, reachable  # noqa: PLC0415

    fixture = I2cBusFixture(device_folder, device_transcript)
    async with reachable(fixture.bus):
        yield fixture


@pytest_asyncio.fixture
async def gpio_chip(device_folder: Path, device_transcript: Transcript) -> AsyncIterator[GpioChipFixture]:
    """A GPIO chip in software, with the lines of a Raspberry Pi."""
    from .devices.gpio_chip import GpioChipFixture  # noqa: PLC0415

    fixture = GpioChipFixture(device_folder, device_transcript)
    async with fixture.gpio.serving():
        yield fixture


@pytest_asyncio.fixture
async def received(device_transcript: Transcript) -> Received:
    """What services have sent."""
    from .received import Received  # noqa: PLC0415

    return Received(device_transcript)


@pytest_asyncio.fixture
async def running_service(
    request: pytest.FixtureRequest,
    device_folder: Path,
    device_transcript: Transcript,
    received: Received,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[RunningServiceFixture]:
    """Services under test; a reading that was not declared is an error in them."""
    from .running_service import RunningServiceFixture  # noqa: PLC0415

    monkeypatch.setenv("DEVICE_BRIDGE_STRICT", "1")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    real = request.getfixturevalue("real_bus").paths if _buses_of(request.node) else frozenset()
    services = RunningServiceFixture(device_folder, device_transcript, received, real)
    yield services
    await services.stop()


@pytest.fixture
def real_bus(request: pytest.FixtureRequest) -> Iterator[RealBus]:
    """The real buses that the test's markers name."""
    from .hardware import RealBus  # noqa: PLC0415

    devices = _devices(request.config)
    buses = _buses_of(request.node)
    if not buses:
        raise pytest.UsageError(f'{request.node.nodeid} uses real_bus: mark it with needs_bus("i2c") or another bus')
    with RealBus({bus: devices.find(bus) for bus in buses}).locked() as bus:
        yield bus


def _node_packages() -> None:
    """Fails the test when the packages of the extra `node` are missing."""
    try:
        import local_agent  # noqa: F401, PLC0415
    except ImportError:
        pytest.fail("local_agent is not installed. Try: pip install 'pytest-simulated-devices[node]'", pytrace=False)


@pytest_asyncio.fixture
async def local_agent(device_transcript: Transcript, received: Received) -> AsyncIterator[LocalAgentFixture]:
    """An ioFog agent; `running_service.start(…, node=local_agent)` runs a service on it."""
    _node_packages()
    from .nodes.agent import LocalAgentFixture  # noqa: PLC0415

    agent = LocalAgentFixture(device_transcript, received)
    try:
        await agent.start()
        yield agent
    finally:
        await agent.close()


@pytest_asyncio.fixture
async def mqtt_broker(device_folder: Path, device_transcript: Transcript) -> AsyncIterator[MqttBrokerFixture]:
    """A broker of MQTT 3.1.1."""
    _node_packages()
    from .nodes.broker import MqttBrokerFixture  # noqa: PLC0415

    broker = MqttBrokerFixture(device_folder, device_transcript)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.close()
