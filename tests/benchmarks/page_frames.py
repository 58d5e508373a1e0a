"""The live page in headless Chromium: what an update costs with 200 sources in sight."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from .report import Row, at_most, cannot_run

if TYPE_CHECKING:
    from playwright.async_api import Page

_WIDTH, _HEIGHT, _SCALE = 1440, 14_000, 0.25
"""All cards are in sight, and a picture of them has no more pixels than one of a usual window."""
_COUNT_FRAMES = """
    window.frames = 0;
    const Stream = window.EventSource;
    window.EventSource = class extends Stream {
      constructor(url) {
        super(url);
        this.addEventListener("message", () => window.frames++);
      }
    };
"""
_CANVASES = """() => {
    const rows = new Map(), names = new Map();
    document.body.replaceChildren();
    const stream = new EventSource("/api/stream");
    stream.addEventListener("snapshot", (event) => {
      for (const source of JSON.parse(event.data).sources) for (const one of source.quantities) {
        const [card, value, canvas] = ["div", "p", "canvas"].map((name) => document.createElement(name));
        card.append(source.name, value, canvas);
        canvas.width = 72;
        canvas.height = 26;
        card.style.cssFloat = "left";
        document.body.append(card);
        rows.set(one.id, { value, context: canvas.getContext("2d"), trail: one.trail.map((point) => point[1]) });
      }
    });
    stream.onmessage = (event) => {
      for (const [id, value] of JSON.parse(event.data).readings ?? []) {
        const row = rows.get(id);
        if (!row) continue;
        row.value.textContent = value;
        row.trail = [...row.trail, value].slice(-40);
        row.context.clearRect(0, 0, 72, 26);
        row.context.beginPath();
        row.trail.forEach((at, x) => row.context.lineTo(x * 72 / 40, 26 - at * 26 / 100));
        row.context.stroke();
      }
    };
}"""
_NAME, _GOAL = "processor time of an update of the page, 200 sources in sight", "<= 4 x"


def missing() -> str:
    """What has to be installed before this can run; "" when nothing."""
    if _chromium() is None:
        return "no Chromium (apt-get install chromium, or CHROMIUM=path)"
    try:
        import playwright  # noqa: F401, PLC0415 - in an optional group
    except ImportError:
        return "no Playwright (make browser-test installs it)"
    return ""


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


async def row(url: str, seconds: float) -> Row:
    """The live page against a bare one.

    Parameters:
        url: of a dashboard with 200 sources that send.
        seconds: to measure each for.
    """
    if why := missing():
        return cannot_run(_NAME, why, _GOAL)
    from playwright.async_api import async_playwright  # noqa: PLC0415 - in an optional group

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, device_scale_factor=_SCALE)
        await page.add_init_script(_COUNT_FRAMES)
        await page.goto(url)
        await page.wait_for_selector(".row .value")
        ours = await _ms_per_frame(page, seconds)
        await page.goto(f"{url}api/status")
        await page.evaluate(_CANVASES)
        await page.wait_for_selector("canvas")
        theirs = await _ms_per_frame(page, seconds)
        await browser.close()
    baseline = f"a number and a canvas for each, nothing else: {theirs:.0f} ms"
    return at_most(f"{_NAME} ({ours:.0f} ms)", ours / theirs, "x", baseline, 4)


async def _ms_per_frame(page: Page, seconds: float) -> float:
    """Milliseconds of the processor that the browser, all its processes, needs for one frame of the stream."""
    browser = page.context.browser
    assert browser is not None
    session = await browser.new_browser_cdp_session()

    async def measured() -> tuple[float, int]:
        processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
        return sum(one["cpuTime"] for one in processes), await page.evaluate("frames")

    await asyncio.sleep(seconds / 2)  # until sparklines have their points
    used, frames = await measured()
    await asyncio.sleep(seconds)
    used_after, frames_after = await measured()
    return 1000 * (used_after - used) / (frames_after - frames)
