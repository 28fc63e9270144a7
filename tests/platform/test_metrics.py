import re

from prometheus_client.parser import text_string_to_metric_families

from onethread.platform import metrics


def test_what_was_counted_is_exposed() -> None:
    metrics.receipts.labels(outcome="new").inc(3)
    metrics.request_seconds.labels(route="/api/v1/customers").observe(0.004)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    (sample,) = [
        sample
        for sample in families["onethread_receipts"].samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == "new"
    ]
    assert sample.value >= 3
    assert "onethread_http_request_seconds" in families
    assert "process_resident_memory_bytes" in families


def test_no_label_can_name_a_person() -> None:
    labels = {
        label for collector in metrics.REGISTRY._collector_to_names for label in getattr(collector, "_labelnames", ())
    }
    assert labels <= {"method", "route", "status", "channel", "outcome", "subscriber", "task"}


def test_every_name_is_ours_and_says_what_it_is() -> None:
    ours = [family for family in metrics.REGISTRY.collect() if family.name.startswith("onethread_")]
    assert len(ours) > 10
    for family in ours:
        assert re.fullmatch(r"onethread_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
