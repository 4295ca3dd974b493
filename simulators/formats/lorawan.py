"""What LoRaWAN network servers say besides what devices measure: how a gateway has heard them."""

from collections.abc import Mapping, Sequence

from contracts.readings import Value
from simulators.plan.devices import Device


def heard(device: Device) -> tuple[int, float]:
    """Give strength (dBm) and signal to noise (dB), as they are where this device is."""
    return -60 - device.number % 60, device.number % 40 / 4


def radio_of(devices: Sequence[Device], **same: float | str) -> Mapping[str, Sequence[Value | None]]:
    """Give what is stored of the radio: what all devices have alike, and how each is heard."""
    each = [heard(device) for device in devices]
    alike: dict[str, Sequence[Value | None]] = {
        f"radio.{name}": [value if isinstance(value, str) else float(value)] * len(devices)
        for name, value in same.items()
    }
    return alike | {"radio.rssi": [float(rssi) for rssi, _ in each], "radio.snr": [snr for _, snr in each]}
