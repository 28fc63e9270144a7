"""The README's two minutes with curl, as they are written there; only the port is another."""

import re
import subprocess

from tests.house.reading import ROOT
from tests.kits.server import Server


def test_the_tour_works_as_written(own_server: Server) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = text.partition("## Two minutes with curl")[2].partition("\n## ")[0]
    blocks = [
        block for block in re.findall(r"^```sh\n(.*?)^```", tour, re.MULTILINE | re.DOTALL) if "make" not in block
    ]
    # The last request of the tour's stream ends by its own time limit, which curl calls a failure.
    script = "set -u\n" + "\n".join(blocks).replace("http://127.0.0.1:8080", own_server.url)
    environment = own_server.env() | {"ONETHREAD_DATA": str(own_server.data)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '{"v":1,"type":"ack","id":"m1"}' in done.stdout
    assert "It left this morning." in done.stdout
    assert '"MessageSent"' in done.stdout
