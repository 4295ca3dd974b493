"""Run processor: `python -m processor`, configured by its environment."""

from contracts.service import run_service
from processor.app import App
from processor.settings import Settings

if __name__ == "__main__":
    run_service("processor", Settings, App)
