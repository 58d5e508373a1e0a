"""These tests need Chromium: `make browser-test`. Elsewhere they are not collected."""

import asyncio
import contextlib
import json
import os
import re
from pathlib import Path

import aiohttp
import pytest

from local_agent.ports import free_port

from ..integration.conftest import start  # noqa: F401 - a fixture
from ..services.serving import emulated

collect_ignore_glob = [] if os.environ.get("CHROMIUM") else ["test_*.py"]

TOKEN = "a-token-of-the-tests"  # noqa: S105
SHOTS = Path(__file__).parents[2] / "build" / "browser"
AGENT = """
listen: {{host: 127.0.0.1, port: {port}}}
microservices: {microservices}
routes:
  - {{from: sources, to: dashboard}}
  - {{from: relays, to: dashboard}}
  - {{from: gps, to: dashboard}}
  - {{from: dashboard, to: relays}}
  - {{from: dashboard, to: sources}}
"""
IDS = {
    name: f"00000000-0000-4000-8000-00000000000{at}"
    for at, name in enumerate(("dashboard", "sources", "relays", "gps"))
}


class Site:
    """An agent, services with emulated devices, and a dashboard, all of them processes."""

    def __init__(self, starter, folder):
        self._start, self._folder = starter, folder
        self.port, self.agent_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.stack = contextlib.AsyncExitStack()

    def variables(self, name):
        return {"SELFNAME": IDS[name], "IOFOG_LINK": f"agent://127.0.0.1:{self.agent_port}"}

    async def start_agent(self):
        config = self._folder / "agent.yaml"
        told = json.dumps({name: {"id": id_} for name, id_ in IDS.items()})
        config.write_text(AGENT.format(port=self.agent_port, microservices=told))
        self.agent = await self._start("local_agent", "--config", str(config))

    async def kill_agent(self):
        self.agent.process.kill()
        await self.agent.wait()

    async def start_dashboard(self, **page):
        settings = {
            "page": {"port": self.port, **page},
            "history": {"directory": str(self._folder)},
            "source_timeout": 3,
        }
        file = self._folder / "dashboard.json"
        file.write_text(json.dumps(settings))
        self.dashboard = await self._start(
            "live_dashboard", "--settings", str(file), DASHBOARD_TOKEN=TOKEN, **self.variables("dashboard")
        )
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.url):
                        return
                await asyncio.sleep(0.05)

    async def start_service(self, module, name, **more):
        emulator = await self.stack.enter_async_context(emulated(module))
        file = self._folder / f"{name}.json"
        file.write_text(json.dumps(emulator.settings | {"announce": 1, **more}))
        await self._start(module, "--settings", str(file), **self.variables(name))
        return emulator

    async def start_sources(self, count=3, interval=0.5):
        arguments = ("--sources", str(count), "--interval", str(interval))
        self.sources = await self.stack.enter_async_context(
            emulated("live_dashboard", *arguments, **self.variables("sources"))
        )

    async def json(self, path):
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            return await answer.json()


@pytest.fixture
async def site(start, tmp_path):  # noqa: F811
    made = Site(start, tmp_path)
    async with made.stack:
        await made.start_agent()
        await made.start_dashboard()
        yield made


@pytest.fixture
async def browser():
    from playwright.async_api import async_playwright  # noqa: PLC0415 - in this lane alone

    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        yield made
        await made.close()


class Visitor:
    """Somebody who looks at the page: what the browser has asked for and complained about."""

    def __init__(self, context, page):
        self.context, self.page, self.requests, self.complaints = context, page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    async def text(self, selector):
        return re.sub(r"\s+", " ", await self.page.inner_text(selector))

    async def until(self, condition, timeout_s=60):
        async with asyncio.timeout(timeout_s):
            while not (found := await condition()):
                await asyncio.sleep(0.05)
        return found

    async def until_text(self, selector, text):
        await self.page.wait_for_function(
            "([where, text]) => [...document.querySelectorAll(where)].some((one) => one.textContent.includes(text))",
            arg=[selector, text],
            timeout=40_000,
        )

    async def shoot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=str(SHOTS / f"{name}.png"))


@pytest.fixture
async def visit(browser, site):
    """Opens the page, as on a desktop or on a phone."""
    contexts = []

    async def open_page(*, phone=False, dark=False, still=False, wait=True, width=1440, height=900):
        size = {"width": 390, "height": 844} if phone else {"width": width, "height": height}
        context = await browser.new_context(
            viewport=size,
            is_mobile=phone,
            has_touch=phone,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
            device_scale_factor=2 if phone else 1,
        )
        contexts.append(context)
        page = await context.new_page()
        visitor = Visitor(context, page)
        await page.goto(site.url)
        if wait:
            await page.wait_for_selector(".row", timeout=60_000)
        return visitor

    yield open_page
    for context in contexts:
        await context.close()
