import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from onethread.platform import logs
from tests.cast import ana

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Logs go to a stream of this test; afterwards everything is as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure(level="info", form="json", stream=written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_a_line_is_an_event_and_its_fields(lines: Lines) -> None:
    structlog.get_logger().info("receipt.parked", receipt=7, reason="broken JSON")
    (line,) = lines()
    assert (line["event"], line["receipt"], line["reason"], line["level"]) == (
        "receipt.parked",
        7,
        "broken JSON",
        "info",
    )
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": ana.email},
        {"sender_email": ana.email},
        {"text": ana.hello},
        {"reason": f"{ana.email} is not known"},
        {"reason": f"no route to {ana.phone}"},
        {"about": {"phone": ana.phone, "ways": [f"mailto:{ana.email}"]}},
        {"password": ana.hello},
        {"session_token": ana.hello},
        {"error": ValueError(f"Key (value)=({ana.email}) already exists")},
    ],
)
def test_personal_data_does_not_get_through(lines: Lines, fields: dict[str, object]) -> None:
    structlog.get_logger().warning("something.happened", **fields)
    written = json.dumps(lines(), ensure_ascii=False)
    for private in (ana.email, ana.phone, ana.hello):
        assert private not in written


def test_a_traceback_loses_its_addresses(lines: Lines) -> None:
    try:
        raise ValueError(f"Key (value)=({ana.email}) already exists")
    except ValueError:
        structlog.get_logger().exception("door.failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert ana.email not in line["exception"]


def test_ids_and_kinds_do_get_through(lines: Lines) -> None:
    structlog.get_logger().info("message.received", message_id="m-1", identifier_kind="email", text_length=12)
    (line,) = lines()
    assert (line["message_id"], line["identifier_kind"], line["text_length"]) == ("m-1", "email", 12)


def test_libraries_speak_in_the_same_form(lines: Lines) -> None:
    logging.getLogger("some.library").warning("cannot reach %s", ana.email)
    logging.getLogger("uvicorn.access").info("GET /api/v1/customers?identifier=email:%s", ana.email)
    (line,) = lines()
    assert (line["event"], line["logger"]) == ("cannot reach [address]", "some.library")


def test_below_the_level_nothing_is_written(lines: Lines) -> None:
    structlog.get_logger().debug("too.much")
    logging.getLogger("some.library").info("chatter below the root's level is kept out")
    assert [line["event"] for line in lines()] == ["chatter below the root's level is kept out"]
