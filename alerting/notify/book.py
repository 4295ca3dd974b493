"""Which receivers there are, with their secrets, and the built-in one."""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from alerting.notify.document import Document, Kind
from alerting.notify.documents import Documents
from alerting.notify.receivers import Receiver, WebhookReceiver, parse_receiver
from alerting.notify.routing import BUILT_IN


class UnreadableError(Exception):
    """There is such a receiver, but this version does not understand what is written of it."""


class Book:
    """Receivers by id. `webhook_url`, if it is not empty, makes the one that is built in; a document goes before it."""

    def __init__(self, documents: Documents, webhook_url: str) -> None:
        self._documents = documents
        self._built_in = WebhookReceiver(type="webhook", url=webhook_url) if webhook_url else None
        self._revision = -1
        self._readable: Mapping[str, Receiver] = {}

    async def find(self, name: str) -> Receiver | None:
        """Read a receiver; None if there is none. Raises UnreadableError."""
        document = await self._documents.get(Kind.RECEIVER, name)
        if document is not None:
            receiver = _read(document)
            if receiver is None:
                raise UnreadableError
            return receiver
        return self._built_in if name == BUILT_IN else None

    async def all(self) -> Mapping[str, Receiver]:
        """Give all receivers that this version understands; they are read again only where documents have changed."""
        if await self._documents.revision() != self._revision:
            self._revision, documents = await self._documents.all()
            self._readable = self._of(documents)
        return self._readable

    def _of(self, documents: Iterable[Document]) -> dict[str, Receiver]:
        found: dict[str, Receiver] = {} if self._built_in is None else {BUILT_IN: self._built_in}
        for document in documents:
            if document.kind is Kind.RECEIVER and (receiver := _read(document)) is not None:
                found[document.id] = receiver
        return found


def _read(document: Document) -> Receiver | None:
    try:
        return parse_receiver(document.content, document.secrets)
    except ValidationError:
        return None
