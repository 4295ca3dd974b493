"""Run alerting: `python -m alerting`, configured by its environment."""

from alerting.app import App
from alerting.settings import Settings
from contracts.service import run_service

if __name__ == "__main__":
    run_service("alerting", Settings, App)
