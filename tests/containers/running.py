"""Containers as a node runs them, an emulated device beside them, and an agent in their network."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workspace.images import run_options

AGENT_ID = "2c1b8a5e-0f6d-5e0e-8f37-000000000001"
PORT = 8080
IMAGES = os.environ.get("IMAGES", "")
PLATFORMS = os.environ.get("PLATFORMS", "linux/amd64").split(",")
ON_ARM = os.environ.get("ON_ARM") or "gps_receiver"
"""The service that runs on emulated platforms."""
LEAST = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--no-healthcheck")
_ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


def podman(*arguments, check=True):
    done = subprocess.run(["podman", *arguments], check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(arguments)}: {done.stderr}")
    return done


def eventually(what, seconds=60):
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        if found := what():
            return found
        assert time.monotonic() < deadline, f"not in {seconds} s: {what.__doc__ or what}"
        time.sleep(0.1)  # a poll of another process, which tells nobody when it is ready


@contextlib.contextmanager
def emulated(service):
    """Runs a service's emulator; gives its process id and the settings to reach it.

    It has a network of its own: what it serves there is seen by whoever is let in.
    """
    alone = ["unshare", "--net", sys.executable, str(Path(__file__).with_name("on_loopback.py"))]
    command = [*alone, sys.executable, "-m", f"{service}.emulator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process.pid, json.loads(process.stdout.readline())["settings"]
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def device(service):
    """An emulated device: options that bring it into a container, and the service's settings there."""
    with emulated(service) as (pid, settings):
        yield _passed_in(pid, settings), settings


def _passed_in(pid, settings, name="device"):
    """Options that bring a device into a container under this name; the settings say where it is there."""
    if bridges := settings.get("bridges"):
        return [option for bridge, entry in bridges.items() for option in _passed_in(pid, entry["settings"], bridge)]
    if "broker" in settings:
        return [f"--network=ns:/proc/{pid}/ns/net"]
    if "page" in settings:  # its token and history are on this machine; in the container it has its own folder
        del settings["switching"], settings["history"]
        return []
    if serial := settings.get("serial"):
        pty = Path(serial["port"]).resolve()
        pty.chmod(0o666)
        serial["port"] = f"/dev/{name}"
        return [f"--volume={pty}:/dev/{name}"]
    bus = settings.get("bus") or settings.get("gpio") or settings
    socket = Path(bus["path"].removeprefix("sim:"))
    socket.chmod(0o666)
    socket.parent.chmod(0o755)
    bus["path"] = f"sim:/run/{name}"
    return [f"--volume={socket}:/run/{name}"]


class Container:
    """A running container."""

    def __init__(self, identity):
        self.identity = identity
        self.pid = int(podman("inspect", "--format={{.State.Pid}}", identity).stdout)

    def execute(self, *command):
        return podman("exec", self.identity, *command, check=False)

    def ask(self, path):
        """Status and body of a page of the service, asked for inside the container."""
        done = self.execute("python3", "-c", _ASK, f"http://127.0.0.1:{PORT}{path}")
        if done.returncode:
            return 0, ""
        status, _, body = done.stdout.partition(" ")
        return int(status), body

    def is_ready(self):
        return self.ask("/readyz")[0] == 200

    def metric(self, name):
        lines = self.ask("/metrics")[1].splitlines()
        found = [line for line in lines if line.startswith(f"bridge_{name} ")]
        return float(found[0].split()[1]) if found else 0

    def delivered(self):
        return self.metric("readings_delivered_total")

    @property
    def log(self):
        done = podman("logs", self.identity)
        return done.stdout + done.stderr

    def records(self):
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def terminate(self):
        """SIGTERM; returns seconds until its end, without those that podman takes, and exit status."""
        process = os.pidfd_open(self.pid)
        try:
            began = time.monotonic()
            signal.pidfd_send_signal(process, signal.SIGTERM)
            select.select([process], [], [], 60)
            seconds = time.monotonic() - began
        finally:
            os.close(process)
        return seconds, int(podman("wait", self.identity).stdout)


@contextlib.contextmanager
def container(service, settings, *options, platform="linux/amd64", user="10001:10001"):
    """A container of a service with the least rights within the block, and an agent that has its settings, if any."""
    suffix = platform.removeprefix("linux/").replace("/", "")
    node = ("--add-host=iofog:127.0.0.1", f"--env=SELFNAME={AGENT_ID}", *run_options(platform), f"--user={user}")
    image = f"{IMAGES.format(service)}-{suffix}"
    network = () if any(option.startswith("--network=") for option in options) else ("--network=none",)
    identity = podman("run", "--detach", *LEAST, *network, *node, *options, image).stdout.strip()
    try:
        running = Container(identity)
        if settings is None:
            yield running
            return
        with agent(running.pid, service, settings | {"http": {"port": PORT, "host": "127.0.0.1"}}):
            yield running
    finally:
        podman("rm", "--force", "--volumes", "--time=1", identity)


@contextlib.contextmanager
def agent(pid, service, settings):
    """An agent on the loopback interface of a container, which has no other."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "agent.yaml"
        config.write_text(json.dumps({"microservices": {service: {"id": AGENT_ID, "config": settings}}}))
        command = ["nsenter", f"--target={pid}", "--net", sys.executable, "-m", "local_agent", f"--config={config}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
