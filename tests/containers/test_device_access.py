"""One device node, an unprivileged user: what opens it, and what a service says when it may not.

The device is a virtual console of this machine, a real terminal behind a real device node.
"""

import os
import stat
from pathlib import Path

import pytest

from .running import PLATFORMS, container, eventually

CONSOLE = os.makedev(4, 60)
GROUP = 20

pytestmark = pytest.mark.skipif(
    "linux/amd64" not in PLATFORMS or not Path("/dev/tty60").exists(), reason="needs the native image and /dev/tty60"
)


@pytest.fixture
def node(tmp_path):
    """A device node as a udev rule leaves it: root:dialout 0660."""
    path = tmp_path / "ttyGPS"
    os.mknod(path, stat.S_IFCHR | 0o660, CONSOLE)
    os.chown(path, 0, GROUP)
    path.chmod(0o660)
    return path


SETTINGS = {"serial": {"port": "/dev/gps"}}


def device_of(running):
    return running.ask("/readyz")[1]


def test_the_right_group_opens_it(node):
    with container("gps_receiver", SETTINGS, f"--device={node}:/dev/gps:rw", user=f"10001:{GROUP}") as running:
        eventually(lambda: '"state":"open"' in device_of(running) or '"state":"reading"' in device_of(running))


NODES = [("gps_receiver", "/dev/gps"), ("climate_sensor", "/dev/i2c-1"), ("digital_inputs", "/dev/gpiochip0")]
INPUTS = {"inputs": [{"kind": "contact", "name": "door", "line": "GPIO17"}]}


def settings_of(service):
    return {"gps_receiver": SETTINGS, "climate_sensor": {}, "digital_inputs": INPUTS}[service]


@pytest.mark.parametrize(("service", "inside"), NODES)
def test_the_wrong_group_is_said(node, service, inside):
    with container(service, settings_of(service), f"--device={node}:{inside}:rw") as running:
        text = eventually(lambda: "permission" in (page := device_of(running)) and page)
        assert f"{inside}: permission: access denied; give the service group {GROUP}" in text


@pytest.mark.parametrize(("service", "inside"), NODES)
def test_no_device_rule_is_said(node, service, inside):
    mounted = f"--volume={node}:{inside}"
    with container(service, settings_of(service), mounted, user=f"10001:{GROUP}") as running:
        text = eventually(lambda: "permission" in (page := device_of(running)) and page)
        assert f"{inside}: permission: the container has no rule for this device" in text
        eventually(lambda: running.metric("device_failures_total") > 1)


def test_it_goes_on_as_soon_as_it_may(node):
    with container("gps_receiver", SETTINGS, f"--device={node}:/dev/gps:rw") as running:
        eventually(lambda: "permission" in device_of(running))
        os.chown(Path(f"/proc/{running.pid}/root/dev/gps"), 0, 10_001)
        eventually(lambda: '"state":"open"' in device_of(running) or '"state":"reading"' in device_of(running), 90)
