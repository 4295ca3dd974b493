"""Run alerting: `python -m alerting`, configured by its environment."""

import gc

from alerting.app import App
from alerting.settings import Settings
from contracts.service import run_service

_YOUNG = 100_000
"""Objects after which garbage is looked for. With Python's own 700, that took a third of the time of loading many rules
and devices: what is made of them is no garbage, and stays."""

if __name__ == "__main__":
    gc.freeze()  # what was imported stays
    gc.set_threshold(_YOUNG, 50, 50)
    run_service("alerting", Settings, App)
