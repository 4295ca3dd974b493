"""Run processor: `python -m processor`, configured by its environment."""

import gc

from contracts.service import run_service
from processor.app import App
from processor.settings import Settings

_YOUNG = 100_000
"""Objects after which garbage is looked for. With Python's own 700, that took a fifth of the time of a full load: a
commit makes several objects a point, which are no garbage and soon go by themselves."""

if __name__ == "__main__":
    gc.freeze()  # what was imported stays
    gc.set_threshold(_YOUNG, 50, 50)
    run_service("processor", Settings, App)
