"""Logs: one dotted event name and its fields a line, JSON or readable; personal data does not get through."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog

Format = Literal["auto", "json", "console"]

# Words that hold what a person is, says or keeps secret, whole or as a part of a field's name.
_PRIVATE: Final = frozenset(
    {
        *("address", "addresses", "authorization", "body", "content", "cookie", "csrf", "detail", "display", "email"),
        *("emails", "from", "headers", "html", "identifier", "identifiers", "ip", "login", "message", "name", "params"),
        *("password", "payload", "phone", "phones", "query", "raw", "recipient", "recipients", "secret", "sender"),
        *("subject", "text", "to", "token", "totp", "username", "value", "values"),
    }
)
# Parts of a name that make a harmless one of a private word: `message_id`, `text_length`, `token_expired`.
_HARMLESS: Final = frozenset(
    {"id", "ids", "kind", "kinds", "count", "length", "size", "type", "bytes", "expired", "at", "seconds"}
)
_EMAIL: Final = re.compile(r"[^\s\"'<>(),:;=]+@[^\s\"'<>(),:;=]+\.\w+")
_PHONE: Final = re.compile(r"\+\d[\d .()-]{6,18}\d")
_REMOVED: Final = "[removed]"
_OWN: Final = frozenset({"event", "level", "timestamp", "logger"})
# Libraries that would write addresses, arguments or connection strings.
_QUIET: Final = {
    "uvicorn.access": logging.CRITICAL,
    "procrastinate": logging.ERROR,
    "psycopg.pool": logging.ERROR,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "mail.log": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
}


def configure(*, level: str = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Send our own logs and those of the libraries to a stream (default: standard error) in one form."""
    out = stream or sys.stderr
    readable = form == "console" or (form == "auto" and out.isatty())
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        without_personal_data,
    ]
    last: structlog.typing.Processor
    last = structlog.dev.ConsoleRenderer(colors=out.isatty()) if readable else structlog.processors.JSONRenderer(_json)
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=stream is None,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_number(level))
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, _number(level)))


def without_personal_data(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what private fields hold, and addresses and numbers anywhere in a text."""
    for key, value in fields.items():
        if key in _OWN and key != "event":
            continue
        fields[key] = _REMOVED if key != "event" and _is_private(key) else _cleaned(value)
    return fields


def _is_private(key: str) -> bool:
    words = key.lower().split("_")
    return not _PRIVATE.isdisjoint(words) and words[-1] not in _HARMLESS


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _PHONE.sub("[number]", _EMAIL.sub("[address]", value))
    if isinstance(value, Mapping):
        return {key: _REMOVED if _is_private(str(key)) else _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_cleaned(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _cleaned(str(value))


def _json(fields: Any, **_: Any) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode("utf-8")


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
