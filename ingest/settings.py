"""What ingest can be told, by its environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from contracts.broker import BrokerSettings
from contracts.rates import parse_rate
from contracts.streams import DEFAULT_PARTITIONS
from ingest import table
from ingest.limits import MAX_DEPTH, MAX_POINTS, MOST_PAYLOAD, Limits

MIB = 1 << 20


def _rate(text: str) -> str:
    parse_rate(text)
    return text


Rate = Annotated[str, AfterValidator(_rate)]
"""Token buckets; see contracts.rates."""


def _usable(path: Path | None) -> Path | None:
    if path is not None:
        table.read(path)
    return path


class Settings(BrokerSettings):
    """Variables `INGEST_*`."""

    model_config = SettingsConfigDict(env_prefix="INGEST_")

    port: int = Field(default=8082, ge=0, le=65535, description="Port of the same; 0 takes a free one")
    mqtt_protocol: Literal["3.1.1", "5"] = Field(default="3.1.1", description="MQTT version to speak")
    mqtt_status_topic: str = Field(
        default="",
        max_length=1_024,
        pattern=r"^[^+#\x00]*$",
        description="Topic on which `online` and, also as the will, `offline` are retained; `{client_id}` is filled in",
    )
    shared_group: str = Field(
        default="",
        max_length=128,
        pattern=r"^[^/+#\x00]*$",
        description="Group of several ingest processes, each with a client id of its own, that share the messages",
    )
    client_id: str = Field(
        default="ingest", min_length=1, max_length=128, description="Name of the session that the broker keeps"
    )
    session_expiry_seconds: int = Field(
        default=7 * 86_400, ge=60, le=0xFFFFFFFE, description="How long the broker keeps the session; MQTT 5 only"
    )
    nats_monitor_url: str = Field(
        default="http://127.0.0.1:8222", pattern="^https?://", description="Monitoring of the stream server, for /varz"
    )
    require_fsync: bool = Field(
        default=True, description="Take nothing unless the stream server fsyncs before it acknowledges"
    )
    routes: Annotated[Path | None, AfterValidator(_usable)] = Field(
        default=None,
        description="Routing table, a TOML file; its rows come before the built-in ones of ingest/routes.toml",
    )
    decode_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=60,
        description="CPU time after which reading one message is given up, at the latest after twice as much",
    )
    unknown_device: Literal["register", "quarantine"] = Field(
        default="quarantine", description="Readings of devices that nobody registered: register them, or dead-letter"
    )
    partitions: int = Field(
        default=DEFAULT_PARTITIONS, ge=1, le=256, description="Partitions of a stream that ingest creates"
    )
    receive_window: int = Field(
        default=8_192, ge=64, le=65_535, description="Most messages held unacknowledged; then the broker has to wait"
    )
    receive_window_bytes: int = Field(
        default=256 * MIB,
        ge=8 * MIB,
        description="Most bytes that wait for the window; has to be above the largest message the broker takes",
    )
    linger_ms: float = Field(default=10.0, ge=0, le=1_000, description="How long a batch waits for more readings")
    batch_readings: int = Field(default=500, ge=1, le=10_000, description="Most readings of one batch")
    payload_bytes: int = Field(
        default=MIB, ge=1_024, le=MOST_PAYLOAD, description="Largest payload, where a route does not say otherwise"
    )
    reading_metrics: int = Field(default=1_000, ge=1, le=10_000, description="Most metrics of one reading")
    name_bytes: int = Field(default=256, ge=1, le=1_024, description="Longest name of a metric")
    text_bytes: int = Field(default=8_192, ge=1, le=MIB, description="Longest text value")
    depth: int = Field(default=MAX_DEPTH, ge=1, le=64, description="Deepest nesting of objects and arrays")
    message_points: int = Field(
        default=MAX_POINTS, ge=1, le=100_000, description="Most values of one message, over all its readings"
    )
    clock_ahead_seconds: float = Field(
        default=300.0, ge=0, le=86_400 * 365, description="How far ahead of ours a device's clock may be"
    )
    message_rate: Rate = Field(
        default="",
        description="Messages that a device may send if its profile says nothing, as in 20:1,600:60 (20 in a second and"
        " 600 in a minute); empty for no limit",
    )
    point_rate: Rate = Field(default="", description="The same for points: values, over all readings of a message")
    device_errors: bool = Field(
        default=True, description="Tell devices on devices/ID/errors what was wrong, at most once a second each"
    )

    @property
    def limits(self) -> Limits:
        """Give the limits of one message."""
        return Limits(
            self.payload_bytes,
            self.reading_metrics,
            self.name_bytes,
            self.text_bytes,
            self.depth,
            self.message_points,
        )
