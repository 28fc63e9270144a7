"""What strangers send that is broken, huge or hostile: refused in words or parked with its reason, never a 500.

After each piece a good message goes through the same door: nothing of it stops a channel.
"""

import asyncio
import gzip
import json
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from typing import Final
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from onethread.kernel.clock import utc_now
from onethread.platform import signing
from tests.adapters.channels.webchat.client import VisitorScreen, visitor_token
from tests.kits.server import Server, on_a_clone
from tests.kits.shop import HOOK_SECRET, Shop, said
from tests.kits.site import free_port
from tests.machines.databases import Databases
from tests.machines.waiting import until

pytestmark = [pytest.mark.xdist_group("bad input"), pytest.mark.timeout(300)]

MIB: Final = 1024 * 1024
VISITOR: Final = uuid4()


@pytest.fixture(scope="module")
def open_to_mail(databases: Databases) -> Iterator[Server]:
    with on_a_clone(databases, ONETHREAD_MAIL_PORT=str(free_port())) as server:
        yield server
        # Whatever was thrown at it: nothing surprised it, nothing crashed.
        assert "Traceback" not in server.log, server.log
        assert httpx.get(f"{server.url}/readyz", trust_env=False).json()["crashed"] == []


@pytest.fixture
async def shop(open_to_mail: Server) -> AsyncIterator[Shop]:
    async with Shop.on(open_to_mail) as shop:
        yield shop


async def goes_through(shop: Shop) -> None:
    """Say something good; it is applied."""
    visitor = uuid4()
    await shop.hear(visitor, "good", "Hello")
    await shop.applied()
    count = await shop.value(
        """
        SELECT count(*)
          FROM conversations.message
          JOIN customers.identifier ON identifier.id = identifier_id
         WHERE identifier.value = %s
        """,
        str(visitor),
    )
    assert count == 1


def is_refused(response: httpx.Response, *statuses: int) -> None:
    assert response.status_code in statuses, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["detail"] and problem["code"]


# ---------------------------------------------------------------- forged webhooks


def headers_of(body: bytes, secret: str = HOOK_SECRET) -> dict[str, str]:
    return signing.sign([secret], id_="msg_1", at=utc_now(), body=body)


FORGED: Final[dict[str, Callable[[dict[str, str]], dict[str, str]]]] = {
    "no signature": lambda good: {},
    "an empty signature": lambda good: {**good, "webhook-signature": ""},
    "half a signature": lambda good: {**good, "webhook-signature": good["webhook-signature"][:20]},
    "a signature that is too long": lambda good: {**good, "webhook-signature": good["webhook-signature"] + "A" * 500},
    "a signature without its version": lambda good: {**good, "webhook-signature": good["webhook-signature"][3:]},
    "a signature that is no base 64": lambda good: {**good, "webhook-signature": "v1,%%%%"},
    "a signature beyond ASCII": lambda good: {**good, "webhook-signature": "v1,\xff\xfe\xe9"},
    "a thousand signatures": lambda good: {**good, "webhook-signature": " ".join(["v1,AAAA"] * 1000)},
    "another id": lambda good: {**good, "webhook-id": "msg_2"},
    "an old time": lambda good: {**good, "webhook-timestamp": "1"},
    "a time that is no number": lambda good: {**good, "webhook-timestamp": "now"},
    "a time of a thousand digits": lambda good: {**good, "webhook-timestamp": "9" * 1000},
    "a time in other digits": lambda good: {**good, "webhook-timestamp": "²"},
    "another secret": lambda good: headers_of(b"{}", signing.new_secret()),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_webhook_is_refused(shop: Shop, forge: Callable[[dict[str, str]], dict[str, str]]) -> None:
    body = said(VISITOR, "forged", "Give me money")
    encoded = {name: value.encode("latin-1") for name, value in forge(headers_of(body)).items()}
    async with shop.line() as http:
        is_refused(await http.post(f"/hooks/{shop.chat}", content=body, headers=encoded), 401)  # type: ignore[arg-type]
    assert await shop.value("SELECT count(*) FROM channels.receipt WHERE account_id = %s", shop.chat) == 0


# ---------------------------------------------------------------- signed nonsense


def framed(**frame: object) -> bytes:
    return json.dumps({"visitor": str(uuid4()), "frame": {"v": 1, "id": "x", "type": "message", **frame}}).encode()


NONSENSE: Final = {
    "nothing": b"",
    "half of it": said(VISITOR, "half", "Hello")[:-9],
    "a list": b"[]",
    "a number": b"1e999",
    "no UTF-8": b'{"visitor":"\xff\xfe"}',
    "a null byte": b'{"visitor":"\0"}',
    "deep": b"[" * 200_000,
    "deep and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "wrong types": framed(body=[1, 2, 3]),
    "a text that is a number": framed(body={"text": 7}),
    "an escaped null": framed(body={"text": "a\0b"}),
    "half a character": b'{"visitor":"%s","frame":{"v":1,"id":"s","type":"message","body":{"text":"\\ud800"}}}'
    % str(VISITOR).encode(),
    "an endless text": framed(body={"text": "a" * 100_000}),
    "an endless id": framed(id="a" * 100_000, body={"text": "Hello"}),
    "an unknown type": framed(type="explosion", body={}),
    "a number beyond all": b'{"visitor":"%s","frame":{"v":%s,"id":"n","type":"message","body":{"text":"a"}}}'
    % (str(VISITOR).encode(), b"9" * 400),
    "no visitor": json.dumps({"frame": {"v": 1, "id": "x", "type": "message", "body": {"text": "a"}}}).encode(),
    "no events": b'{"events":[]}',
    "too many events": b'{"events":[' + b",".join([b"{}"] * 501) + b"]}",
    "events that are none": b'{"events":[1,null,"x",{}]}',
    "a zip bomb": gzip.compress(bytes(20 * MIB)),
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
async def test_signed_nonsense_is_kept_with_its_reason(shop: Shop, body: bytes) -> None:
    async with shop.line() as http:
        response = await shop.hook(http, body)
    if response.status_code != 200:
        is_refused(response, 400, 413, 422)
    else:
        await shop.applied()
        rows = await shop.rows("SELECT state, reason FROM channels.receipt WHERE account_id = %s", shop.chat)
        assert rows
        assert all(state == "parked" and reason for state, reason in rows), rows
    await goes_through(shop)


async def test_one_bad_event_among_good_ones_is_parked_alone(shop: Shop) -> None:
    good = [json.loads(said(VISITOR, f"among{number}", f"good {number}")) for number in range(3)]
    body = json.dumps({"events": [good[0], {"visitor": "nobody"}, good[1], 7, good[2]]}).encode()
    async with shop.line() as http:
        assert (await shop.hook(http, body)).status_code == 200
    await shop.applied()
    states = await shop.rows(
        "SELECT state, count(*)::int FROM channels.receipt WHERE account_id = %s GROUP BY state", shop.chat
    )
    assert dict(states) == {"applied": 3, "parked": 2}


async def test_a_body_beyond_all_bounds_is_refused(shop: Shop) -> None:
    async with shop.line() as http:
        is_refused(await http.post(f"/hooks/{shop.chat}", content=bytes(53 * MIB)), 413)
        is_refused(await shop.api.post("/messages", content=b'"' + b"a" * (3 * MIB) + b'"', headers=JSON), 413)
    await goes_through(shop)


@pytest.mark.parametrize("path", ["nothing", str(UUID(int=7)), "%00", "..%2f..%2fetc", "a" * 5000, "%ff%fe"])
async def test_hooks_of_nobody_are_not_found(shop: Shop, path: str) -> None:
    async with shop.line() as http:
        is_refused(await http.post(f"/hooks/{path}", content=b"{}"), 404)


# ---------------------------------------------------------------- the API

JSON: Final = {"content-type": "application/json"}
BAD_CALLS: Final = {
    "nothing": b"",
    "half of it": b'{"text": "Hel',
    "no UTF-8": b'{"text": "\xff"}',
    "a null": b'{"text": "a\\u0000b"}',
    "half a character": b'{"text": "\\ud800"}',
    "deep": b'{"text":' + b"[" * 100_000,
    "wrong types": b'{"text": {"a": 1}}',
    "a list": b"[1]",
    "an unknown word": b'{"text": "a", "explode": true}',
    "a number beyond all": b'{"text": "a", "hold_seconds": 99999999999999999999999}',
    "an address of nobody": b'{"text": "a", "to": "email:"}',
}


@pytest.mark.parametrize("body", BAD_CALLS.values(), ids=BAD_CALLS.keys())
async def test_a_bad_call_of_the_api_is_refused_in_words(shop: Shop, body: bytes) -> None:
    for path in ("/messages", f"/conversations/{uuid4()}/messages"):
        is_refused(await shop.api.post(path, content=body, headers=JSON), 400, 404, 422)


# ---------------------------------------------------------------- connections


async def raw(shop: Shop, *pieces: bytes, cut: bool = False) -> bytes:
    """Write pieces to the server's port and return the answer; `cut` hangs up instead of waiting for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if cut:
            writer.transport.abort()
            return b""
        async with asyncio.timeout(20):
            return await reader.read(100_000)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request(shop: Shop, *headers: str) -> bytes:
    lines = [f"POST /hooks/{shop.chat} HTTP/1.1", "Host: shop.test", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def test_broken_http_is_answered_or_hung_up_on(shop: Shop) -> None:
    answers = [
        await raw(shop, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)),
        await raw(shop, b"NONSENSE\r\n\r\n"),
        await raw(shop, request(shop, "Content-Length: -5")),
        await raw(shop, request(shop, "Content-Length: 5, 7")),
        await raw(shop, request(shop, "Transfer-Encoding: chunked"), b"zzz\r\nhello\r\n0\r\n\r\n"),
        await raw(shop, request(shop, "X-Huge: " + "a" * 300_000, "Content-Length: 2", "Connection: close"), b"{}"),
        await raw(
            shop, request(shop, *(f"X-{n}: 1" for n in range(5000)), "Content-Length: 2", "Connection: close"), b"{}"
        ),
    ]
    for answer in answers:
        assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4"), answer[:200]
    await goes_through(shop)


async def test_callers_who_hang_up_or_dawdle_hold_nobody_up(shop: Shop) -> None:
    body = said(VISITOR, "cut", "Hello")
    signed = [f"{name}: {value}" for name, value in headers_of(body).items()]
    slow = []
    for _ in range(30):
        await raw(shop, request(shop, *signed, f"Content-Length: {len(body)}"), body[: len(body) // 2], cut=True)
        _, writer = await asyncio.open_connection("127.0.0.1", shop.server.port)
        writer.write(request(shop, *signed, f"Content-Length: {len(body)}") + body[:9])
        slow.append(writer)
    await goes_through(shop)
    assert await shop.value("SELECT count(*) FROM channels.receipt WHERE external_id LIKE %s", "%:cut") == 0
    for number in range(9, len(body)):
        slow[0].write(body[number : number + 1])
        await slow[0].drain()
    for writer in slow[1:]:
        writer.transport.abort()
    await shop.applied()

    async def came() -> bool:
        return await shop.value("SELECT count(*) FROM channels.receipt WHERE external_id LIKE %s", "%:cut") == 1

    await until(came)
    slow[0].close()


# ---------------------------------------------------------------- sockets


async def test_nonsense_on_a_socket_ends_that_socket_at_most(shop: Shop) -> None:
    base = f"{shop.server.url}/channels/webchat/{shop.chat}"
    token = str((await visitor_token(base))["token"])
    hello = json.dumps({"type": "hello", "body": {"token": token}})
    for pieces in (
        ["no hello"],
        [b"\xff\xfe\xfd"],
        [json.dumps({"type": "hello", "body": {"token": "x" * 200}})],
        [hello, "not JSON"],
        [hello, b"\x00\x01\x02"],
        [hello, "[" * 30_000],
        [hello, json.dumps({"id": "1", "type": "message", "body": {"text": "a\0b"}})],
        [hello, json.dumps({"id": 7, "type": ["message"], "body": None})],
        [hello, "a" * 100_000],
    ):
        for url in (base.replace("http", "ws", 1) + "/socket", f"ws://127.0.0.1:{shop.server.port}/api/v1/live"):
            async with connect(url, compression=None) as socket:
                try:
                    for piece in pieces:
                        await socket.send(piece)
                    async with asyncio.timeout(0.2):
                        async for _ in socket:
                            pass
                except (ConnectionClosed, TimeoutError):
                    pass
            assert socket.close_code != 1011, f"{url} broke over {str(pieces[-1])[:60]}"
    async with VisitorScreen(base, token) as screen:
        await screen.say("Hello")
        await screen.shows("Hello")


# ---------------------------------------------------------------- mail


def letter(text: str = "Hello", **fields: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ana <ana@cust.test>"
    message["To"] = "bad@shop.test"
    message["Subject"] = "Hello"
    message["Message-ID"] = f"<{uuid4()}@cust.test>"
    for name, value in fields.items():
        message[name] = value
    message.set_content(text)
    return message


def bomb() -> bytes:
    message = letter()
    message.add_attachment(gzip.compress(bytes(200 * MIB)), "application", "gzip", filename="bomb.gz")
    return message.as_bytes()


def nested(depth: int) -> bytes:
    head = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth))
    return f"From: ana@cust.test\r\nTo: bad@shop.test\r\nMIME-Version: 1.0\r\n{head}\r\nHello\r\n".encode()


HEAD: Final = b"From: ana@cust.test\r\nTo: bad@shop.test\r\nMessage-ID: <%d@x>\r\n"
BAD_MAILS: Final[dict[str, Callable[[], bytes]]] = {
    "empty": lambda: b"",
    "no head": lambda: b"\r\nHello\r\n",
    "no sender": lambda: b"Subject: a\r\n\r\nHello\r\n",
    "null bytes": lambda: HEAD % 1 + b"Subject: a\0b\r\n\r\nHel\0lo\r\n",
    "no UTF-8": lambda: HEAD % 2 + b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\r\n",
    "an unknown charset": lambda: HEAD % 3 + b"Content-Type: text/plain; charset=klingon\r\n\r\nHello\r\n",
    "a huge head": lambda: HEAD % 4 + b"X-Huge: " + b"a" * 500_000 + b"\r\n\r\nHello\r\n",
    "a hundred thousand heads": lambda: HEAD % 5 + b"X: 1\r\n" * 100_000 + b"\r\nHello\r\n",
    "deep": lambda: nested(2000),
    "ten thousand parts": lambda: (
        HEAD % 6 + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 10_000 + b"--b--\r\n"
    ),
    "a zip bomb": bomb,
    "a boundary that ends nowhere": lambda: HEAD % 7 + b"Content-Type: multipart/mixed; boundary=\r\n\r\nHello\r\n",
    "broken base 64": lambda: HEAD % 8 + b"Content-Transfer-Encoding: base64\r\n\r\n%%%%====\r\n",
}


async def mailbox(shop: Shop) -> None:
    """Set up the mailbox of these tests, once for all of them."""
    if await shop.value("SELECT count(*) FROM channels.account WHERE channel = 'email'") == 0:
        await shop.account("email", {"address": "bad@shop.test", "smtp_host": "127.0.0.1", "smtp_port": "9"})


def deliver(shop: Shop, mail: bytes) -> tuple[int, bytes]:
    """Hand a mail over by LMTP; return the last answer."""
    port = int(shop.server.environment["ONETHREAD_MAIL_PORT"])
    with smtplib.LMTP("127.0.0.1", port) as door:
        door.ehlo_or_helo_if_needed()
        door.mail("ana@cust.test")
        code, words = door.rcpt("bad@shop.test")
        assert code == 250, words
        try:
            return door.data(mail)
        except smtplib.SMTPServerDisconnected:
            return 421, b""


@pytest.mark.parametrize("mail", BAD_MAILS.values(), ids=BAD_MAILS.keys())
async def test_a_bad_mail_is_read_parked_or_refused_and_stops_nothing(shop: Shop, mail: Callable[[], bytes]) -> None:
    await mailbox(shop)
    code, _ = await asyncio.to_thread(deliver, shop, mail())
    assert code == 250 or 500 <= code < 600
    await shop.applied()
    assert all(reason for (reason,) in await shop.rows("SELECT reason FROM channels.receipt WHERE state = 'parked'"))
    good = letter()
    assert (await asyncio.to_thread(deliver, shop, good.as_bytes()))[0] == 250
    await shop.applied()
    assert (
        await shop.value("SELECT count(*) FROM conversations.message WHERE external_id = %s", good["Message-ID"]) == 1
    )


async def test_a_mail_of_fifty_megabytes_is_refused_for_its_size_and_one_of_forty_is_kept(shop: Shop) -> None:
    await mailbox(shop)
    line = b"a" * 998 + b"\r\n"
    code, words = await asyncio.to_thread(deliver, shop, HEAD % 50 + b"\r\n" + line * (51 * MIB // 1000))
    assert (code, words[:5]) == (552, b"5.3.4")
    code, _ = await asyncio.to_thread(deliver, shop, HEAD % 40 + b"\r\n" + line * (40 * MIB // 1000))
    assert code == 250
    await shop.applied()
    assert await shop.value("SELECT count(*) FROM conversations.message WHERE external_id = '<40@x>'") == 1


async def test_a_mail_cut_off_in_its_middle_is_not_kept(shop: Shop) -> None:
    await mailbox(shop)
    before = await shop.value("SELECT count(*) FROM channels.receipt")
    port = int(shop.server.environment["ONETHREAD_MAIL_PORT"])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"LHLO x\r\nMAIL FROM:<ana@cust.test>\r\nRCPT TO:<bad@shop.test>\r\nDATA\r\n" + letter().as_bytes()[:200]
    )
    await writer.drain()
    writer.transport.abort()
    good = letter()
    assert (await asyncio.to_thread(deliver, shop, good.as_bytes()))[0] == 250
    await shop.applied()
    assert await shop.value("SELECT count(*) FROM channels.receipt") == before + 1
