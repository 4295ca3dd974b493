"""The composition root: builds the parts, starts and stops them."""

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from alerting.settings import Settings
from contracts.logs import Log


class App:
    """One alerting service."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self.registry = CollectorRegistry()
        self.api = FastAPI()

    def waiting_for(self) -> list[str]:
        """Name what is missing."""
        return []

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""
