"""Every metric of alerting, and when it moves."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from alerting.life.alert import State


class Metrics:
    """The metrics of one instance, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, moves: str, *labels: str) -> Counter:
            return Counter(f"alerting_{name}", moves, labels, registry=registry)

        def gauge(name: str, moves: str, *labels: str) -> Gauge:
            return Gauge(f"alerting_{name}", moves, labels, registry=registry)

        self.readings = counter("readings", "Readings taken from a stream", "stream")
        self.windows = counter("windows", "Closed windows taken from DERIVED; no rule looks at them yet")
        self.evaluated = counter("evaluated", "Readings evaluated, once for each rule that looks at them")
        self.skipped = counter(
            "skipped", "Readings that a rule could not use, or only to resolve (stale), by reason", "reason"
        )
        self.messages = counter(
            "messages",
            "Messages taken from a stream: evaluated, repeated (seen before), dead_lettered, passed_over (deletions,"
            " which change no alert); and those that the stream had given up before they were read (missed)",
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
        self.commits = counter("commits", "Transactions with alerts, marks and the positions")
        self.rules = gauge("rules", "Rules loaded, enabled or not")
        self.open_alerts = gauge("open_alerts", "Alerts that are pending or firing now", "state")
        self.outbox_pending = gauge("outbox_pending", "Notifications that wait for their receiver")
        self.pushes = counter(
            "pushes", "Alerts that fire, pushed again to a Prometheus Alertmanager: taken, or not (failed)", "result"
        )
        self.lag_messages = gauge("lag_messages", "Messages that wait on a stream, at the last read", "stream")
        self.lag_seconds = gauge("lag_seconds", "Age of the newest message read, or 0 where nothing waits", "stream")
        self.attached = gauge("attached", "1 while the stream is being read, else 0", "stream")
        self.broker_connected = gauge("broker_connected", "1 while connected to the MQTT broker of receivers, else 0")
        self.connected = gauge("connected", "1 while connected to the stream server")
        for reason in ("late", "stale", "not_numeric"):
            self.skipped.labels(reason)
        for state in State:
            self.transitions.labels(state.value)
        for reason in ("new", "changed", "repeat", "chain"):
            self.planned.labels(reason)
        for result in ("delivered", "failed", "misconfigured", "rejected", "refused", "expired", "full"):
            self.notifications.labels(result)
