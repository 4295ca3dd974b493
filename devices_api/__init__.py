"""devices_api: the registry of devices, and what operators ask about them, over HTTP."""
