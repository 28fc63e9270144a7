"""The server as a user starts it, and small servers to compare it with: each a process of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil

_PATIENCE: Final = 120.0  # seconds for a start or a stop


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `took` is seconds from its start to its first answer."""

    host: str
    process: psutil.Process
    took: float

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def megabytes(self) -> float:
        """Resident memory of the process."""
        return self.process.memory_info().rss / 1e6

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system


@asynccontextmanager
async def onethread(data: Path, *, ready: str = "/readyz") -> AsyncIterator[Running]:
    """Run `onethread serve` on a data folder."""
    port = free_port()
    command = (sys.executable, "-m", "onethread.app.cli", "serve", "--port", str(port), "--data", str(data))
    async with process(command, port=port, ready=ready) as running:
        yield running


@asynccontextmanager
async def process(command: Sequence[str], *, port: int, ready: str) -> AsyncIterator[Running]:
    """Run a server until it is not needed; it must answer `ready` with 200."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        child = _spawned(command, output)
        try:
            await _answering(child, port, ready, output)
            yield Running(f"127.0.0.1:{port}", psutil.Process(child.pid), time.perf_counter() - started)
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(child.wait, _PATIENCE)
            finally:
                child.kill()


def _spawned(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=_environment())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def _answering(child: subprocess.Popen[bytes], port: int, ready: str, output: IO[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        if await _answers(port, ready):
            return
        await asyncio.sleep(0.01)
    output.seek(0)
    raise RuntimeError(f"the server did not start:\n{output.read().decode(errors='replace')[-3000:]}")


async def _answers(port: int, ready: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"GET {ready} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


def _environment() -> dict[str, str]:
    """Return our environment without settings that would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ONETHREAD_", "DATABASE_"))}
