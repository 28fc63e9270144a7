"""Those who watch over us get true answers; stopping is quick and loses nothing."""

import time

import httpx

from tests.kits.server import Server


def test_alive_ready_and_measured(server: Server) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        assert client.get("/healthz").json() == {"alive": True}
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert {cursor["name"] for cursor in ready.json()["cursors"]} == {"webhooks", "search"}
        metrics = client.get("/metrics").text
        assert 'onethread_http_requests_total{method="GET",route="/readyz",status="200"}' in metrics
        assert "onethread_cursor_behind" in metrics


def test_health_is_for_those_who_may_read_events(server: Server) -> None:
    with server.client() as owner:
        assert owner.get("health").json()["database"] == "up"


def test_told_to_stop_it_ends_by_itself(own_server: Server) -> None:
    begun = time.monotonic()
    assert own_server.stop() == 0
    assert time.monotonic() - begun < 10
    assert '"event":"house.stopped"' in own_server.log
    assert "Traceback" not in own_server.log


def test_killed_it_comes_back_on_the_same_data(own_server: Server) -> None:
    with own_server.client() as client:
        made = client.post("teams", json={"name": "Night shift"}).json()
        own_server.restart()
        assert client.get(f"teams/{made['id']}").json()["name"] == "Night shift"
