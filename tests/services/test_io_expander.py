"""I/O expanders: inputs, outputs by command, the safe state, resets, short circuits."""

import asyncio
import contextlib

import pytest

from device_bridge import Command, CommandError, Quality, SettingsError
from device_bridge.buses import LineConfig
from io_expander.chip import EXPANDERS, GPIO, GPPU, IODIR, OLAT
from io_expander.emulator import CHIPS, Mcp23017Chip, Pcf8574Chip
from io_expander.service import IoExpander
from simulated_devices import NoAcknowledge, SimulatedGpio, SimulatedI2cBus

from ..movable_clock import now_ns
from .serving import bridging, emulated, reachable, settings_of

pytestmark = pytest.mark.clock("movable")


class Watched(Mcp23017Chip):
    """Knows which levels its lines had, as soon as a register was written."""

    def __init__(self):
        self.history = []
        super().__init__()

    def store(self, register, value):
        super().store(register, value)
        self.history.append((self.word(IODIR), self.levels))


@contextlib.asynccontextmanager
async def expander(folder, chip="mcp23017", emulated=None, **members):
    bus = SimulatedI2cBus(folder / "bus")
    bus.add("x", 0x20, emulated or CHIPS[chip]())
    a, b, out = (EXPANDERS[chip].lines[n] for n in (0, 1, -1))
    lines = {
        "inputs": [{"line": a, "name": "door", "active_low": True}, {"line": b, "name": "level"}],
        "outputs": [{"line": out, "name": "pump"}],
    }
    members = {"chip": chip, "interval": 0.01, "watchdog": False} | lines | members
    members["bus"] = {"path": f"sim:{bus.path}"} | members.get("bus", {})
    async with reachable(bus):
        async with bridging(IoExpander, settings_of(IoExpander, **members)) as bridged:
            yield bus, bridged, bus.places["x"].chip


def values(found):
    return {name: reading.value for name, reading in found.items()}


BOTH = pytest.mark.parametrize("chip", list(CHIPS))


@BOTH
async def test_all_is_reported_first_and_then_what_changes(chip, tmp_path):
    async with expander(tmp_path, chip) as (bus, bridged, _emulated):
        assert values(await bridged.sample()) == {"door": False, "level": True, "pump": False}
        first, second = EXPANDERS[chip].lines[:2]
        bus.execute(f"set {first} 0")
        assert values(await bridged.sample()) == {"door": True}
        bus.execute(f"set {second} 0")
        assert values(await bridged.sample()) == {"level": False}
        bus.execute(f"set {first} -1")
        assert values(await bridged.sample()) == {"door": False}


async def test_all_is_reported_again_from_time_to_time(tmp_path):
    async with expander(tmp_path, report_interval=0.1) as (_, bridged, _chip):
        for _ in range(3):
            assert set(await bridged.sample()) == {"door", "level", "pump"}


async def test_a_bounce_is_not_reported(tmp_path):
    async with expander(tmp_path, debounce=0.3) as (bus, bridged, _emulated):
        await bridged.sample()
        reads = bridged.bridge.counters()["i2c_transfers"]
        for level in (0, -1, 0, -1) * 3:
            bus.execute(f"set A0 {level}")
            while bridged.bridge.counters()["i2c_transfers"] < reads + 2:
                await asyncio.sleep(0.001)
            reads = bridged.bridge.counters()["i2c_transfers"]
        assert bridged.samples.empty()
        bus.execute("set A0 0")
        assert values(await bridged.sample()) == {"door": True}


@BOTH
async def test_by_interrupt_a_change_is_reported_at_once_and_a_missed_edge_heals(chip, tmp_path):
    gpio = SimulatedGpio(tmp_path / "gpio", now_ns)
    gpio.add("pinctrl-bcm2711", ["", "INT"])
    emulated = CHIPS[chip]()
    emulated.on_interrupt = lambda level: gpio.drive("INT", level)
    wired = {"interrupt": {"line": "INT"}, "gpio": {"path": f"sim:{gpio.path}"}, "interval": 60}
    async with gpio.serving(), expander(tmp_path, chip, emulated, **wired) as (bus, bridged, _):
        await bridged.sample()
        first = EXPANDERS[chip].lines[0]
        for value in (True, False, True):
            bus.execute(f"set {first} {0 if value else -1}")
            assert values(await bridged.sample()) == {"door": value}
        emulated.on_interrupt = lambda level: None
        bus.execute(f"set {first} -1")
        assert values(await bridged.sample()) == {"door": False}


@BOTH
async def test_a_command_switches_and_is_read_back(chip, tmp_path):
    async with expander(tmp_path, chip) as (_, bridged, emulated):
        await bridged.sample()
        for value, level in ((True, 1), (0, 0), (1, 1), (False, 0), ("ON", 1), ("off", 0)):
            result = await bridged.bridge.execute(Command(name="pump", parameters={"value": value}))
            assert (result.ok, result.detail) == (True, "switched and read back")
            assert [(r.name, r.value) for r in result.readings] == [("pump", bool(level))]
            assert emulated.levels >> (len(EXPANDERS[chip].lines) - 1) == level
            assert values(await bridged.sample()) == {"pump": bool(level)}


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("door", {"value": True}, "Known are pump"),
        ("pump", {"value": "perhaps"}, "is not true or false"),
        ("pump", {"value": 2}, "is not true or false"),
        ("pump", {"value": float("nan")}, "is not true or false"),
        ("pump", {}, "needs `value`"),
        ("pump", {"value": True, "for": 3}, "`for` is unknown"),
    ],
)
async def test_a_wrong_command_is_refused(name, parameters, words, tmp_path):
    async with expander(tmp_path) as (_, bridged, _chip):
        await bridged.sample()
        result = await bridged.bridge.execute(Command(name=name, parameters=parameters))
        assert not result.ok
        assert words in result.detail


class Refusing:
    """An emulated chip that does not acknowledge some writes to its outputs: before it has done them, or after."""

    def __init__(self, chip):
        self.chip, self.refuse, self.done_first = chip, 0, False
        self.seen = []
        inner = chip.write

        def write(data):
            if self.refuse and self._drives(data):
                self.refuse -= 1
                if self.done_first:
                    inner(data)
                raise NoAcknowledge
            inner(data)
            self.seen.append(chip.levels)

        chip.write = write

    def _drives(self, data):
        return data[0] == OLAT and len(data) > 1 if isinstance(self.chip, Mcp23017Chip) else bool(data)


@BOTH
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_command_that_failed_is_not_done_later_and_other_outputs_stay(chip, done_first, tmp_path):
    lines = EXPANDERS[chip].lines
    outputs = [{"line": lines[-1], "name": "pump"}, {"line": lines[-2], "name": "lamp"}]
    emulated = CHIPS[chip]()
    retries = {"retries": {"no_acknowledge": 0}}
    async with expander(tmp_path, chip, emulated, outputs=outputs, bus=retries) as (_, bridged, _emulated):
        await bridged.sample()
        assert (await bridged.bridge.execute(Command(name="lamp", parameters={"value": True}))).ok
        refusing = Refusing(emulated)
        refusing.refuse, refusing.done_first = 1, done_first
        assert not (await bridged.bridge.execute(Command(name="pump", parameters={"value": True}))).ok
        pump, lamp = (1 << len(lines) - 1, 1 << len(lines) - 2)
        refusing.seen.clear()
        async with asyncio.timeout(10):
            while not any(levels & (pump | lamp) == lamp for levels in refusing.seen):  # it has been put right
                await asyncio.sleep(0.005)
        for _ in range(3):  # and stays so over the checks of a second each
            before = len(refusing.seen)
            while len(refusing.seen) == before:
                await asyncio.sleep(0.005)
        assert all(levels & lamp for levels in refusing.seen), "the lamp has nothing to do with it"
        assert emulated.levels & (pump | lamp) == lamp
        assert bridged.bridge.failures == 0, "nothing was reset"


@BOTH
async def test_checks_never_undo_a_command(chip, tmp_path):
    async with expander(tmp_path, chip, interval=0.002) as (_, bridged, emulated):
        await bridged.sample()
        service = bridged.bridge._service
        checking = asyncio.ensure_future(_check_for_ever(service.chip))
        try:
            for n in range(100):
                value = bool(n % 2)
                assert (await bridged.bridge.execute(Command(name="pump", parameters={"value": value}))).ok
                await asyncio.sleep(0)
                assert emulated.levels >> (len(EXPANDERS[chip].lines) - 1) & 1 == value
            assert not checking.done(), "no check has failed"
        finally:
            checking.cancel()


async def _check_for_ever(chip):
    while True:
        await chip.check()


@BOTH
async def test_nothing_is_driven_once_closing_has_begun(chip, tmp_path):
    async with expander(tmp_path, chip) as (_, bridged, emulated):
        await bridged.sample()
        service = bridged.bridge._service
        command = Command(name="pump", parameters={"value": True})
        closing = asyncio.ensure_future(service.chip.close(keep=False))
        await asyncio.sleep(0)
        with pytest.raises(CommandError, match="being closed"):
            await service.execute(command)
        await closing
    assert not emulated.levels >> (len(EXPANDERS[chip].lines) - 1) & 1


async def test_an_interrupt_line_that_stays_low_is_read_at_the_interval(tmp_path, caplog):
    gpio = SimulatedGpio(tmp_path / "gpio", now_ns)
    gpio.add("pinctrl-bcm2711", ["", "INT"])
    gpio.drive("INT", 0)
    wired = {"interrupt": {"line": "INT"}, "gpio": {"path": f"sim:{gpio.path}"}, "interval": 0.05}
    async with gpio.serving(), expander(tmp_path, **wired) as (bus, bridged, _):
        await bridged.sample()
        before, began = bus.transfers, asyncio.get_running_loop().time()
        while bus.transfers < before + 40:
            await asyncio.sleep(0.01)
        lasted_s = asyncio.get_running_loop().time() - began
        assert lasted_s > 0.8, "40 reads, 20 a second (one in a second is a check)"
        bus.execute("set A0 0")
        assert values(await bridged.sample()) == {"door": True}
    assert caplog.text.count("stays low") == 1


async def test_without_its_interrupt_line_a_chip_is_read_at_the_interval(tmp_path, caplog):
    gpio = SimulatedGpio(tmp_path / "gpio", now_ns)
    chip = gpio.add("pinctrl-bcm2711", ["", "INT"])
    taken = chip.request([1], LineConfig()._asdict(), 16, "w1-gpio")
    emulated = Mcp23017Chip()
    emulated.on_interrupt = lambda level: gpio.drive("INT", level)
    wired = {"interrupt": {"line": "INT"}, "gpio": {"path": f"sim:{gpio.path}"}, "interval": 0.02}
    async with gpio.serving(), expander(tmp_path, emulated=emulated, **wired) as (bus, bridged, _):
        await bridged.sample()
        bus.execute("set A0 0")
        assert values(await bridged.sample()) == {"door": True}
        assert "in use by w1-gpio" in caplog.text
        taken.release()
        async with asyncio.timeout(10):
            while not next(m.value for m in bridged.metrics() if m.name == "bridge_member_up"):
                await asyncio.sleep(0.01)


@BOTH
async def test_a_short_circuit_is_reported(chip, tmp_path):
    async with expander(tmp_path, chip) as (bus, bridged, _):
        await bridged.sample()
        out = EXPANDERS[chip].lines[-1]
        bus.execute(f"set {out} 0")
        result = await bridged.bridge.execute(Command(name="pump", parameters={"value": True}))
        assert (result.ok, "driven high, yet it is low" in result.detail) == (False, True)
        found = (await bridged.sample())["pump"]
        assert (found.value, found.quality) == (False, Quality.UNCERTAIN)
        bus.execute(f"set {out} -1")
        found = (await bridged.sample())["pump"]
        assert (found.value, found.quality) == (True, Quality.GOOD)


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("active_low", [False, True])
async def test_outputs_are_safe_from_the_first_instant_and_at_the_end(tmp_path, safe, active_low):
    output = {"line": "B7", "name": "pump", "active_low": active_low, "safe": safe}
    level = safe != active_low
    async with expander(tmp_path, emulated=Watched(), outputs=[output]) as (_, bridged, emulated):
        assert (await bridged.sample())["pump"].value is safe
        driven = [levels >> 15 & 1 for directions, levels in emulated.history if not directions >> 15 & 1]
        assert set(driven) == {level}
        await bridged.bridge.execute(Command(name="pump", parameters={"value": not safe}))
        assert emulated.levels >> 15 & 1 == (not level)
    assert emulated.levels >> 15 & 1 == level


async def test_outputs_can_be_kept_at_the_end(tmp_path):
    async with expander(tmp_path, on_stop="keep") as (_, bridged, emulated):
        await bridged.sample()
        await bridged.bridge.execute(Command(name="pump", parameters={"value": True}))
    assert emulated.levels >> 15 & 1


async def test_lines_without_an_entry_are_inputs(tmp_path):
    async with expander(tmp_path) as (_, bridged, emulated):
        await bridged.sample()
        assert emulated.word(IODIR) == 0x7FFF
        assert emulated.word(GPPU) == 0x0003


async def test_a_reset_is_noticed_and_outputs_are_safe_then(tmp_path):
    async with expander(tmp_path) as (bus, bridged, emulated):
        await bridged.sample()
        await bridged.bridge.execute(Command(name="pump", parameters={"value": True}))
        bus.execute("reset x")
        found = await bridged.sample(lambda found: found.get("door") and found["door"].value is None)
        assert "it was reset" in found["door"].reason
        found = await bridged.sample(lambda found: found["pump"].value is not None)
        assert values(found) == {"door": False, "level": True, "pump": False}
        assert emulated.word(IODIR) == 0x7FFF


async def test_a_reset_of_a_chip_that_cannot_tell_is_made_good(tmp_path):
    async with expander(tmp_path, "pcf8574") as (bus, bridged, emulated):
        await bridged.sample()
        bus.execute("reset x")
        assert emulated.levels >> 7
        while emulated.levels >> 7:
            await asyncio.sleep(0.01)


@BOTH
async def test_a_chip_that_goes_and_comes_again(chip, tmp_path):
    async with expander(tmp_path, chip) as (bus, bridged, _):
        await bridged.sample()
        bus.execute("absent x on")
        found = await bridged.sample(lambda found: found["door"].value is None)
        assert "nothing answers" in found["door"].reason
        bus.execute("absent x off")
        await bridged.sample(lambda found: found["door"].value is not None)


async def test_another_chip_is_reported(tmp_path):
    stranger = Pcf8574Chip()
    async with expander(tmp_path, emulated=stranger) as (_, bridged, _chip):
        found = await bridged.sample()
        assert "another chip is there" in found["door"].reason


async def test_ending_without_the_chip_is_logged(tmp_path, caplog):
    async with expander(tmp_path) as (bus, bridged, _):
        await bridged.sample()
        bus.execute("absent x on")
    assert "could not be brought into their safe state" in caplog.text


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "inputs"),
        ({"inputs": [{"line": "A8"}]}, "inputs.line"),
        ({"chip": "pcf8574", "outputs": [{"line": "A0"}]}, "outputs.line"),
        ({"inputs": [{"line": "A0"}], "outputs": [{"line": "A0", "name": "x"}]}, "outputs"),
        ({"inputs": [{"line": "A0", "name": "x"}, {"line": "A1", "name": "x"}]}, "inputs"),
        ({"inputs": [{"line": "A0", "name": "A1"}, {"line": "A1", "name": "x"}]}, "inputs"),
        ({"inputs": [{"line": "A0"}], "address": "0x80"}, "address"),
    ],
)
def test_wrong_settings_name_the_field(members, field):
    with pytest.raises(SettingsError) as caught:
        IoExpander.check_settings(settings_of(IoExpander, **members))
    assert field in caught.value.field


def test_the_old_name_of_on_stop_is_accepted():
    assert settings_of(IoExpander, inputs=[{"line": "A0"}], at_end="keep").on_stop == "keep"


def test_the_emulated_mcp23017_is_the_data_sheets():
    chip = Mcp23017Chip()
    assert chip.word(IODIR) == 0xFFFF, "all inputs after power-on (table 3-3)"
    chip.write(bytes([GPIO, 0xA5, 0x5A]))
    assert chip.word(OLAT) == 0x5AA5, "a write to GPIO goes to OLAT (section 3.5.10)"
    assert chip.levels == 0, "an input without a pull-up reads low here"
    chip.write(bytes([IODIR, 0, 0]))
    assert chip.levels == 0x5AA5
    chip.write(bytes([OLAT + 1]))
    assert chip.read(3) == bytes([0x5A, 0, 0]), "from the last register to the first"
    with pytest.raises(ValueError, match="1, 0 or -1"):
        chip.set("A0", 2)
    with pytest.raises(KeyError, match="B7"):
        chip.set("C0", 1)


@pytest.mark.clock("real")
@BOTH
async def test_the_emulators_process_says_how_to_reach_it(chip):
    async with emulated("io_expander", "--profile", chip) as emulator:
        async with bridging(IoExpander, settings_of(IoExpander, **emulator.settings)) as bridged:
            await bridged.sample(lambda found: found.get("contact") and found["contact"].value is True)
            await bridged.sample(lambda found: found.get("contact") and found["contact"].value is False)


async def test_levels_of_a_chip_that_was_reset_are_never_reported(tmp_path):
    """Its pull-ups are off then, and its inputs read low until somebody notices."""
    async with expander(tmp_path, "mcp23017") as (bus, bridged, _):
        assert values(await bridged.sample()) == {"door": False, "level": True, "pump": False}
        bus.execute("reset x")
        lost = await bridged.sample()
        assert {(reading.value, reading.quality) for reading in lost.values()} == {(None, Quality.BAD)}
        assert values(await bridged.sample()) == {"door": False, "level": True, "pump": False}


async def test_a_command_to_a_chip_that_was_reset_has_failed(tmp_path):
    async with expander(tmp_path, "mcp23017", interval=10, report_interval=100) as (bus, bridged, _):
        await bridged.sample()
        bus.execute("reset x")
        result = await bridged.bridge.execute(Command(name="pump", parameters={"value": False}))
        assert (result.ok, "it was reset" in result.detail) == (False, True)
