"""Every service's image with the least rights: it gets ready, delivers, and ends when told to."""

import os
from pathlib import Path

import pytest

from workspace.images import PYTHON, architecture, facts_of
from workspace.members import service_names

from .base import OUTSIDE, OUTSIDE_SERVICES
from .running import IMAGES, ON_ARM, PLATFORMS, container, device, eventually, podman

SERVICES = service_names(Path(__file__).parents[2])
CASES = [(service, each) for each in PLATFORMS for service in (SERVICES if each == "linux/amd64" else [ON_ARM])]
OWN_LIBRARIES = {"live_dashboard": 4_000_000}
"""Bytes of what one service alone needs: aiohttp."""
natively = pytest.mark.skipif("linux/amd64" not in PLATFORMS, reason="shown once, natively")


@pytest.mark.parametrize(("service", "platform"), CASES)
def test_readings_arrive_and_none_is_lost_at_the_end(service, platform):
    with device(service) as (options, settings):
        with container(service, settings, *options, platform=platform) as running:
            eventually(running.is_ready)
            eventually(running.delivered)
            assert eventually(lambda: running.execute("/app/healthy").returncode == 0)
            seconds, status = running.terminate()
            assert (seconds < 5, status) == (True, 0), running.log
            counts = running.records()[-1]
    assert counts["read"] == counts["delivered"] > 0
    assert counts["buffered"] == counts["dropped"] == 0


@pytest.mark.parametrize(("service", "platform"), CASES)
def test_an_image_is_small_and_is_mostly_what_all_share(service, platform):
    facts = facts_of("podman", f"{IMAGES.format(service)}-{architecture(platform)}")
    own = OWN_LIBRARIES.get(service, 0)
    assert facts.packed < 20_000_000 + own
    assert facts.layers[-1].packed < 1_000_000 + own
    assert facts.user == "10001:10001"


@natively
@pytest.mark.parametrize("service", OUTSIDE_SERVICES)
def test_a_service_of_a_project_outside_delivers(service, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(OUTSIDE / "services"))  # of its emulator
    with device(service) as (options, settings), container(service, settings, *options) as running:
        eventually(running.delivered)
    assert facts_of("podman", f"{IMAGES.format(service)}-amd64").packed < 20_000_000


@pytest.mark.parametrize("platform", PLATFORMS)
def test_its_interpreter_is_the_one_that_images_ship(platform):
    image = f"{IMAGES.format(ON_ARM)}-{architecture(platform)}"
    ask = ("-c", "import platform; print(*platform.python_version_tuple()[:2], sep='.')")
    version = podman("run", "--rm", "--network=none", "--no-healthcheck", "--entrypoint=python3", image, *ask).stdout
    assert f":{version.strip()}-" in PYTHON


@natively
def test_without_its_device_it_is_healthy_but_not_ready():
    with container("gps_receiver", {"serial": {"port": "/dev/gps"}}) as running:
        status, body = eventually(lambda: (page := running.ask("/readyz"))[0] and page)
        assert status == 503
        assert "not found" in body
        assert eventually(lambda: running.execute("/app/healthy").returncode == 0)
        eventually(lambda: '"up":true' in running.ask("/readyz")[1])
        seconds, status = running.terminate()
        assert (seconds < 5, status) == (True, 0)
        assert len([record for record in running.records() if "not found" in record["message"]]) == 1


@natively
def test_what_a_missing_agent_could_not_take_is_delivered_by_the_next_container():
    with device("gps_receiver") as (options, settings):
        options += [f"--volume=bridge-test-{os.getpid()}:/var/lib/bridge"]
        alone = ("SETTING_SERIAL__PORT=/dev/device", "SETTING_HTTP__PORT=8080")
        try:
            with container("gps_receiver", None, *options, *(f"--env={each}" for each in alone)) as running:
                eventually(lambda: running.metric("readings_buffered") > 10)
                seconds, status = running.terminate()
                assert (seconds < 5, status) == (True, 0), running.log
                kept = running.records()[-1]["buffered"]
            assert kept > 10
            with container("gps_receiver", settings, *options) as running:
                eventually(lambda: running.delivered() >= kept)
                assert running.metric("readings_recovered_total") == kept
        finally:
            podman("volume", "rm", "--force", f"bridge-test-{os.getpid()}")


@natively
def test_a_read_only_root_without_a_volume_keeps_messages_in_memory():
    with device("gps_receiver") as (options, settings):
        with container("gps_receiver", settings, *options) as running:
            eventually(running.delivered)
            assert running.terminate()[1] == 0


@natively
def test_it_runs_as_nobody_in_particular():
    with container("gps_receiver", {"serial": {"port": "/dev/gps"}}) as running:
        status = Path(f"/proc/{running.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] == "10001"
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
        wrote = running.execute("python3", "-c", "open('/app/x', 'w')")
        assert "Read-only file system" in wrote.stderr
