"""`make demo` without arguments, as a process: its pages, its parts broken and repaired, its counts."""

import asyncio
import re
import sys

import aiohttp

SECONDS = 10
OWN = {"X-Demo": "panel"}


async def test_a_site_whose_parts_are_broken_and_mended_loses_nothing():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo", "--seconds", str(SECONDS)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    text = (await process.stdout.readline()).decode()
    page, panel = re.findall(r"http://[\d.:]+", text)
    rest = asyncio.ensure_future(process.stdout.read())
    async with aiohttp.ClientSession() as session:

        async def state(name, path="state", **options):
            method = session.get if path == "state" else session.post
            async with method(f"{panel}/{path}", **options) as answer:
                parts = (await answer.json())["parts"]
                return next(part for part in parts if part["name"] == name)

        async def until(name, *, good):
            while (await state(name))["good"] is not good:
                await asyncio.sleep(0.05)

        async with session.get(panel) as answer:
            assert page in await answer.text()
        for headers in ({}, OWN | {"Host": "evil.example.com"}):
            async with session.post(f"{panel}/parts/gps/break", headers=headers) as answer:
                assert answer.status == 403
        async with asyncio.timeout(60):
            await until("relays", good=True)
            for name in ("gps", "contacts", "agent", "wire"):
                assert (await state(name, f"parts/{name}/break", headers=OWN))["broken"]
            await until("gps", good=False)
            await until("wire", good=False)
            assert (await state("climate"))["good"]
            for name in ("gps", "contacts", "agent", "wire"):
                await state(name, f"parts/{name}/repair", headers=OWN)
            await until("gps", good=True)
            await until("wire", good=True)
            async with session.get(page) as answer:
                assert answer.status == 200
    shown = (await rest).decode()
    assert await process.wait() == 0, shown
    assert "ok: none lost" in shown
