"""The local agent's REST half against the observed behaviour of the Java agent, byte for byte."""

import asyncio
import contextlib
import json
import logging

import pytest

from iofog_sdk import IoMessage

OK_MESSAGE = {"publisher": "p", "version": 4, "infotype": "t", "infoformat": "f", "contentdata": "aGk="}


async def exchange(agent, request: bytes) -> bytes:
    """Everything the agent answers until it closes, or until one whole reply has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            return head + await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()
        await writer.wait_closed()


def http(method: str, target: str, body: object = None, content_type: str | None = "application/json") -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.1", "Host: iofog", f"Content-Length: {len(data)}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, "", ""]).encode() + data


async def ask(agent, *args, **kwargs):
    head, _, body = (await exchange(agent, http(*args, **kwargs))).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def without(name, **changes):
    return {key: value for key, value in {**OK_MESSAGE, **changes}.items() if key != name}


REFUSALS = [
    ("POST", "/v2/config/get", {}, 400, "Incorrect content/data"),
    ("POST", "/v2/config/get", {"id": " "}, 400, "Incorrect content/data"),
    ("POST", "/v2/config/get", {"id": None}, 400, "Incorrect content/data"),
    ("POST", "/v2/config/get", {"id": 5}, 400, "Incorrect content/data "),
    ("POST", "/v2/config/get", {"id": "X"}, 400, "No configuration found for the id X"),
    ("POST", "/v2/messages/next", {}, 400, "Incorrect content/data Id value not found "),
    ("POST", "/v2/messages/query", {}, 400, "Incorrect input content/data Error: Missing input field id"),
    (
        *("POST", "/v2/messages/query", {"id": "a", "timeframestart": 1}, 400),
        "Incorrect input content/data Error: Missing input field timeframe start or end",
    ),
    (
        *("POST", "/v2/messages/query", {"id": "a", "timeframestart": 1, "timeframeend": 2}, 400),
        "Incorrect input content/data Error: Missing input field publishers",
    ),
    (
        *("POST", "/v2/messages/query", {"id": "a", "timeframestart": "0", "timeframeend": 2, "publishers": []}, 400),
        "Incorrect input content/data Error: Invalid value of timeframestart",
    ),
    (
        *("POST", "/v2/messages/query", {"id": "a", "timeframestart": 0, "timeframeend": 1.5, "publishers": []}, 400),
        "Incorrect input content/data Error: Invalid value of timeframeend",
    ),
    (
        *("POST", "/v2/messages/query", {"id": " ", "timeframestart": 0, "timeframeend": 1, "publishers": []}, 400),
        "Incorrect input content/data Error: Missing input field value id",
    ),
    ("POST", "/v2/log", {"id": "X"}, 400, "Log message parsing error, Logger initialized null"),
    ("PUT", "/v2/gps", {}, 400, "Not supported method: PUTNot supported method: PUT"),
    ("POST", "/v2/gps", {"lat": 5}, 400, " Error with setting GPS"),
    ("GET", "/v2/config/get", None, 405, ""),
    ("GET", "/v2/messages/new", None, 405, ""),
    ("GET", "/v2/nothing", None, 404, " Request not found "),
    ("POST", "/v2/config/get?x=1", {"id": "X"}, 401, "Incorrect access token"),
    ("GET", "/v2/status", None, 401, "Incorrect access token"),
    ("GET", "/v2/restblue/x", None, 404, '{"error":"unable to reach RESTblue container!"}'),
    *(
        ("POST", "/v2/messages/new", without(name), 400, f"Validation Error, Error: Missing input field {name} ")
        for name in OK_MESSAGE
    ),
    *(
        (
            *("POST", "/v2/messages/new", {**OK_MESSAGE, name: " "}, 400),
            f"Validation Error, Error: Missing input field value {name} ",
        )
        for name in ("publisher", "infotype", "infoformat")
    ),
    *(
        (
            *("POST", "/v2/messages/new", {**OK_MESSAGE, "version": version}, 400),
            "Validation Error, Error: Invalid  value for version",
        )
        for version in ("4", 4.0, True, -4)
    ),
    *(
        (
            *("POST", "/v2/messages/new", {**OK_MESSAGE, name: "x"}, 400),
            f"Validation Error, Error: Invalid  value for field {label} ",
        )
        for name, label in [
            ("sequencenumber", "sequence number"),
            ("sequencetotal", "sequence total"),
            ("priority", "priority"),
            ("chainposition", "chain position"),
            ("difficultytarget", "difficulty target"),
        ]
    ),
]


@pytest.mark.parametrize(("method", "target", "body", "status", "text"), REFUSALS)
async def test_refusals_end_in_the_status_line_and_close(agent, method, target, body, status, text):
    phrase = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}[status]
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    writer.write(http(method, target, body))
    answer = await asyncio.wait_for(reader.read(), 60)  # to the end: the agent closes
    writer.close()
    await writer.wait_closed()
    head, _, received = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert received.decode() == f"{text}{status} {phrase}"


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v2/config/get", b""),
        ("/v2/config/get", b"{"),
        ("/v2/messages/new", b"[]"),
        ("/v2/messages/next", b'"text"'),
    ],
)
async def test_what_is_no_json_object_gets_no_reply_at_all(agent, target, body):
    assert await exchange(agent, http("POST", target, body)) == b""


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        (" application/json ", True),
        ("application/json ;charset=utf-8", False),
        ("text/plain", False),
        (None, False),
    ],
)
async def test_content_type_rule(agent, content_type, accepted):
    status, body = await ask(agent, "POST", "/v2/messages/next", {"id": "x"}, content_type)
    assert (status == 200) is accepted
    if not accepted:
        assert body == f"Incorrect content type {content_type or ''}400 Bad Request"


async def test_method_is_checked_before_the_content_type(agent):
    assert await ask(agent, "GET", "/v2/messages/next", None, "text/plain") == (405, "405 Method Not Allowed")


@pytest.mark.parametrize("target", ["0.0", -1, 5, 5.5])
async def test_difficulty_target_as_loose_as_the_agents(agent, target):
    value = float(target) if isinstance(target, str) else target
    assert (await ask(agent, "POST", "/v2/messages/new", {**OK_MESSAGE, "difficultytarget": value}))[0] == 200


@pytest.mark.parametrize(
    "changes", [{"contentdata": "a-_b"}, {"contentdata": "?"}, {"timestamp": "5"}, {"tag": None}]
)
async def test_what_passes_validation_and_cannot_be_parsed(agent, changes):
    status, body = await ask(agent, "POST", "/v2/messages/new", {**OK_MESSAGE, **changes})
    assert status == 400
    assert body.startswith(" Message Parsing Error, ")


async def test_config_is_json_text_in_a_string_without_content_type(agent):
    agent.set_config("device", {"a": 1})
    answer = await exchange(agent, http("POST", "/v2/config/get", {"id": agent.id_of("device")}))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type" not in head.lower()
    assert json.loads(body) == {"status": "okay", "config": '{"a":1}'}


async def test_edge_resources_alone_have_a_content_type(agent):
    head, _, body = (await exchange(agent, http("GET", "/v2/edgeResources/x", None, None))).partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {"edgeResources": "[]"}


async def test_gps_takes_and_gives_text(agent):
    assert await ask(agent, "GET", "/v2/gps", None, "text/plain") == (400, "Incorrect content type 400 Bad Request")
    assert await ask(agent, "POST", "/v2/gps", {"lat": "53.5", "lon": "9.9"}) == (200, '{"status":"okay"}')
    assert json.loads((await ask(agent, "GET", "/v2/gps"))[1])["lat"] == "53.5"


async def test_log_needs_a_known_id(agent):
    body = {"id": agent.id_of("device"), "type": "info", "message": "hello"}
    assert await ask(agent, "POST", "/v2/log", body) == (200, '{"status":"okay"}')


async def test_new_next_and_query(agent):
    device, viewer = agent.id_of("device"), agent.id_of("viewer")
    mine = {**OK_MESSAGE, "publisher": device, "id": "overwritten", "timestamp": 1, "priority": 300}
    stamped = json.loads((await ask(agent, "POST", "/v2/messages/new", mine))[1])
    assert len(stamped["id"]) == 32
    waiting = json.loads((await ask(agent, "POST", "/v2/messages/next", {"id": viewer}))[1])
    (message,) = waiting["messages"]
    assert waiting["count"] == 1
    assert (message["id"], message["version"], message["priority"]) == (stamped["id"], 0, 44)
    assert json.loads((await ask(agent, "POST", "/v2/messages/next", {"id": viewer}))[1])["count"] == 0

    at = stamped["timestamp"]
    query = {"id": viewer, "timeframestart": at, "timeframeend": at + 5000, "publishers": [device, "stranger"]}
    found = json.loads((await ask(agent, "POST", "/v2/messages/query", query))[1])
    assert (found["count"], found["messages"][0]["version"], found["timeframeend"]) == (1, 4, at)


async def test_query_without_matches_from_an_allowed_publisher_is_a_crash(agent):
    query = {"timeframestart": 0, "timeframeend": 5, "publishers": [agent.id_of("device")]}
    assert await exchange(agent, http("POST", "/v2/messages/query", {**query, "id": agent.id_of("viewer")})) == b""
    status, body = await ask(agent, "POST", "/v2/messages/query", {**query, "id": agent.id_of("device")})
    assert (status, json.loads(body)["count"]) == (200, 0)


async def test_a_message_without_a_route_is_answered_and_gone(agent):
    assert (await ask(agent, "POST", "/v2/messages/new", {**OK_MESSAGE, "publisher": "nobody"}))[0] == 200
    assert agent.counters["queued"] == 0


async def test_a_connection_serves_many_requests(agent):
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    for _ in range(3):
        writer.write(http("POST", "/v2/messages/next", {"id": "x"}))
        assert b"200" in await asyncio.wait_for(reader.readuntil(b"}"), 60)
    writer.close()
    await writer.wait_closed()


async def test_text_that_is_no_unicode_leaves_as_a_question_mark_and_nothing_is_lost(agent):
    device, viewer = agent.id_of("device"), agent.id_of("viewer")
    for infotype in ("first", "lone \ud800", "last"):
        body = {**OK_MESSAGE, "publisher": device, "infotype": infotype}
        assert (await ask(agent, "POST", "/v2/messages/new", body))[0] == 200
    waiting = json.loads((await ask(agent, "POST", "/v2/messages/next", {"id": viewer}))[1])
    assert [message["infotype"] for message in waiting["messages"]] == ["first", "lone ?", "last"]
    assert (await ask(agent, "POST", "/v2/config/get", {"id": "\ud800"}))[1].startswith("No configuration found for ")


async def test_a_queue_keeps_what_no_response_could_be_made_of(agent, monkeypatch):
    viewer = agent.id_of("viewer")
    agent.bus.publish(IoMessage(publisher=agent.id_of("device"), infotype="t", infoformat="f"))
    monkeypatch.setattr(IoMessage, "to_json", lambda _: {}["fails"])
    assert (await ask(agent, "POST", "/v2/messages/next", {"id": viewer}))[0] == 500
    monkeypatch.undo()
    assert json.loads((await ask(agent, "POST", "/v2/messages/next", {"id": viewer}))[1])["count"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
        b"GET http://[x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v2/log HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
    ],
    ids=["TLS", "address", "chunk", "header"],
)
async def test_what_is_not_http_is_closed_without_a_reply_or_traceback(agent, caplog, request_):
    assert await exchange(agent, request_) == b""
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_body_that_is_too_large_is_closed_without_a_reply(agent, caplog):
    with contextlib.suppress(ConnectionResetError):  # as TCP may end a connection whose bytes nobody has read
        assert await exchange(agent, http("POST", "/v2/messages/new", b" " * 17_000_000)) == b""
    assert "larger than 16777216 bytes" in caplog.text


async def test_head_is_no_method_of_any_route(agent, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    writer.write(http("HEAD", "/v2/config/get"))
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"405", b"")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    writer.close()
    await writer.wait_closed()


async def test_a_text_for_the_log_stays_in_its_line(agent, caplog):
    body = {"id": agent.id_of("device"), "type": "warning", "message": "one\n12:00:00 ERROR   forged\x1b[2J"}
    assert (await ask(agent, "POST", "/v2/log", body))[0] == 200
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert "forged" in record.getMessage()
