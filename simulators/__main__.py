"""`python -m simulators`: run the fleet as a service, configured by its environment."""

from contracts.service import run_service
from contracts.settings import fail
from simulators.app import App
from simulators.scenario.reading import ScenarioError
from simulators.settings import Settings
from simulators.truth.keeping import LedgerError

try:
    run_service("simulators", Settings, App)
except LedgerError as error:
    fail(f"SIMULATORS_LEDGER: {error}")
except ScenarioError as error:
    fail(f"SIMULATORS_SCENARIO: {error}")
