"""Words and examples of the API's description: each body by its operation, each parameter by its name. Pure."""

from typing import Any

TAGS = {
    "devices": "Devices as the registry has them.",
    "groups": "The tree of groups that devices are in.",
    "profiles": "What devices of a kind measure, and how it is taken; each version of it.",
    "twins": "What devices are to be, and what they say that they are.",
    "commands": "What devices are told to do, and what came of it.",
    "telemetry": "What devices have measured.",
    "live": "What happens, as it happens.",
    "dead letters": "Messages that could not be taken, and are kept.",
    "credentials": "What devices prove themselves with at the broker.",
    "provisioning": "Devices that register themselves.",
    "access": "API keys, and who asks.",
    "audit": "Who changed what.",
    "jobs": "Work that takes longer than a request: imports and exports of many devices.",
    "imports": "Devices and telemetry from files.",
}

_GIFTS = {"profile": "pump", "groups": ["north"], "tags": {"hall": "2"}}
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"

BODIES: dict[str, Any] = {
    "telemetry_query": {
        "devices": ["pump-7", "pump-8"],
        "metrics": ["pressure"],
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-02T00:00:00Z",
        "aggregates": ["mean", "max"],
        "interval": "1h",
        "fill": "previous",
    },
    "devices_add": {
        "id": "pump-7",
        "name": "Pump 7",
        "profile": "pump",
        "tags": {"site": "north"},
        "attributes": {"installed": 2024},
        "location": {"latitude": 48.2, "longitude": 16.4},
    },
    "devices_change": {"name": "Pump 7, spare", "enabled": False},
    "devices_twin_desired_change": {"valve": {"open": True}},
    "devices_twin_desired_put": {"valve": {"open": True, "percent": 40}},
    "devices_twin_reported_change": {"valve": {"open": True}},
    "groups_add": {"id": "north", "name": "Northern site"},
    "groups_change": {"name": "North"},
    "devices_commands_add": {"name": "open", "params": {"percent": 40}, "timeout": 30},
    "commands_add": {"filter": 'profile eq "pump"', "name": "restart", "response": False},
    "profiles_put": {
        "metrics": {"pressure": {"unit": "bar", "min": 0, "max": 16}},
        "computed": {"flow": "rate(volume) * 60"},
        "zone": "Europe/Paris",
    },
    "keys_add": {"name": "dashboard", "scopes": ["read"]},
    "keys_change": {"disabled": True},
    "dead_letters_replay": {"topic": "devices/pump-7/telemetry"},
    "devices_credentials_add": {"kind": "password", "name": "since the spring"},
    "devices_credentials_rotate": {"grace": 3600},
    "claims_add": {"name": "pallet 12", "most": 20, "pattern": "pump-*", "gives": _GIFTS},
    "claims_change": {"most": 30},
    "authorities_add": {"name": "factory", "certificate": _CERTIFICATE, "auto_register": True, "gives": _GIFTS},
    "authorities_change": {"auto_register": False},
    "provision": {"key": "a claim key of the pallet", "id": "pump-9"},
    "broker_accounts_add": {"name": "ingest"},
}

FILES: dict[str, dict[str, str]] = {
    "jobs_import_devices": {
        "text/csv": "id,name,profile,tags.site\npump-7,Pump 7,pump,north\n",
        "application/jsonl": '{"id": "pump-7", "name": "Pump 7", "profile": "pump", "tags": {"site": "north"}}\n',
    },
    "jobs_import_telemetry": {
        "text/csv": "device,metric,ts,number,boolean,text\npump-7,pressure,2026-01-01T00:00:00Z,4.5,,\n",
        "application/jsonl": '{"device": "pump-7", "metric": "pressure", "ts": "2026-01-01T00:00:00Z", "value": 4.5}\n',
    },
}
"""Examples of bodies that are files, by operation and media type."""

PARAMETERS: dict[str, tuple[str, Any]] = {
    "Last-Event-ID": ("The id after which to go on", ""),
    "aggregate": ("What is made of the points of each window", "mean"),
    "all": ("", False),
    "authority_id": ("Authority", "9f2c6a1e0b7d4835"),
    "claim_id": ("Claim key, by its id", "9f2c6a1e0b7d4835"),
    "command_id": ("Command", "0198c2f0a1b2-9f2c6a1e"),
    "credential_id": ("Credential", "9f2c6a1e0b7d4835"),
    "cursor": ("", ""),
    "deleted": ("", True),
    "device": ("Device", "pump-7"),
    "device_id": ("Device", "pump-7"),
    "end": ("Before this time", "2026-01-02T00:00:00Z"),
    "event": ("", "reading"),
    "format": ("What the file is", "csv"),
    "group_id": ("Group", "north"),
    "id": ("Its id, as lists and answers give it", "12"),
    "interval": ("How wide windows are; `auto` chooses", "1h"),
    "job_id": ("Job", "0198c2f0a1b29f2c6a1e"),
    "key_id": ("API key, by its id", "0011223344556677"),
    "limit": ("Most items of a page", 100),
    "metric": ("Metric", "pressure"),
    "mode": ("What becomes of devices that are there already", "upsert"),
    "move_to": ("", "south"),
    "name": ("Name", "ingest"),
    "profile_id": ("Profile", "pump"),
    "start": ("At this time or later", "2026-01-01T00:00:00Z"),
    "state": ("Those in this state", "succeeded"),
    "ts": ("Time of the point", "2026-01-01T00:00:00Z"),
    "version": ("Version", 3),
    "wait": ("", 5),
    "who": ("", "dashboard"),
}
