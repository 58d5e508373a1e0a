"""Reloads under a storm of commands, and kills of service, guard, or both in any order, with processes.

`make fuzz` does 300 of each in a round. More:
`KILLS=1000 RELOADS=1000 make test ARGS=tests/integration/test_outputs_campaign.py`.
"""

import contextlib
import os
import random
import signal
import time

import pytest
from hypothesis import settings

from .outputs_model import LINES, SETTINGS
from .outputs_processes import Processes

SEED = int(os.environ.get("SEED", "1"))
_IS_LONG = settings.default.max_examples >= 1000
KILLS = int(os.environ.get("KILLS", "300" if _IS_LONG else "6"))
RELOADS = int(os.environ.get("RELOADS", "300" if _IS_LONG else "8"))
SAFE = {"rest"}
_SAFE_S = 10.0
"""Of no matter but to a run that fails; `worst_s` in the output says how long it took."""

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600)]


@pytest.fixture
def world():
    running = Processes()
    yield running
    running.end()


def until_safe(world, allowed=SAFE):
    """Seconds until nothing is on but what may be; None when that is not reached."""
    began = time.monotonic()
    while not world.gpio.on() <= allowed:
        if time.monotonic() > began + _SAFE_S:
            return None
        world.wait(0.002)
    return time.monotonic() - began


def in_use(world, name):
    chip = world.gpio.chips["gpiochip0"]
    return chip.lines[chip.offset(LINES[name])].request is not None


def test_reloads_under_a_storm_of_commands(world):
    rng = random.Random(SEED)
    world.start(SETTINGS["all"])
    was_on = left_on = 0
    for number in range(RELOADS):
        world.storm("pump", rng.uniform(0.02, 0.2))
        world.storm("up", rng.uniform(0.02, 0.2))
        began = time.monotonic()
        while number % 4 == 0 and "pump" not in world.gpio.on() and time.monotonic() < began + _SAFE_S:
            world.storm("pump", 0.01)
            world.wait(0.05)
        world.wait(rng.uniform(0, 0.05))
        was_on += "pump" in world.gpio.on()
        world.reload(SETTINGS["no pump"])
        began = time.monotonic()
        while in_use(world, "pump") and time.monotonic() < began + _SAFE_S:
            world.wait(0.001)
        seen = len(world.gpio.history)
        world.wait(0.02)
        left_on += "pump" in world.gpio.on() or any(
            line == LINES["pump"] and level for _, line, level in world.gpio.history[seen:]
        )
        world.reload(SETTINGS["all"])
        while not in_use(world, "pump") and time.monotonic() < began + 2 * _SAFE_S:
            world.wait(0.001)
    print(
        f"SEED={SEED}: {RELOADS} reloads, {was_on} with the output on, {left_on} left on, {world.gpio.worst} at most"
    )
    assert (left_on, world.gpio.worst) == (0, 1)
    assert was_on


def test_kills_of_service_and_guard(world):
    rng = random.Random(SEED)
    left_on, with_something_on, worst_s, kinds = [], 0, 0.0, {}
    alive, killed = False, set()
    for _ in range(KILLS):
        if not alive:
            world.start(SETTINGS["all"])
            alive = True
            if until_safe(world) is None:  # whatever a life without a guard has left
                left_on.append("at the start")
            if rng.random() < 0.9:  # else it is killed while it opens
                began = time.monotonic()
                while not world.command("pump", {"value": False}, True):
                    assert time.monotonic() < began + 3 * _SAFE_S, "no command is admitted"
                    world.wait(0.005)
        group = rng.choice(["up", "down", "rest"])
        for other in {"up", "down", "rest"} - {group}:
            world.command(other, {"value": False}, True)
        for name in (group, "pump"):
            world.command(name, {"value": True}, rng.random() < 0.7)
        if rng.random() < 0.5:
            world.storm(rng.choice(list(LINES)), 0.05)
        world.wait(rng.choice([0, rng.uniform(0, 0.01), rng.uniform(0, 0.1)]))
        with_something_on += not world.gpio.on() <= SAFE
        kind = rng.choice(["service", "guard", "service, guard", "guard, service", "guard, later service"])
        guards = set(world.guards()) - killed
        if kind == "service" and not guards:
            kind = "guard, service"  # the last one has just been killed
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind.startswith("guard"):
            world.kill_guard()
            killed |= guards
        if kind == "guard, later service":
            began = time.monotonic()
            while not set(world.guards()) - guards - killed and time.monotonic() < began + _SAFE_S:
                world.wait(0.005)
        if kind != "guard":
            world.kill_service()
            alive = False
        if kind == "service, guard":
            for pid in guards:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if kind in ("service", "guard, later service"):
            took_s = until_safe(world)
            left_on += [kind] if took_s is None else []
            worst_s = max(worst_s, took_s or 0.0)
    print(f"SEED={SEED}: {KILLS} kills {kinds}, {with_something_on} with something on, {len(left_on)} left on")
    print(f"at most {world.gpio.worst} of a group on; safe {worst_s * 1000:.0f} ms after a kill at most")
    assert (left_on, world.gpio.worst) == ([], 1)
    assert with_something_on
