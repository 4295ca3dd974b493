"""`python -m simulators`: run the fleet as a service, configured by its environment."""

from contracts.service import run_service
from simulators.app import App
from simulators.settings import Settings

run_service("simulators", Settings, App)
