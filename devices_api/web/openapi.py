"""What the API's description says beside what the routes say themselves."""

from contracts.openapi import Wording, namer
from devices_api.web.examples import BODIES, FILES, PARAMETERS, TAGS
from devices_api.web.idempotency import HEADER

_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Of one's own making: with it, the request is done once, however often it is sent",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "example": "a1c4f0d2-first-try",
}

WORDING = Wording(
    about="The registry of devices, and what they have measured.",
    tags=TAGS,
    bodies=BODIES,
    parameters=PARAMETERS,
    files=FILES,
    doing=frozenset(
        [
            "counts",
            "export",
            "latest",
            "provenance",
            "provision",
            "query",
            "replay",
            "report",
            "restore",
            "result",
            "rotate",
        ]
    ),
    one=frozenset({"me", "twin"}),
    many=frozenset({("post", "/dead-letters/replay")}),
    without_key=frozenset({"provision"}),
    everywhere=frozenset({"401", "403", "429", "500", "503"}),
    ending={
        "/result": "409",  # there is none yet
        # Devices are named in the address' query, or in the body.
        "/latest": "404",
        "/query": "404",
        "/export": "404",
        "/commands": "404",
    },
    posting=(_IDEMPOTENCY_KEY,),
)

operation_id = namer(WORDING)
