"""What we count and measure, for Prometheus. Labels are few and known: never an id, never a person."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

REGISTRY: Final = CollectorRegistry(auto_describe=True)
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)

# The doors.
requests: Final = Counter(
    "onethread_http_requests",
    "Requests answered, by route and status.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
request_seconds: Final = Histogram(
    "onethread_http_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=REGISTRY
)
live_subscriptions: Final = Gauge("onethread_live_subscriptions", "Screens and visitors that watch.", registry=REGISTRY)

# The way in.
receipts: Final = Counter(
    "onethread_receipts",
    "Receipts, by what became of them: new or repeated, then applied or parked.",
    ("outcome",),
    registry=REGISTRY,
)
receipt_batch: Final = Histogram(
    "onethread_receipt_batch_size", "Receipts committed together.", buckets=_SIZES, registry=REGISTRY
)
applied_batch: Final = Histogram(
    "onethread_applied_batch_size", "Receipts applied together.", buckets=_SIZES, registry=REGISTRY
)
oldest_receipt_seconds: Final = Gauge(
    "onethread_oldest_unapplied_receipt_seconds", "Age of the oldest receipt not applied yet.", registry=REGISTRY
)

# The way out.
deliveries: Final = Counter(
    "onethread_deliveries", "Attempts to deliver, by outcome.", ("channel", "outcome"), registry=REGISTRY
)
oldest_delivery_seconds: Final = Gauge(
    "onethread_oldest_undelivered_message_seconds", "Age of the oldest message still to be sent.", registry=REGISTRY
)
webhook_posts: Final = Counter(
    "onethread_webhook_posts", "Events posted to subscribers, by outcome.", ("outcome",), registry=REGISTRY
)

# The spine.
events_heard: Final = Counter(
    "onethread_events_heard", "Events taken by each subscriber.", ("subscriber",), registry=REGISTRY
)
cursor_behind: Final = Gauge(
    "onethread_cursor_behind",
    "Positions of the log a subscriber has still to read.",
    ("subscriber",),
    registry=REGISTRY,
)
events_parked: Final = Counter(
    "onethread_events_parked",
    "Events a subscriber could not take, left to a person.",
    ("subscriber",),
    registry=REGISTRY,
)
crashes: Final = Counter(
    "onethread_task_crashes", "Background tasks that had to be started again.", ("task",), registry=REGISTRY
)

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def exposition() -> bytes:
    """Return everything in Prometheus' text format; its type is CONTENT_TYPE."""
    return generate_latest(REGISTRY)
