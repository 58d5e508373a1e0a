"""A service tells its version, on its command line and to a scraper."""

import subprocess
import sys

from device_bridge.telemetry.build_info import build_info
from device_bridge.telemetry.metrics import render
from iofog_sdk import __version__


def test_the_command_line_tells_it():
    command = (sys.executable, "-m", "gps_receiver", "--version")
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"gps_receiver {__version__}\n"
    )


def test_a_scraper_finds_it_as_a_label():
    line = f'bridge_build_info{{version="{__version__}",service="gps_receiver"}} 1'
    assert render([build_info("gps_receiver")]).splitlines()[-1] == line
