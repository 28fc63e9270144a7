import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from onethread.platform.addresses import Allowed, may_reach
from onethread.platform.outward import AddressRefused, AnswerTooLarge, Bounds, open_client, pause_before_repeating

quick = Bounds(connect=2, read=2, total=3, most_bytes=1000, redirects=3, tries=3, first_pause=0.001)
Answer = Callable[[str], Awaitable[bytes] | bytes]


@asynccontextmanager
async def site(answer: Answer) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve raw answers on loopback; yields the port and the list of request lines."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split("\r\n", 1)[0])
        given = answer(head)
        writer.write(given if isinstance(given, bytes) else await given)
        await writer.drain()

    async with serving(serve) as port:
        yield port, asked


@asynccontextmanager
async def serving(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Run a handler of connections on a free port until all of them have ended."""

    async def to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    running: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(
        lambda reader, writer: running.add(asyncio.create_task(to_the_end(reader, writer))), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*running)


def http(body: bytes = b"ok", *, status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def names(**known: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return known.get(host.partition(".")[0], (host,))

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "100.100.100.200", "168.63.129.16", "224.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1"),
        *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:7f00:1::"),
    ],
)
def test_inner_addresses_are_refused(address: str) -> None:
    assert not may_reach("shop.example", [address], Allowed())
    assert not may_reach("shop.example", ["93.184.215.14", address], Allowed())


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_open(address: str) -> None:
    assert may_reach("shop.example", [address], Allowed())


def test_the_operator_may_allow_a_host_or_a_network() -> None:
    allowed = Allowed.of(["erp.local", "10.1.0.0/16", "fd00::/8"])
    assert may_reach("ERP.local.", ["192.168.0.9"], allowed)
    assert may_reach("other", ["10.1.2.3"], allowed)
    assert may_reach("other", ["fd00::1"], allowed)
    assert not may_reach("other", ["10.2.2.3"], allowed)
    assert not may_reach("not-erp.local", ["192.168.0.9"], allowed)


def test_a_wrong_network_is_told() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        Allowed.of(["10.0.0.0/99"])


async def test_a_request_to_this_machine_is_refused_unless_allowed() -> None:
    async with site(lambda _: http()) as (port, asked):
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
            async with open_client(bounds=quick) as client:
                with pytest.raises(AddressRefused):
                    await client.get(f"http://{host}:{port}/")
        assert asked == []
        async with open_client(bounds=quick, allow=["127.0.0.0/8"]) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "ok"


async def test_a_name_that_turns_inward_after_the_check_gains_nothing() -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    connected: list[str] = []
    async with site(lambda _: http()) as (port, _):
        client = open_client(bounds=quick, resolve=rebinding)
        backend = client._transport._inner._pool._network_backend._inner  # type: ignore[attr-defined]

        async def note(address: str, *_: object) -> object:
            connected.append(address)
            raise httpx.ConnectError("not reachable in a test")

        backend.connect_tcp = note
        async with client:
            with pytest.raises(httpx.ConnectError):
                await client.post(f"http://shop.example:{port}/")
            with pytest.raises(AddressRefused):
                await client.post(f"http://shop.example:{port}/")
    assert connected == ["93.184.215.14"]


async def test_a_redirect_inward_is_refused() -> None:
    def answer(head: str) -> bytes:
        return http(status="302 Found", headers=["Location: http://inner.example/secret"])

    async with site(answer) as (port, _):
        resolve = names(shop=["127.0.0.1"], inner=["169.254.169.254"])
        async with open_client(bounds=quick, allow=["shop.example"], resolve=resolve) as client:
            with pytest.raises(AddressRefused):
                await client.get(f"http://shop.example:{port}/", follow_redirects=True)


async def test_redirects_end() -> None:
    async with (
        site(lambda _: http(status="302 Found", headers=["Location: /again"])) as (port, asked),
        open_client(bounds=quick, allow=["127.0.0.1"]) as client,
    ):
        with pytest.raises(httpx.TooManyRedirects):
            await client.get(f"http://127.0.0.1:{port}/", follow_redirects=True)
        assert len(asked) == 1 + quick.redirects
        assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 302


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://shop.example/", "gopher://shop.example/"])
async def test_only_http_is_spoken(url: str) -> None:
    async with open_client(bounds=quick) as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get(url)


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(_: str) -> bytes:
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(5000)

    async with (
        site(endless) as (port, _),
        site(lambda _: http(bytes(5000))) as (announced, _),
        open_client(bounds=quick, allow=["127.0.0.1"]) as client,
    ):
        for place in (port, announced):
            with pytest.raises(AnswerTooLarge):
                await client.get(f"http://127.0.0.1:{place}/")


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(10_000_000))[:900]
    async with (
        site(lambda _: http(bomb, headers=["Content-Encoding: gzip"])) as (port, _),
        open_client(bounds=quick, allow=["127.0.0.1"]) as client,
    ):
        with pytest.raises(httpx.DecodingError):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_an_answer_that_drips_is_given_up() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    patience = Bounds(read=5, total=0.3, tries=1)
    async with serving(dripping) as port, open_client(bounds=patience, allow=["127.0.0.1"]) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_a_safe_request_is_repeated_until_it_succeeds() -> None:
    answers = iter([http(status="503 Busy"), b"", http(b"done")])
    async with (
        site(lambda _: next(answers)) as (port, asked),
        open_client(bounds=quick, allow=["127.0.0.1"]) as client,
    ):
        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "done"
        assert len(asked) == 3


async def test_a_post_is_repeated_only_when_it_carries_a_key() -> None:
    async with (
        site(lambda _: http(status="503 Busy")) as (port, asked),
        open_client(bounds=quick, allow=["127.0.0.1"]) as client,
    ):
        assert (await client.post(f"http://127.0.0.1:{port}/")).status_code == 503
        assert len(asked) == 1
        await client.post(f"http://127.0.0.1:{port}/", headers={"Idempotency-Key": "k"})
        assert len(asked) == 1 + quick.tries


@pytest.mark.parametrize(
    ("tried", "repeatable", "status", "retry_after", "pause"),
    [
        (1, True, None, None, 0.001),
        (2, True, 503, None, 0.002),
        (3, True, 503, None, None),
        (1, False, 503, None, None),
        (1, True, 500, None, None),
        (1, True, 200, None, None),
        (1, True, 429, 7.0, 7.0),
        (1, True, 429, 31.0, None),
    ],
)
def test_when_to_try_again(
    tried: int, repeatable: bool, status: int | None, retry_after: float | None, pause: float | None
) -> None:
    wait = pause_before_repeating(
        tried=tried, repeatable=repeatable, status=status, retry_after=retry_after, bounds=quick
    )
    assert wait == pause
