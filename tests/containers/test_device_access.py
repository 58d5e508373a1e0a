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


def test_the_wrong_group_is_said_and_tried_again(node):
    with container("gps_receiver", SETTINGS, f"--device={node}:/dev/gps:rw") as running:
        text = eventually(lambda: "permission" in (page := device_of(running)) and page)
        assert "group" in text
        assert "device rule" not in text
        node_in_container = Path(f"/proc/{running.pid}/root/dev/gps")
        os.chown(node_in_container, 0, 10_001)
        eventually(lambda: '"state":"open"' in device_of(running) or '"state":"reading"' in device_of(running), 90)


def test_no_device_rule_is_said_and_tried_again(node):
    with container("gps_receiver", SETTINGS, f"--volume={node}:/dev/gps", user=f"10001:{GROUP}") as running:
        text = eventually(lambda: "permission" in (page := device_of(running)) and page)
        assert "device" in text
        assert "rule" in text
        eventually(lambda: running.metric("device_failures_total") > 1)
