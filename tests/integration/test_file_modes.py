"""Whatever processes write is closed for other users, also where the umask would leave it open."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

AGENT = """
listen: {port: 0}
microservices:
  gps: {id: aaaa-1, config: {password: x}}
  viewer: {}
routes: [{from: gps, to: viewer}]
"""


@contextlib.contextmanager
def process(*command, **environment):
    """A process with a umask that forbids nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", *command], env=os.environ | environment, umask=0, stdout=-1, stderr=-1
    ) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=30)


def wait_for(condition, running):
    end = time.monotonic() + 60  # of no matter but to a test that fails
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def paths(folder):
    """All that is in a folder in which others write and remove meanwhile."""
    return [Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)]


def open_to_others(folder):
    found = []
    for path in paths(folder):
        with contextlib.suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(f"{path.relative_to(folder)} {mode:o}")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="umask of a child process")
def test_a_services_files_are_its_own(tmp_path):
    state = tmp_path / "state"
    with process(
        "gps_receiver",
        IOFOG_LINK="nats://127.0.0.1:1",
        SETTING_SERIAL__PORT="/dev/none",
        SETTING_OUTBOX__DURABILITY="always",
        STATE_DIRECTORY=str(state),
        HEARTBEAT_FILE=str(tmp_path / "heartbeat"),
    ) as running:
        wait_for(lambda: paths(state) and (tmp_path / "heartbeat").exists(), running)
        assert open_to_others(tmp_path) == []
    assert any(path.is_file() for path in paths(state))
    assert open_to_others(tmp_path) == []


@pytest.mark.skipif(
    not shutil.which("nats-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
    reason="needs nats-server",
)
def test_an_agents_files_are_its_own(tmp_path):
    (tmp_path / "agent.yaml").write_text(AGENT)
    folder = tmp_path / "node"
    folder.mkdir(mode=0o755)
    with process("local_agent", "--config", str(tmp_path / "agent.yaml"), "--edgelet", str(folder)) as running:
        wait_for(lambda: {"token", "nats.conf"} <= {path.name for path in paths(folder)}, running)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert open_to_others(folder) == []
