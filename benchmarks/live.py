"""Live: from a webhook to an agent's screen, to fifty of a thousand screens, and after a gap."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import Figure, percentile
from benchmarks.serving import Running
from benchmarks.shop import Shop
from benchmarks.writers import Post

SCREENS: Final = 1_000
HEARERS: Final = 50  # screens that hear one event
GAP: Final = 1_000  # events missed


class _Told(msgspec.Struct):
    type: str
    recorded_at: datetime


class _Message(msgspec.Struct):
    external_id: str | None = None


class _Data(msgspec.Struct):
    event: _Told | None = None
    message: _Message | None = None


class _Frame(msgspec.Struct):
    type: str
    seq: int | None = None
    data: _Data = msgspec.field(default_factory=_Data)


_frame: Final = msgspec.json.Decoder(_Frame).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Screen:
    socket: ClientConnection
    position: int


async def measure(shop: Shop, server: Running, *, seconds: int) -> list[Figure]:
    return [
        *await _to_the_browser(shop, server, seconds=seconds),
        *await _fan_out(shop, server, seconds=seconds),
        await _gap(shop, server),
    ]


# ---------------------------------------------------------------- from a webhook to a screen


async def _to_the_browser(shop: Shop, server: Running, *, seconds: int, pace: int = 200) -> list[Figure]:
    took: list[float] = []
    posts = Post.several(shop, pace * seconds)
    sent: dict[str, float] = {}
    async with _screen(shop, server, [f"brand:{shop.deeds.brand_id}"]) as screen:
        hearing = asyncio.create_task(_hear_all(screen, sent, took, len(posts)))
        await _post(server, posts, pace=pace, sent=sent)
        async with asyncio.timeout(30):
            await hearing
    return [
        Figure(
            f"webhook to the agent's screen at {pace}/s, p95",
            "ms",
            [percentile(took, 95)],
            100,
            note=f"p50 {median(took):.1f} ms, p99 {percentile(took, 99):.1f} ms, {len(took)} messages; "
            "from before the request is written to when the frame is read",
        )
    ]


async def _hear_all(screen: _Screen, sent: dict[str, float], took: list[float], count: int) -> None:
    async for text in screen.socket:
        message = _frame(text).data.message
        if message is not None and message.external_id in sent:
            took.append((time.perf_counter() - sent.pop(message.external_id)) * 1e3)
            if len(took) == count:
                return


# ---------------------------------------------------------------- to many screens


async def _fan_out(shop: Shop, server: Running, *, seconds: int, pace: int = 100) -> list[Figure]:
    """Twenty conversations, each watched by fifty screens; their customers write a hundred messages a second."""
    groups = SCREENS // HEARERS
    watched = _conversations(shop, groups)
    posts = Post.several(shop, pace * seconds, senders=[sender for sender, _ in watched])
    took: list[float] = []
    spread: dict[int, list[float]] = {}
    async with AsyncExitStack() as stack:
        screens: list[_Screen] = []
        for place in range(SCREENS):
            _, conversation_id = watched[place % groups]
            screens.append(await stack.enter_async_context(_screen(shop, server, [f"conversation:{conversation_id}"])))
        memory = server.megabytes
        hearing = [asyncio.create_task(_note(screen, took, spread)) for screen in screens]
        await _post(server, posts, pace=pace, sent={})
        async with asyncio.timeout(30):
            while len(took) < len(posts) * HEARERS:  # noqa: ASYNC110 - a thousand readers tell nobody
                await asyncio.sleep(0.05)
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
    apart = [max(times) - min(times) for times in spread.values()]
    return [
        Figure(
            f"live fan-out, {pace} events/s to {HEARERS} of {SCREENS} screens: first to last screen, p99",
            "ms",
            [percentile(apart, 99)],
            10,
            note=f"p50 {median(apart):.1f} ms; {len(took):,} frames",
        ),
        Figure(
            "the same, from the insert of the event in its transaction to a screen, p99",
            "ms",
            [percentile(took, 99)],
            note=f"p50 {median(took):.1f} ms; with the rest of the transaction and its commit",
        ),
        Figure(f"resident memory of the server with {SCREENS} screens", "MB", [memory], 300),
    ]


async def _note(screen: _Screen, took: list[float], spread: dict[int, list[float]]) -> None:
    async for text in screen.socket:
        at = time.time()
        frame = _frame(text)
        if frame.seq is not None and frame.data.event is not None and frame.type == "MessageReceived":
            took.append((at - frame.data.event.recorded_at.timestamp()) * 1e3)
            spread.setdefault(frame.seq, []).append(at * 1e3)


def _conversations(shop: Shop, count: int) -> list[tuple[int, str]]:
    """Return customers with an open conversation, and the conversation."""
    numbers = [number for number in range(1, shop.size.customers) if number % 5][:count]
    with shop.connect() as conn:
        rows = conn.execute(
            "SELECT number, id FROM conversations.conversation WHERE number = ANY (%b::bigint[])", (numbers,)
        ).fetchall()
    return [(number, str(id_)) for number, id_ in rows]


# ---------------------------------------------------------------- after a gap


async def _gap(shop: Shop, server: Running) -> Figure:
    """A screen was away while a thousand messages came: how long until it has them."""
    topics = [f"brand:{shop.deeds.brand_id}"]
    async with _screen(shop, server, topics) as screen:
        position = screen.position
        sender = _conversations(shop, 1)[0][0]
        await _post(server, Post.several(shop, GAP, senders=[sender]), pace=1_000, sent={})
        heard = 0
        async with asyncio.timeout(30):
            async for text in screen.socket:
                heard += _frame(text).type == "MessageReceived"
                if heard == GAP:
                    break
    took = []
    for _ in range(3):
        started = time.perf_counter()
        async with _screen(shop, server, topics, after=position) as screen:
            heard = 0
            async with asyncio.timeout(30):
                async for text in screen.socket:
                    heard += _frame(text).type == "MessageReceived"
                    if heard == GAP:
                        break
        took.append((time.perf_counter() - started) * 1e3)
    return Figure(f"reconnect after {GAP:,} missed events, from the handshake to the last", "ms", took, 1_000)


# ---------------------------------------------------------------- screens and writers


@asynccontextmanager
async def _screen(
    shop: Shop, server: Running, topics: Sequence[str], *, after: int | None = None
) -> AsyncIterator[_Screen]:
    url = f"ws://{server.host}/api/v1/live"
    async with connect(url, compression=None, max_queue=None, ping_interval=None) as socket:
        await socket.send(
            _encode({"type": "hello", "token": shop.deeds.key, "topics": topics, "after": after}), text=True
        )
        ready = msgspec.json.decode(await socket.recv())
        subscribed = msgspec.json.decode(await socket.recv())
        if ready["type"] != "ready" or subscribed["data"]["refused"]:
            raise RuntimeError(f"the screen was refused: {ready} {subscribed}")
        yield _Screen(socket, ready["data"]["seq"])


async def _post(server: Running, posts: Sequence[Post], *, pace: int, sent: dict[str, float]) -> None:
    """Send the posts at a pace over eight connections; note when each was sent, by its id on our side."""
    queue: asyncio.Queue[Post | None] = asyncio.Queue()

    async def write() -> None:
        host, _, port = server.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while (post := await queue.get()) is not None:
            sent[post.external_id] = time.perf_counter()
            writer.write(post.request(server.host))
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise RuntimeError(f"the door refused: {head!r}")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    writers = [asyncio.create_task(write()) for _ in range(8)]
    started = time.perf_counter()
    for place, post in enumerate(posts):
        await asyncio.sleep(max(0.0, started + place / pace - time.perf_counter()))
        queue.put_nowait(post)
    for _ in writers:
        queue.put_nowait(None)
    await asyncio.gather(*writers)
