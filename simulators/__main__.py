"""`python -m simulators`: run the fleet as a service, configured by its environment."""

from contracts.service import run_service
from contracts.settings import fail
from simulators.app import App
from simulators.ledger import LedgerError
from simulators.settings import Settings

try:
    run_service("simulators", Settings, App)
except LedgerError as error:
    fail(f"SIMULATORS_LEDGER: {error}")
