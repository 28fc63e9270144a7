"""Starting: from the command to the first ready answer, on an empty folder and on one with a history."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import serving
from benchmarks.figures import Figure

RUNS: Final = 3


async def measure() -> list[Figure]:
    first, again, memory = [], [], []
    for _ in range(RUNS):
        data = _folder()
        try:
            async with serving.onethread(data) as server:
                first.append(server.took)
                memory.append(server.megabytes)
            async with serving.onethread(data) as server:
                again.append(server.took)
        finally:
            shutil.rmtree(data, ignore_errors=True)
    return [
        Figure("first start ever, empty folder, to ready (its database made and migrated)", "s", first, 5),
        Figure("start again, to ready", "s", again, 5),
        Figure("resident memory of the server after a start", "MB", memory, 300),
    ]


def _folder() -> Path:
    """Make an empty folder; PostgreSQL runs as a user of its own when we are root, and must get there."""
    folder = Path(tempfile.mkdtemp(prefix="onethread-bench-", dir="/tmp"))
    folder.chmod(0o755)
    return folder
