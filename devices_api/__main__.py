"""Run devices_api: `python -m devices_api`."""

from contracts.service import run_service
from devices_api.app import App
from devices_api.settings import Settings

if __name__ == "__main__":
    run_service("devices_api", Settings, App)
