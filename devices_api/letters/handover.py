"""Dead letters given back to ingest, by its queue REPLAYS: as they are, or edited."""

import json
from dataclasses import dataclass
from hashlib import sha256

from msgspec.structs import replace
from nats.js.errors import APIError, NotFoundError

from contracts.deadletters import DEAD_LETTER, Reason
from contracts.jetstream import Link
from contracts.streams import DEADLETTERS, REPLAYS, deadletter_subject
from devices_api.letters.letterstream import Letter

_WAIT_S = 5.0


@dataclass(frozen=True)
class Edit:
    """What is replayed in place of a dead letter's own; None leaves that."""

    topic: str | None = None
    payload: bytes | None = None


async def hand_over(link: Link, found: Letter) -> None:
    """Give a dead letter to ingest's queue, then delete it. A repeat soon after gives nothing twice."""
    await _publish(link, REPLAYS.subjects, REPLAYS.name, found[1], f"replay-{found[0]}")
    await delete(link, found[0])


async def hand_over_edited(link: Link, found: Letter, edit: Edit) -> None:
    """Give an edited copy to ingest's queue; the original is kept, with the reason that it was edited."""
    sequence, _, letter = found
    topic = letter.topic if edit.topic is None else edit.topic
    payload = letter.payload if edit.payload is None else edit.payload
    # It may be another device's now: the whole of it is taken again, not only the part that was refused.
    copy = DEAD_LETTER.encode(replace(letter, topic=topic, payload=payload, device=""))
    await _publish(link, REPLAYS.subjects, REPLAYS.name, copy, f"replay-{sequence}")
    if letter.reason == Reason.EDITED:
        return
    detail = f"an edited copy was replayed; it had been rejected as {letter.reason}: {letter.detail}"
    original = DEAD_LETTER.encode(replace(letter, reason=Reason.EDITED, detail=detail))
    subject = deadletter_subject(Reason.EDITED, letter.device)
    await _publish(link, subject, DEADLETTERS.name, original, f"edited-{sequence}")
    await delete(link, sequence)


async def delete(link: Link, sequence: int) -> bool:
    """Delete a dead letter; False if another request has just done the same.

    It is not overwritten on disk, which the stream server would do and fsync for each: that takes twenty times as long.
    """
    request = json.dumps({"seq": sequence, "no_erase": True}).encode()
    answer = await link.client.request(f"$JS.API.STREAM.MSG.DELETE.{DEADLETTERS.name}", request, timeout=_WAIT_S)
    if (error := json.loads(answer.data).get("error")) is None:
        return True
    try:
        await link.js.get_msg(DEADLETTERS.name, sequence)
    except NotFoundError:
        return False
    raise APIError.from_error(error)


async def _publish(link: Link, subject: str, stream: str, data: bytes, name: str) -> None:
    """Publish, once: by `name` and the bytes the stream knows what it has had in the last two minutes."""
    headers = {"Nats-Msg-Id": f"{name}-{sha256(data).hexdigest()[:32]}"}
    await link.js.publish(subject, data, timeout=_WAIT_S, stream=stream, headers=headers)
