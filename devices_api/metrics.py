"""Every metric of devices_api."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.deadletters import Reason

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_REASONS = frozenset(map(str, Reason))


class Metrics:
    """The service's metrics, on a registry of their own."""

    def __init__(self, connected: Callable[[], bool]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "devices_api_requests",
            "Requests answered, by route, method and status; moves when the last byte of an answer is sent",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "devices_api_request_seconds",
            "Seconds from a request's arrival to the last byte of its answer, by route",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.unproved = Counter(
            "devices_api_unproved",
            "Requests whose key, token, ticket or claim key proves nobody: wrong, expired, disabled, used; "
            "moves with the answer",
            registry=registry,
        )
        self.oidc_readings = Counter(
            "devices_api_oidc_key_readings",
            "Readings of the identity provider's keys, by outcome: read, failed; moves when a reading ends",
            ["outcome"],
            registry=registry,
        )
        self.rate_limited = Counter(
            "devices_api_rate_limited",
            "Requests refused with 429: key, their key has asked too often; address, too many wrong keys have come "
            "from their address; moves with the answer",
            ["kind"],
            registry=registry,
        )
        self.idempotent = Counter(
            "devices_api_idempotent",
            "Requests that were not done since one with their idempotency key was: answered, as that one; running, it "
            "is not done yet; another, it was another request; moves with the answer",
            ["outcome"],
            registry=registry,
        )
        self.outbox_pending = Gauge(
            "devices_api_outbox_pending",
            "Changes that the bucket does not hold yet; falls when the stream server acknowledges a record",
            registry=registry,
        )
        self.records_published = Counter(
            "devices_api_records_published",
            "Records of devices and profiles written to or deleted from the bucket; moves when the stream server "
            "acknowledges it",
            ["operation"],
            registry=registry,
        )
        self.presence_events = Counter(
            "devices_api_presence_events",
            "Presence messages taken in, by state; moves when their transaction is committed",
            ["state"],
            registry=registry,
        )
        self.auto_registered = Counter(
            "devices_api_auto_registered",
            "Devices registered because they sent a reading; moves when their transaction is committed",
            registry=registry,
        )
        self.refused = Counter(
            "devices_api_refused",
            "What presence and activity said and was not kept: auto_register_limit, the registry was full when "
            "an unknown device was seen; presence_limit, too many unregistered devices have told of themselves; "
            "activity_limit, too many unregistered devices have sent something; unknown_activity, an ingest of another "
            "version told of it; unregistered_facts, facts of a device that is not registered; facts_limit, facts that "
            "are too long or beyond the most a device may have",
            ["reason"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "devices_api_dead_letters",
            "Messages of PRESENCE and UPLINK that could not be taken, by reason; moves when the dead letter is "
            "acknowledged",
            ["reason"],
            registry=registry,
        )
        self.uplink_messages = Counter(
            "devices_api_uplink_messages",
            "Messages of UPLINK taken in, by kind; moves when what they say is committed",
            ["kind"],
            registry=registry,
        )
        self.told = Counter(
            "devices_api_twins_told",
            "Messages to devices about their twins, by kind: desired, delta; moves when the broker acknowledges it",
            ["kind"],
            registry=registry,
        )
        self.commands = Counter(
            "devices_api_commands",
            "Commands that have come to a state: sent, delivered, succeeded, failed, timed_out, expired; moves when "
            "that is committed",
            ["state"],
            registry=registry,
        )
        self.jobs = Counter(
            "devices_api_jobs",
            "Jobs that have ended, by kind and state: succeeded, failed; moves when that is committed",
            ["kind", "state"],
            registry=registry,
        )
        self.job_rows = Counter(
            "devices_api_job_rows",
            "Rows of jobs, by kind and what became of them: applied, rejected; moves when that is committed",
            ["kind", "outcome"],
            registry=registry,
        )
        self.late_answers = Counter(
            "devices_api_late_answers",
            "Answers to commands that had ended or were as far already, which change nothing; moves when they are "
            "acknowledged",
            registry=registry,
        )
        self.replays = Counter(
            "devices_api_replays",
            "Dead letters handed back to ingest: by a request, edit or filter, or by themselves: registered, online; "
            "moves when the stream server acknowledges it",
            ["cause"],
            registry=registry,
        )
        self.discarded = Counter(
            "devices_api_dead_letters_discarded",
            "Dead letters deleted by request, by the reason they had; moves when the stream server acknowledges it",
            ["reason"],
            registry=registry,
        )
        self.listeners = Gauge("devices_api_live_listeners", "Connections that hear live events now", registry=registry)
        self.listeners_dropped = Counter(
            "devices_api_live_listeners_dropped",
            "Connections to live events that were ended from here: slow, it read more slowly than events came; "
            "key, theirs has ended or was changed; stopping, this replica stops; reset, a stream was made anew; "
            "unavailable, the streams cannot be heard, or the database cannot be asked",
            ["reason"],
            registry=registry,
        )
        self.broker_logins = Counter(
            "devices_api_broker_logins",
            "Logins that a broker has asked about, by outcome: allowed; unknown, nobody has that user name; "
            "wrong_secret; not_valid, the credential is expired or to come; disabled, its device is; "
            "client_id, it is another's; certificate, it is not one of the device's; busy, nobody could tell then",
            ["outcome"],
            registry=registry,
        )
        self.broker_topics = Counter(
            "devices_api_broker_topics",
            "Topics that a broker has asked about, by action and whether that was allowed or denied",
            ["action", "outcome"],
            registry=registry,
        )
        self.provisioned = Counter(
            "devices_api_provisioned",
            "Devices that registered themselves, by what: claim or authority; moves when the transaction is committed",
            ["by"],
            registry=registry,
        )
        self.provision_refused = Counter(
            "devices_api_provision_refused",
            "Requests over MQTT to become a device that were refused, by the error that was answered; unanswered: the "
            "broker was away",
            ["reason"],
            registry=registry,
        )
        self.dynsec_connected = Gauge(
            "devices_api_dynsec_connected",
            "Whether Mosquitto's dynamic-security plugin answers: 1 or 0",
            registry=registry,
        )
        self.dynsec_missing = Gauge(
            "devices_api_dynsec_missing",
            "Credentials that the plugin lost, and which have to be rotated; set at each comparison",
            registry=registry,
        )
        self.dynsec_refused = Counter(
            "devices_api_dynsec_refused",
            "Commands that the plugin refused, which are tried again; moves at its answer",
            registry=registry,
        )
        self.connected = Gauge(
            "devices_api_stream_connected",
            "Whether there is a connection to the stream server now: 1 or 0",
            registry=registry,
        )
        self.connected.set_function(lambda: float(connected()))

        self.broker_connected = Gauge(
            "devices_api_broker_connected",
            "Whether there is a connection to the MQTT broker now: 1 or 0",
            registry=registry,
        )

    def discard(self, reason: str) -> None:
        """Count a discarded dead letter; a reason that this version does not know is counted as `other`."""
        self.discarded.labels(reason if reason in _REASONS else "other").inc()
