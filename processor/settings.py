"""What processor can be told, by its environment."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.settings import STORE, StoreSetting, StreamSettings


class Settings(StreamSettings):
    """Variables `PROCESSOR_*`."""

    model_config = SettingsConfigDict(env_prefix="PROCESSOR_")

    port: int = Field(default=8083, ge=0, le=65535, description="Port of the same; 0 takes a free one")
    store: StoreSetting = Field(default="data/timeseries.sqlite3", description=f"The time-series store: {STORE}")
    store_token: SecretStr = Field(default=SecretStr(""), description="Token for that store, where it wants one")
    commit_points: int = Field(
        default=50_000, ge=1, le=1_000_000, description="Points after which a transaction takes no further batch"
    )
    series_in_memory: int = Field(
        default=200_000, ge=2, le=100_000_000, description="Most series whose open window is kept in memory"
    )
    tidy_seconds: float = Field(
        default=600, gt=0, le=86_400, description="How often what is older than its profile keeps it is dropped"
    )
    rest_seconds: float = Field(
        default=0.25,
        ge=0,
        le=10,
        description="Longest rest between two commits, which is at most three times what the last one took",
    )
    lease_seconds: float = Field(
        default=6.0,
        ge=0.1,
        le=600,
        description="Time after which another processor takes over the partitions of one that no longer renews them",
    )
