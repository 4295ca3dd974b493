"""Every metric of alerting, and when it moves."""

from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerting.evaluation.shard import Shard
from alerting.life.alert import Change, State

_SKIPPED = ("late", "says_nothing", "failed", "stale")


class Metrics:
    """The metrics of one instance, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, moves: str, *labels: str) -> Counter:
            return Counter(f"alerting_{name}", moves, labels, registry=registry)

        def gauge(name: str, moves: str, *labels: str) -> Gauge:
            return Gauge(f"alerting_{name}", moves, labels, registry=registry)

        self.readings = counter("readings", "Readings taken from a stream", "stream")
        self.windows = counter("windows", "Closed windows taken from DERIVED")
        self.evaluated = counter("evaluated", "Readings and windows judged, once for each rule that looks at them")
        self.skipped = counter(
            "skipped",
            "Readings and windows that a rule could not use: late, says_nothing, failed (the rule says why); or that"
            " were judged, but too old to begin or fire an alert (stale)",
            "reason",
        )
        self.messages = counter(
            "messages",
            "Messages taken from a stream: evaluated, repeated (seen before), dead_lettered, passed_over (deletions,"
            " which change no alert)",
            "stream",
            "outcome",
        )
        self.transitions = counter("transitions", "Alerts that came to a state, once that is on disk", "state")
        self.notifications = counter(
            "notifications",
            "Tries to deliver a notification: delivered, failed, misconfigured (the receiver wants another key, or is "
            "not at this path), rejected (it does not want this one), refused (not tried: its address is not allowed), "
            "all of which but the first are tried again; and notifications given up because of their age, or of their "
            "receiver being deleted (expired), or because too many waited (full)",
            "result",
        )
        self.planned = counter(
            "notifications_planned",
            "Notifications that were made: alerts are new to a receiver, changed, repeat, or a chain came to it",
            "reason",
        )
        self.notification_groups = gauge("notification_groups", "Groups of alerts that are told together")
        self.routing_problems = gauge("routing_problems", "Documents that cannot be used; the log names them")
        self.rows = counter("device_rows", "Rows of devices written")
        self.commit_seconds = Histogram(
            "alerting_commit_seconds",
            "Moves with each try to write a transaction, by how long it took",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
            registry=registry,
        )
        self.partitions = gauge("partitions_owned", "Partitions that this replica evaluates")
        self.takeovers = counter("takeovers", "Partitions taken")
        self.devices = gauge("devices_known", "Devices in these partitions of which something is known")
        self.rules = gauge("rules", "Rules loaded, enabled or not")
        self.open_alerts = gauge("open_alerts", "Alerts of these partitions that are pending or firing now", "state")
        self.outbox_pending = gauge("outbox_pending", "Notifications that wait for their receiver")
        self.pushes = counter(
            "pushes", "Alerts that fire, pushed again to a Prometheus Alertmanager: taken, or not (failed)", "result"
        )
        self.broker_connected = gauge("broker_connected", "1 while connected to the MQTT broker of receivers, else 0")
        self.lag_messages = gauge(
            "lag_messages", "Messages of these partitions that wait on a stream, looked up each second", "stream"
        )
        self.lag_seconds = gauge("lag_seconds", "Age of the newest message read, or 0 where nothing waits", "stream")
        self.heard_age_seconds = gauge(
            "heard_age_seconds",
            "Seconds from the time up to which devices have been heard, in the partition where that is longest ago, to"
            " now; infinite where nobody knows. Silence is judged up to that time",
        )
        self.attached = gauge("attached", "Partitions of which the stream is being read", "stream")
        self.connected = gauge("connected", "1 while connected to the stream server")
        for reason in _SKIPPED:
            self.skipped.labels(reason)
        for state in State:
            self.transitions.labels(state.value)
        for reason in ("new", "changed", "repeat", "chain"):
            self.planned.labels(reason)
        for result in ("delivered", "failed", "misconfigured", "rejected", "refused", "expired", "full"):
            self.notifications.labels(result)

    def wrote(self, changes: Iterable[Change], rows: int) -> None:
        """Count what a transaction had."""
        self.rows.inc(rows)
        for change in changes:
            self.transitions.labels(change.alert.state.value).inc()

    def show(self, shards: Collection[Shard]) -> None:
        """Show what the partitions hold, and count what they have evaluated."""
        for state in (State.PENDING, State.FIRING):
            self.open_alerts.labels(state.value).set(sum(shard.counts[state] for shard in shards))
        self.devices.set(sum(shard.watched for shard in shards))
        for tally in (shard.take_tally() for shard in shards):
            self.evaluated.inc(tally.evaluated)
            for reason in _SKIPPED:
                self.skipped.labels(reason).inc(getattr(tally, reason))
