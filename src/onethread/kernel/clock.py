"""The one place that asks the time; decisions take `now` as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present moment, always in UTC."""
    return datetime.now(UTC)
