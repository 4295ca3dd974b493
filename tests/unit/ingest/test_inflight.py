from mqttium.enums import InboundQoSState, QoS
from mqttium.types import InboundMessage

from ingest.inflight import Inflight


def message(mid: int) -> InboundMessage:
    return InboundMessage(
        mid, "t", b"", QoS.AT_LEAST_ONCE, retain=False, state=InboundQoSState.WAIT_PUBACK, logical_size=1
    )


def test_a_message_is_completed_once_and_only_in_its_state() -> None:
    store = Inflight()
    store.put_in(message(1))
    found = store.in_meta(1)
    assert found is not None
    assert (found.mid, found.state, found.logical_size) == (1, InboundQoSState.WAIT_PUBACK, 1)
    assert store.complete_in(1, InboundQoSState.WAIT_PUBREL) is None
    assert store.complete_in(1, InboundQoSState.WAIT_PUBACK) is found
    assert store.complete_in(1, InboundQoSState.WAIT_PUBACK) is None
    assert store.in_meta(1) is None
    assert store.in_count() == 0
