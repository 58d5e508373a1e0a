"""What outputs may do whatever happens, as a model: commands, reloads, rules, failing and slow writes, kills.

The chip records every level. Two invariants: never two of a group on, not for a moment; never on though nobody may
have it on. A world is where the service runs: `outputs_in_process` for speed, `outputs_processes` for the real thing.
"""

import errno

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from simulated_devices import SimulatedGpio

LINES = {"up": "GPIO5", "down": "GPIO6", "rest": "GPIO7", "pump": "GPIO17"}
GROUP = ("up", "down", "rest")
CONTACT = "GPIO4"
_UP, _DOWN, _REST, _PUMP = (
    {"name": "up", "line": "GPIO5", "group": "g"},
    {"name": "down", "line": "GPIO6", "group": "g"},
    {"name": "rest", "line": "GPIO7", "group": "g", "safe": True},
    {"name": "pump", "line": "GPIO17"},
)
_RULES = {
    "inputs": [{"kind": "contact", "name": "contact", "line": CONTACT}],
    "rules": [{"reading": "contact", "output": "up", "on_when": True}],
}
SETTINGS = {
    "all": {"outputs": [_REST, _UP, _DOWN, _PUMP], **_RULES},
    "no pump": {"outputs": [_REST, _UP, _DOWN], **_RULES},
    "no group": {"outputs": [_PUMP]},
    "other order": {"outputs": [_PUMP | {"max_on": 1}, _DOWN, _UP, _REST]},
}
_KINDS = {
    "on": {"value": True},
    "for": {"value": True, "for": 0.02},
    "blink": {"on_s": 0.02, "off_s": 0.02, "times": 3},
    "off": {"value": False},
}
STEPS = st.integers(0, 20)
NAMES = st.sampled_from(list(LINES))


class WatchedGpio(SimulatedGpio):
    """An emulated chip that keeps every level with its time, and whose lines fail when they are told to."""

    def __init__(self, path, now_ns):
        super().__init__(path, now_ns)
        self.history, self.worst = [], 0
        self.failing = {}
        """Writes that each line will still refuse, by name."""

    def wire(self):
        self.add("pinctrl-bcm2711", [f"GPIO{n}" for n in range(28)]).on_level = self._look
        return self

    def _look(self, line, level):
        self.history.append((self.now_ns(), line, level))
        self.worst = max(self.worst, sum(self.level(LINES[name]) for name in GROUP))

    def _answer(self, verb, arguments, held):
        if verb == "set":
            name = self.chips["gpiochip0"].lines[held[0][1].offsets[0]].name
            if self.failing.get(name, 0) > 0:
                self.failing[name] -= 1
                raise OSError(errno.EIO, "no")
        return super()._answer(verb, arguments, held)

    def on(self):
        """Outputs that are on."""
        return {name for name, line in LINES.items() if self.level(line)}


class OutputsModel(RuleBasedStateMachine):
    """A subclass has a `make_world`."""

    def __init__(self):
        super().__init__()
        self.world = self.make_world()
        self.may = set()
        """Outputs that somebody has told to be on since they had to be safe last."""
        self.settings, self.contact, self.alive = "all", 0, False
        self.guarded = False
        """Whether a guard has had the time to start since the last one was killed."""

    @initialize()
    def begin(self):
        self.start(0.2)

    def forget(self):
        """Outputs had to be safe; what is under way may still switch them on."""
        self.may = set(self.world.outstanding())

    @precondition(lambda self: not self.alive)
    @rule(seconds=st.sampled_from([0.001, 0.2, 0.2]))
    def start(self, seconds):
        self.may.clear()
        self.world.start(SETTINGS[self.settings])
        self.alive = True
        self.wait(seconds)

    @precondition(lambda self: self.alive)
    @rule(name=NAMES, kind=st.sampled_from(list(_KINDS)), waits=st.booleans())
    def command(self, name, kind, waits):
        if kind != "off":
            self.may.add(name)
            self.world.command(name, _KINDS[kind], waits)
        elif self.world.command(name, _KINDS[kind], True) and name not in self.world.outstanding():
            self.may.discard(name)

    @precondition(lambda self: self.alive)
    @rule()
    def all_safe(self):
        if self.world.command("all_safe", {}, True):
            self.forget()

    @precondition(lambda self: self.alive)
    @rule(name=st.sampled_from(GROUP))
    def change_over(self, name):
        for other in GROUP:
            if other != name:
                self.command(other, "off", True)
        self.command(name, "on", True)

    @precondition(lambda self: self.alive)
    @rule(settings=st.sampled_from(list(SETTINGS)), name=st.sampled_from(["", "pump", "pump", "up"]), steps=STEPS)
    def reload(self, settings, name, steps):
        """Under a storm of commands for an output, or without one."""
        if name:
            self.may.add(name)
            self.world.storm(name, 0.5)
            self.world.moment(steps)
        if settings != self.settings:
            self.settings = settings
            self.world.reload(SETTINGS[settings])
            self.forget()

    @rule(level=st.integers(0, 1))
    def contact_is(self, level):
        self.contact = level
        self.world.drive(CONTACT, level)

    @rule(name=NAMES, refusals=st.sampled_from([0, 1, 3, 1000]), answer_s=st.sampled_from([0, 0, 0.05, 0.4, 1.5]))
    def trouble(self, name, refusals, answer_s):
        """The chip refuses so many writes of a line, and is slow from now on."""
        self.world.gpio.failing[LINES[name]] = refusals
        self.world.slow(answer_s)

    @precondition(lambda self: self.alive)
    @rule(
        whom=st.sampled_from(["service", "guard", "guard, later service", "both"]),
        kind=st.sampled_from(["", "on", "on", "off", "blink"]),
        name=NAMES,
        steps=STEPS,
        refusals=st.sampled_from([0, 0, 0, 2]),
    )
    def kill(self, whom, kind, name, steps, refusals):
        """So many steps after a command has begun; the chip then refuses some writes of its output."""
        if name in GROUP and kind in ("on", "blink"):
            self.change_over(name)
        if kind:
            self.may.add(name)
            self.world.command(name, _KINDS[kind], False)
        self.world.moment(steps)
        self.world.gpio.failing[LINES[name]] = refusals
        if whom != "service":
            self.world.kill_guard()
            self.guarded = False
        if whom == "guard, later service":
            self.wait(1.2)
        if whom != "guard":
            self.world.kill_service()
            self.alive = False

    @rule(steps=STEPS)
    def a_moment(self, steps):
        self.world.moment(steps)

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.2]))
    def wait(self, seconds):
        self.world.wait(seconds)
        self.guarded |= self.alive and seconds > self.world.guard_starts_s

    @rule()
    def settle(self):
        """Nothing fails any more: whatever is on then may be."""
        self.world.gpio.failing.clear()
        self.world.slow(0)
        self.world.settle()
        self.guarded |= self.alive
        assert self.world.gpio.worst <= 1, self.world.gpio.history[-8:]
        on, known = self.world.gpio.on(), {one["name"] for one in SETTINGS[self.settings]["outputs"]}
        if self.alive:
            allowed = {"rest"} | (self.may & known)
            if self.contact and "inputs" in SETTINGS[self.settings]:
                allowed.add("up")
            if self.settings == "other order":
                allowed.discard("pump")  # max_on is over
            assert on <= allowed | self.world.outstanding(), (on, allowed, self.world.gpio.history[-8:])
        elif self.guarded:
            assert on <= {"rest"}, (on, self.world.gpio.history[-8:])

    def teardown(self):
        try:
            self.settle()
            if self.alive:
                self.world.stop()
                assert self.world.gpio.on() <= {"rest"}, self.world.gpio.history[-8:]
                assert self.world.gpio.worst <= 1, self.world.gpio.history[-8:]
        finally:
            self.world.end()
