"""Recordings of real receivers, compared with gpsd's reading of them. Needs NMEA_RECORDINGS=folder."""

import json
import os
import re
from pathlib import Path

import pytest

from gps_receiver.emulator import encode
from gps_receiver.protocol import Decoder, SentenceReader

COMMENTS = re.compile(rb"^#.*\n", re.MULTILINE)
JSON = re.compile(r"\{").match
FOLDER = os.environ.get("NMEA_RECORDINGS", "")
COMPARED = ("ais-nmea", "garmin15x", "magellan-ec10", "nmea-fuzzy-cases", "quectel", "rx210")
"""Those that the folder has are compared."""
pytestmark = pytest.mark.skipif(
    not FOLDER,
    reason="NMEA_RECORDINGS=folder, with gpsd's test/daemon/*.log and .log.chk (apt-get source gpsd)",
)


def fixes(recording: bytes) -> list[tuple[float, float, float | None]]:
    """Latitude, longitude, and altitude where the sentence has one."""
    recording = COMMENTS.sub(b"", recording)  # gpsd's player leaves them out, too
    reader, decoder, found = SentenceReader(), Decoder(), []
    for sentence in reader.feed(recording):
        readings = {r.name: r.value for r in decoder.decode(sentence)}
        if readings.get("lat") is not None:
            found.append((readings["lat"], readings["lon"], readings.get("altitude")))
    assert (reader.checksum_errors, reader.garbled) == (0, 0)
    return found


THERE = sorted(file.name.removesuffix(".log.chk") for file in Path(FOLDER).glob("*.log.chk")) if FOLDER else []


@pytest.mark.parametrize("name", [name for name in COMPARED if name in THERE] or COMPARED[:1])
def test_positions_and_altitudes_are_those_of_gpsd(name):
    ours = fixes((Path(FOLDER) / f"{name}.log").read_bytes())
    lines = (Path(FOLDER) / f"{name}.log.chk").read_text().splitlines()
    reports = [
        report for report in map(json.loads, filter(JSON, lines)) if report["class"] == "TPV" and "lat" in report
    ]
    assert reports
    assert ours
    for report in reports:
        here = [fix for fix in ours if abs(fix[0] - report["lat"]) < 1e-9 and abs(fix[1] - report["lon"]) < 1e-9]
        assert here, report
        # gpsd keeps the altitude of the last GGA while an RMC moves on, so one of our GGAs has it, there or before.
        if "altMSL" in report and any(altitude is not None for *_, altitude in ours):
            assert any(altitude == pytest.approx(report["altMSL"], abs=1e-3) for *_, altitude in ours), report
    for fix in ours:
        assert any(abs(fix[0] - r["lat"]) < 1e-9 and abs(fix[1] - r["lon"]) < 1e-9 for r in reports), fix


def test_binary_frames_invent_nothing_and_a_sentence_after_them_is_found():
    data = (Path(FOLDER) / "bu303-climbing.log").read_bytes()
    reader = SentenceReader()
    assert reader.feed(data) == []
    assert reader.garbled > 0.9 * len(data)
    assert len(reader.feed(encode("GPVTG,1,T,,M,1,N,,K"))) == 1
