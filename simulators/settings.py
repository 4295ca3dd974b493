"""What the simulators can be told: `SIMULATORS_*`."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from the environment, and from nowhere else."""

    model_config = SettingsConfigDict(env_prefix="SIMULATORS_")

    port: int = Field(default=8084, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics; 0: a free one")
    mqtt_host: str = Field(default="127.0.0.1", min_length=1, description="MQTT broker's host")
    mqtt_port: int = Field(default=1883, ge=1, le=65535, description="MQTT broker's port")
    mqtt_username: str = Field(default="", description="User name for the broker, where it wants one")
    mqtt_password: SecretStr = Field(default=SecretStr(""), description="Password for the broker")
    scenario: str = Field(
        default="",
        description="Scenario whose fleet is run, a shipped one's name or a file; empty: the variables below",
    )
    devices: int = Field(default=50, ge=1, le=100_000, description="Number of devices")
    first: int = Field(default=0, ge=0, le=10_000_000, description="Index of the first device, for several processes")
    rate: float = Field(default=1.0, gt=0, le=100_000, description="Messages a second of each device")
    seconds: float = Field(default=0.0, ge=0, description="How long to publish; 0: until stopped")
    seed: int = Field(default=1, description="Seed of everything random: the same seed sends the same values")
    malformed: float = Field(default=0.0, ge=0, le=1, description="Share of messages sent malformed on purpose")
    ledger: str = Field(default="data/fleet.ledger", description="File that records what is sent; empty: none")
    connections: int = Field(default=64, ge=1, le=1000, description="Most MQTT connections; more devices share them")
    window: int = Field(default=1000, ge=1, le=60_000, description="Most unacknowledged messages of one connection")
