"""live_dashboard as a whole, in this process: messages in; pages, JSON, CSV, frames out; commands, results."""

import asyncio
import contextlib
import json
import socket

import aiohttp
import msgspec
import pytest

from device_bridge import CommandSpec, Parameter, Reading, SettingsError
from device_bridge.messages import ANNOUNCEMENT_TYPE, Announcement, senml
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import IoMessage, address_of
from live_dashboard.service import LiveDashboard
from live_dashboard.settings import DashboardSettings
from live_dashboard.web.security import is_known_host
from pytest_simulated_devices import MemoryLink

from ..descriptors import lack_descriptors
from ..unit.test_process import free_port, until

TOKEN = "0123456789abcdef"  # noqa: S105
RELAY = CommandSpec("relay", (Parameter("value", "boolean"), Parameter("for", range=(1, 60), required=False)))


class Node(MemoryLink):
    """Where messages of other services come from, and commands go."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def put(self, content, infotype=senml.INFO_TYPE):
        self.number += 1
        self.inbox.put_nowait(
            IoMessage(
                id=str(self.number),
                publisher="relays",
                groupid="g",
                sequencenumber=self.number,
                infotype=infotype,
                contentdata=content,
            )
        )

    def readings(self, *readings):
        self.put(senml.encode([Reading(*one, time=1e9) for one in readings], "relays:"))

    def announce(self, **members):
        told = Announcement(service="digital_outputs", microservice="ms-7", source="relays", **members)
        self.put(msgspec.json.encode(told), ANNOUNCEMENT_TYPE)

    @property
    def commands(self):
        return [(address_of(m.tag).recipient, json.loads(m.contentdata)) for m in self.sent if m.tag]


class Page:
    """The page's server as a client sees it."""

    def __init__(self, port, session, node):
        self.port, self.session, self.node = port, session, node

    def get(self, path, **options):
        return self.session.get(f"http://127.0.0.1:{self.port}{path}", **options)

    async def json(self, path):
        async with self.get(path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def until(self, path, wanted):
        async with asyncio.timeout(30):
            while not wanted(found := await self.json(path)):
                await asyncio.sleep(0.01)
        return found

    async def wait_ready(self):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await self.json("/api/status")
                return
            await asyncio.sleep(0.01)

    async def command(self, token=TOKEN, **body):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}/api/commands"
        async with self.session.post(url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@contextlib.asynccontextmanager
async def dashboard(node=None, monkeypatch=None, token="", **settings):
    port = free_port()
    node = node or Node()
    given = {"page": {"port": port, **settings.pop("page", {})}, **settings}
    if monkeypatch:
        monkeypatch.setenv("DASHBOARD_TOKEN", token)

    async def start():
        node.on_config(json.dumps(given))

    node.start = start
    runtime = Runtime(LiveDashboard, SettingsSources(DashboardSettings, file=None, environment={}), node)
    task = asyncio.ensure_future(runtime.run())
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            page = Page(port, session, node)
            await page.wait_ready()
            yield page
    finally:
        runtime.stop()
        await asyncio.wait_for(task, 20)


class Frames:
    """Server-sent events of an open page."""

    def __init__(self, answer):
        self.answer, self.rest = answer, b""

    async def next(self):
        async with asyncio.timeout(30):
            while b"\n\n" not in self.rest:
                data = await self.answer.content.readany()
                assert data, "the stream has ended"
                self.rest += data
        event, self.rest = self.rest.split(b"\n\n", 1)
        return json.loads(event.split(b"data: ", 1)[1])

    async def until(self, wanted):
        while not wanted(frame := await self.next()):
            pass
        return frame


async def test_a_message_is_on_the_page_and_its_changes_follow():
    async with dashboard() as page:
        page.node.readings(("relay", True, ""), ("power", 1.5, "W"))
        found = await page.until("/api/sources", lambda body: body.get("sources"))
        (source,) = found["sources"]
        assert source["name"] == "relays"
        assert [(one["name"], one["value"], one["unit"]) for one in source["quantities"]] == [
            ("relay", True, ""),
            ("power", 1.5, "W"),
        ]
        async with page.get("/api/stream") as answer:
            frames = Frames(answer)
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert [one["name"] for one in (await frames.next())["sources"]] == ["relays"]
            page.node.readings(("power", 2.5, "W"))
            frame = await frames.until(lambda frame: frame.get("readings"))
            (id_, value, rank, _, _) = frame["readings"][0]
            assert (id_, value, rank) == (source["quantities"][1]["id"], 2.5, 0)


async def test_frames_that_end_by_an_unexpected_error_come_again(monkeypatch, caplog):
    real, fails = LiveDashboard._link, []

    def link(service):
        if fails:
            raise fails.pop()
        return real(service)

    monkeypatch.setattr(LiveDashboard, "_link", link)
    async with dashboard() as page:
        async with page.get("/api/stream") as answer:
            await Frames(answer).next()
            fails.append(ZeroDivisionError("unexpected"))
            await until(lambda: "unexpected error" in caplog.text)
        await page.wait_ready()
        async with page.get("/api/stream") as answer:
            frames = Frames(answer)
            page.node.connect(up=False)
            await frames.until(lambda frame: frame.get("link", [True])[0] is False)


async def test_the_page_hears_that_the_node_is_away_and_back():
    async with dashboard() as page, page.get("/api/stream") as answer:
        frames = Frames(answer)
        assert (await frames.next())["link"] == [True, ""]
        page.node.connect(up=False)
        up, reason = (await frames.until(lambda frame: "link" in frame))["link"]
        assert (up, "node is down" in reason) == (False, True)
        page.node.connect(up=True)
        assert (await frames.until(lambda frame: "link" in frame))["link"] == [True, ""]


@pytest.mark.parametrize(
    "path", ["/", "/page/main.js", "/page/style.css", "/api/status", "/api/none", "/page/none.js"]
)
async def test_every_answer_has_the_headers_that_keep_others_out(path):
    async with dashboard() as page, page.get(path) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.status == (404 if "none" in path else 200)


async def test_the_page_asks_for_nothing_from_elsewhere():
    async with dashboard() as page:
        for file in ("/", "/page/main.js", "/page/style.css", "/page/map.js", "/page/chart.js", "/page/outputs.js"):
            async with page.get(file) as answer:
                text = await answer.text()
            assert "http://" not in text.replace("http://www.w3.org/", "")
            assert "https://" not in text
            assert "style=" not in text


@pytest.mark.parametrize(
    "path", ["/page/../service.py", "/page/%2e%2e/service.py", "/page/..%2f..%2f..%2fetc/passwd"]
)
async def test_no_other_file_is_served(path):
    async with dashboard() as page:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        assert answer.split()[1] in (b"403", b"404")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.168.1.20", True),
        ("localhost:8000", True),
        ("edge-01", True),
        ("edge-01.local:80", True),
        ("Plant.Example.com", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.com:8000", False),
        ("evil.com.", False),
        ("local.evil.com", False),
    ],
)
def test_names_of_other_domains_are_not_answered(host, known):
    assert is_known_host(host, ("plant.example.com",)) == known


async def test_a_request_by_another_name_is_refused_with_the_remedy():
    async with dashboard() as page, page.get("/api/sources", headers={"Host": "evil.example.com"}) as answer:
        assert answer.status == 421
        assert "page.names" in await answer.text()


async def test_history_and_exports(tmp_path):
    async with dashboard(history={"directory": str(tmp_path)}) as page:
        page.node.put(senml.encode([Reading("power", 2.0, "W"), Reading("=cmd()", "=1+1", "")], "relays:"))
        found = await page.until("/api/sources", lambda body: body.get("sources"))
        power = found["sources"][0]["quantities"][0]["id"]
        series = await page.json(f"/api/history?quantity={power}&seconds=3600")
        assert (series["step"], series["mean"]) == (10, [2.0])
        async with page.get(f"/api/history.csv?quantity={power}") as answer:
            lines = (await answer.text()).splitlines()
            assert lines[0] == "time,mean,least,greatest,unit,worst quality"
            assert lines[1].endswith("+00:00,2.0,2.0,2.0,W,good")
            assert 'filename="relays-power.csv"' in answer.headers["Content-Disposition"]
        async with page.get("/api/readings.csv") as answer:
            assert "relays,'=cmd(),'=1+1,,good" in await answer.text()
        async with page.get("/api/events.csv") as answer:
            assert ",new,relays,heard for the first time,1" in await answer.text()
        assert [one["kind"] for one in await page.json("/api/events")] == ["new"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?quantity=x", 400),
        ("?quantity=99", 404),
        ("?quantity=1&seconds=nan", 400),
        ("?quantity=1&seconds=-1", 400),
        ("?quantity=1&seconds=1e99", 400),
        ("?quantity=1&until=inf", 400),
        (f"?quantity={'9' * 5000}", 400),
    ],
)
async def test_what_cannot_be_asked_is_an_error_with_a_text(query, status):
    async with dashboard() as page:
        page.node.readings(("power", 1.5, "W"))
        await page.until("/api/sources", lambda body: body.get("sources"))
        async with page.get(f"/api/history{query}") as answer:
            assert answer.status == status
            assert (await answer.json())["error"]


async def answer_commands(node, ok=True, detail="done and read back"):
    await until(lambda: node.commands)
    _, command = node.commands[-1]
    readings = json.loads(senml.encode([Reading("relay", True, time=1e9)], "relays:"))
    result = {"command": command["command"], "id": command["id"], "ok": ok, "detail": detail, "readings": readings}
    node.put(json.dumps(result).encode(), "application/json")


async def with_relay(page):
    page.node.readings(("relay", False, ""))
    page.node.announce(state="reading", commands=(RELAY,))
    found = await page.until("/api/sources", lambda body: body.get("sources", [{}])[0].get("commands"))
    return found["sources"][0]["id"]


async def test_an_output_is_switched_and_what_is_read_back_is_shown(monkeypatch):
    async with dashboard(monkeypatch=monkeypatch, token=TOKEN) as page:
        source = await with_relay(page)
        answering = asyncio.ensure_future(answer_commands(page.node))
        status, body = await page.command(source=source, command="relay", parameters={"value": "on", "for": 5})
        await answering
        assert (status, body["ok"], body["detail"]) == (200, True, "done and read back")
        ((recipient, command),) = page.node.commands
        assert (recipient, command["command"], command["value"], command["for"]) == ("ms-7", "relay", True, 5)
        found = await page.json("/api/sources")
        assert found["sources"][0]["quantities"][0]["value"] is True
        assert (await page.json("/api/events"))[-1]["kind"] == "command"


@pytest.mark.parametrize(
    ("token", "body", "status", "words"),
    [
        ("", {}, 401, "needs the token"),
        ("wrong", {}, 401, "wrong token"),
        ("wröng", {}, 401, "wrong token"),
        (TOKEN, {"parameters": {}}, 422, "relay needs `value`"),
        (TOKEN, {"parameters": {"value": 7}}, 422, "`value` = 7 is not true or false"),
        (TOKEN, {"parameters": {"value": True, "for": 99}}, 422, "from 1 to 60"),
        (TOKEN, {"parameters": {"value": True, "speed": 1}}, 422, "`speed` is unknown"),
        (TOKEN, {"command": "explode"}, 404, "has not announced"),
        (TOKEN, {"source": 99}, 404, "there is no source 99"),
        (TOKEN, {"surprise": 1}, 422, "surprise"),
    ],
)
async def test_what_is_not_allowed_is_not_sent(monkeypatch, token, body, status, words):
    async with dashboard(monkeypatch=monkeypatch, token=TOKEN) as page:
        source = await with_relay(page)
        asked = {"source": source, "command": "relay", "parameters": {"value": True}} | body
        found, answer = await page.command(token, **asked)
        assert (found, words in answer["error"]) == (status, True), answer
        assert not page.node.commands


async def test_without_a_token_nothing_can_be_switched(monkeypatch):
    async with dashboard(monkeypatch=monkeypatch, token="") as page:
        source = await with_relay(page)
        status, answer = await page.command("", source=source, command="relay", parameters={"value": True})
        assert (status, "switching is off" in answer["error"]) == (403, True)
        assert (await page.json("/api/status"))["switching"] is False


async def test_guessing_the_token_is_slowed_down(monkeypatch):
    async with dashboard(monkeypatch=monkeypatch, token=TOKEN) as page:
        statuses = [(await page.command(f"guess-{number}"))[0] for number in range(7)]
        assert statuses == [401] * 5 + [429] * 2


async def test_a_command_without_a_result_says_so(monkeypatch):
    async with dashboard(monkeypatch=monkeypatch, token=TOKEN, switching={"timeout": 0.5}) as page:
        source = await with_relay(page)
        status, answer = await page.command(source=source, command="relay", parameters={"value": True})
        assert (status, "no result within 0.5 s" in answer["error"]) == (504, True)


@pytest.mark.parametrize("token", ["short", "ünicode-is-no-token"])
def test_a_token_that_is_none_is_a_settings_error(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token)
    settings = msgspec.convert({"switching": {"token_file": str(file)}}, DashboardSettings)
    with pytest.raises(SettingsError, match="token of at least 16"):
        LiveDashboard.check_settings(settings)
    settings = msgspec.convert({"switching": {"token_file": str(tmp_path / "none")}}, DashboardSettings)
    with pytest.raises(SettingsError, match="No such file"):
        LiveDashboard.check_settings(settings)


async def test_the_number_of_open_pages_is_limited():
    async with dashboard(page={"clients": 2}) as page, page.get("/api/stream"), page.get("/api/stream"):
        async with page.get("/api/stream") as third:
            assert third.status == 503


async def test_connections_that_say_nothing_leave_room_for_others(monkeypatch):
    monkeypatch.setattr("live_dashboard.web.server._STOP_S", 0.01)
    async with dashboard(page={"clients": 1}) as page, page.get("/api/stream") as answer:
        idle = []
        for _ in range(100):
            connection = socket.create_connection(("127.0.0.1", page.port))
            idle.append(connection)
            await asyncio.sleep(0)
        try:
            assert (await page.json("/api/status"))["clients"] == 1
            page.node.readings(("power", 1.5, "W"))
            await Frames(answer).until(lambda frame: "relays" in json.dumps(frame))
        finally:
            for connection in idle:
                connection.close()


async def test_running_out_of_descriptors_is_reported_once_and_leaves_the_open_page(monkeypatch, caplog):
    monkeypatch.setattr("live_dashboard.web.server._STOP_S", 0.01)
    async with dashboard() as page, page.get("/api/stream") as answer:
        lack_descriptors(monkeypatch)
        idle = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(2)]  # one is accepted as before
        async with aiohttp.ClientSession() as session:
            assert (await Page(page.port, session, page.node).json("/api/status"))["clients"] == 1
        for connection in idle:
            connection.close()
        page.node.readings(("power", 1.5, "W"))
        await Frames(answer).until(lambda frame: "relays" in json.dumps(frame))
    told = [record.getMessage() for record in caplog.records if "served" in record.getMessage()]
    assert told == ["the page cannot be served for now: Too many open files", "the page can be served again"]


async def test_a_page_that_takes_no_frames_is_dropped(monkeypatch):
    monkeypatch.setattr("live_dashboard.web.stream._WRITE_S", 0.5)
    async with dashboard() as page:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", page.port))
        slow.send(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        dropped = None
        async with asyncio.timeout(60):
            while not dropped:
                page.node.put(senml.encode([Reading(f"q{number}", "x" * 200) for number in range(2000)], "relays:"))
                await asyncio.sleep(0.1)
                dropped = (await page.json("/api/status"))["clients_dropped"]
        slow.close()


async def test_the_api_is_as_it_is_documented():
    async with dashboard() as page:
        document = await page.json("/api/openapi.json")
        assert document["openapi"].startswith("3.")
        page.node.readings(("power", 1.5, "W"))
        await page.until("/api/sources", lambda body: body.get("sources"))
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                assert operation["responses"]
                query = "?quantity=1" if "history" in path else ""
                async with page.session.request(method, f"http://127.0.0.1:{page.port}{path}{query}") as answer:
                    assert str(answer.status) in operation["responses"], (path, answer.status)
                    assert answer.content_type in str(operation["responses"]), path
        routes = {"/api/status", "/api/sources", "/api/stream", "/api/history", "/api/commands", "/api/readings.csv"}
        assert routes <= set(document["paths"])


async def test_the_dashboard_reports_on_the_whole_itself():
    async with dashboard(report_interval=1) as page:
        page.node.readings(("a", 1.0))

        def reported():
            packs = [senml.decode(m.contentdata) for m in page.node.sent if m.infotype == senml.INFO_TYPE]
            return {one.name.partition(":")[2]: one.value for pack in packs for one in pack}

        await until(lambda: reported().get("sources") == 1)
        assert reported() == {"sources": 1, "sources_silent": 0, "sources_failing": 0, "messages_missing": 0}


async def test_settings_that_are_refused_are_reported_on_the_page():
    async with dashboard() as page:
        page.node.on_config(json.dumps({"page": {"port": page.port, "title": ""}}))
        events = await page.until("/api/events", lambda events: events)
        assert (events[0]["kind"], "page.title" in events[0]["text"]) == ("refused", True)


async def test_nothing_is_lost_by_new_settings(tmp_path):
    async with dashboard(history={"directory": str(tmp_path)}) as page:
        page.node.readings(("power", 1.5, "W"))
        await page.until("/api/sources", lambda body: body.get("sources"))
        settings = {"page": {"port": page.port, "title": "Other"}, "history": {"directory": str(tmp_path)}}
        page.node.on_config(json.dumps(settings))
        async with asyncio.timeout(30):
            title = ""
            while title != "Other":
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    title = (await page.json("/api/status"))["title"]
        found = await page.json("/api/sources")
        assert found["sources"][0]["quantities"][0]["value"] == 1.5
        assert [one.name for one in tmp_path.iterdir() if one.suffix == ".db"] == ["live_dashboard.history.db"]
