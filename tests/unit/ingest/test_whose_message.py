"""Whose a message is that cannot be read: its topic tells, so that a dead letter is found by its device."""

import pytest

from tests.unit.ingest.decoding import decode

TOLD = [
    ("tele/loft/SENSOR", "loft"),
    ("tele/loft/LWT", "loft"),
    ("shellies/shellyem-7A1B2C/emeter/0/power", "shellyem-7A1B2C"),
    ("ruuvi/D1:07:5A:3C:88:E9/C4:D5:E6:F7:08:1A", "C4:D5:E6:F7:08:1A"),
    ("N/b827eb40c1ff/battery/512/Dc/0/Voltage", "b827eb40c1ff:battery:512"),
    ("$aws/things/sluice-3/shadow/update/accepted", "sluice-3"),
    ("owntracks/mara/pannier", "mara:pannier"),
    ("v3/orchard@growers/devices/leaf-7/up", "orchard:leaf-7"),
    ("application/5e0a6c1b-7d34-4f0f-9b1e-2a66c0d8e714/device/A84041C2D15F9B08/event/up", "a84041c2d15f9b08"),
]


@pytest.mark.parametrize(("topic", "device"), TOLD)
def test_a_topic_tells_whose_message_it_is_that_cannot_be_read(topic: str, device: str) -> None:
    decoded = decode(topic, b"{broken")
    assert decoded.problems is not None
    assert decoded.device == device
