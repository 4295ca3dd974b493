"""Run ingest: `python -m ingest`, configured by its environment."""

import gc

from contracts.service import run_service
from ingest.app import App
from ingest.settings import Settings

_YOUNG = 100_000
"""Objects after which garbage is looked for. With Python's own 700, that took a tenth of the time of a full load: what
messages are made into is held until it is on disk, is no garbage, and goes by itself."""

if __name__ == "__main__":
    gc.freeze()  # what was imported stays
    gc.set_threshold(_YOUNG, 50, 50)
    run_service("ingest", Settings, App)
