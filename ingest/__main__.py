"""Run ingest: `python -m ingest`, configured by its environment."""

from contracts.service import run_service
from ingest.app import App
from ingest.settings import Settings

if __name__ == "__main__":
    run_service("ingest", Settings, App)
