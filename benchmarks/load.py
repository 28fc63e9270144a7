"""Load from outside: `wrk` sends prepared requests, so that making them costs the measured machine nothing."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

_SCRIPT: Final = Path(__file__).with_name("load.lua")


class _Told(msgspec.Struct, frozen=True):
    answers: int
    microseconds: int
    p50: float
    p95: float
    p99: float
    longest: float
    failed: int
    again: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a load. `p50`, `p95`, `p99` and `longest` in milliseconds."""

    answers: int
    seconds: float
    p50: float
    p95: float
    p99: float
    longest: float
    failed: int

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def missing() -> str:
    """Say what is missing for a load, or nothing."""
    return "" if shutil.which("wrk") else "wrk is missing (Debian: apt-get install wrk); what needs it is left out."


@contextmanager
def written(requests: Iterable[bytes]) -> Iterator[Path]:
    """Write requests where `wrk` finds them."""
    with tempfile.NamedTemporaryFile(prefix="onethread-load-") as file:
        for request in requests:
            file.write(b"%08d%b" % (len(request), request))
        file.flush()
        yield Path(file.name)


async def press(url: str, requests: Path, *, clients: int, seconds: float, pace: int = 0) -> Answered:
    """Send the requests over so many connections for so long, `pace` a second at the most (0: no bound).

    Raises RuntimeError when requests ran out: then the figure would mean something else.
    """
    command = ("wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(_SCRIPT), url)
    process = await asyncio.create_subprocess_exec(
        *command, "--", str(requests), str(pace), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds + 30)
    finally:
        if process.returncode is None:
            process.kill()
    lines = [line for line in output.decode().splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise RuntimeError(f"wrk failed: {output.decode()[-500:]}")
    told = msgspec.json.decode(lines[-1], type=_Told)
    if told.again > 1:
        raise RuntimeError(f"The prepared requests ran out after {told.answers} answers.")
    return Answered(
        told.answers,
        told.microseconds / 1e6,
        told.p50 / 1e3,
        told.p95 / 1e3,
        told.p99 / 1e3,
        told.longest / 1e3,
        told.failed,
    )


def get(path: str, *, host: str, key: str) -> bytes:
    """Return a GET request of the API."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
