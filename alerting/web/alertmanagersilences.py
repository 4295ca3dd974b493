"""Silences in the shape of Alertmanager's API v2."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from alerting.calendars import Calendar
from alerting.notify.document import Document, Kind
from alerting.notify.documents import Documents, FullError, MissingError
from alerting.notify.matching import MOST, Matcher, parse_matcher
from alerting.notify.silences import SilenceSpec, compile_silence
from alerting.notify.views import Views
from contracts.problems import Problem
from contracts.requests import read
from contracts.settings import said
from contracts.times import format_time

_NEVER = "9999-12-31T23:59:59.000Z"


class SilenceMatcher(BaseModel):
    """One condition on a label."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str, Field(max_length=1024)]
    isRegex: bool
    isEqual: bool = True

    def text(self) -> str:
        """Write it as silences are kept. Raises ValueError."""
        operator = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        return str(parse_matcher(str(Matcher(self.name, operator[self.isRegex, self.isEqual], self.value))))


class PostableSilence(BaseModel):
    """A silence; `id` names the one that it replaces."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(max_length=64)] | None = None
    matchers: Annotated[list[SilenceMatcher], Field(min_length=1, max_length=MOST)]
    startsAt: AwareDatetime
    endsAt: AwareDatetime
    createdBy: str
    comment: str


class SilenceId(BaseModel):
    """Which silence it is."""

    silenceID: str


class SilenceStatus(BaseModel):
    """Whether it holds; one with a schedule is pending outside of its hours."""

    state: Literal["expired", "active", "pending"]


class GettableSilence(BaseModel):
    """A silence."""

    id: str
    status: SilenceStatus
    updatedAt: str
    matchers: list[SilenceMatcher]
    startsAt: str
    endsAt: str
    createdBy: str
    comment: str


def routes(
    documents: Documents, views: Views, changed: Callable[[], None], now: Callable[[], int], new_id: Callable[[], str]
) -> APIRouter:
    """Build the routes. `changed` is called after each change."""
    router = APIRouter(prefix="/api/v2", tags=["alertmanager"])
    _add_reads(router, documents, views, now)

    @router.post("/silences")
    async def post(body: PostableSilence) -> SilenceId:
        """Make a silence, or replace the one that is named."""
        content = _content(body)
        try:
            if body.id:
                document = await documents.replace(Kind.SILENCE, body.id, content, None, now())
            else:
                document = await documents.create(Kind.SILENCE, new_id(), content, {}, now())
        except MissingError as error:
            raise _no_silence(body.id or "") from error
        except FullError as error:
            raise Problem(HTTPStatus.CONFLICT, "too-many-silences", "Too many silences", f"{error}.") from error
        changed()
        return SilenceId(silenceID=document.id)

    @router.delete("/silence/{silence_id}")
    async def expire(silence_id: str) -> None:
        """End a silence; it stays in lists as one that is over."""
        document = await _found(documents, silence_id)
        at = now()
        spec = SilenceSpec.model_validate(document.content)
        silence = compile_silence(document.id, spec, await views.calendars())
        if silence.end is None or silence.end > at:
            content = document.content | {"ends_at": format_time(at)}
            if silence.start > at:
                content["starts_at"] = format_time(at)
            await documents.replace(Kind.SILENCE, silence_id, content, None, at)
            changed()

    return router


def _add_reads(router: APIRouter, documents: Documents, views: Views, now: Callable[[], int]) -> None:
    @router.get("/silences")
    async def list_(
        matcher: Annotated[
            list[str] | None,
            Query(alias="filter", max_length=MOST, description="Matcher of what silences say of labels"),
        ] = None,
    ) -> list[GettableSilence]:
        """List silences, those that are over too."""
        asked = [read("bad-matcher", parse_matcher, one) for one in matcher or []]
        at, calendars = now(), await views.calendars()
        silences = [one for one in await views.documents() if one.kind is Kind.SILENCE]
        shown = [_shown(one, at, calendars) for one in silences]
        return [one for one in shown if _meant(one, asked)]

    @router.get("/silence/{silence_id}")
    async def show(silence_id: str) -> GettableSilence:
        """Show a silence."""
        return _shown(await _found(documents, silence_id), now(), await views.calendars())


async def _found(documents: Documents, silence_id: str) -> Document:
    document = await documents.get(Kind.SILENCE, silence_id)
    if document is None:
        raise _no_silence(silence_id)
    return document


def _no_silence(silence_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "no-such-silence", "No such silence", f"There is no silence {silence_id!r}.")


def _content(body: PostableSilence) -> dict[str, Any]:
    try:
        spec = SilenceSpec(
            matchers=[matcher.text() for matcher in body.matchers],
            starts_at=body.startsAt,
            ends_at=body.endsAt,
            comment=body.comment,
            created_by=body.createdBy,
        )
    except (ValidationError, ValueError) as error:
        told = [said(one["msg"]) for one in error.errors()] if isinstance(error, ValidationError) else [str(error)]
        detail = f"{'; '.join(told)}."
        raise Problem(HTTPStatus.BAD_REQUEST, "bad-silence", "The silence cannot be", detail) from error
    return spec.model_dump(mode="json", exclude_defaults=True)


def _shown(document: Document, now: int, calendars: Mapping[str, Calendar]) -> GettableSilence:
    spec = SilenceSpec.model_validate(document.content)
    silence = compile_silence(document.id, spec, calendars)
    over = silence.end is not None and silence.end <= now
    return GettableSilence(
        id=document.id,
        status=SilenceStatus(state="expired" if over else "active" if silence.active(now) else "pending"),
        updatedAt=format_time(document.updated_at),
        matchers=[
            SilenceMatcher(
                name=one.name, value=one.value, isRegex="~" in one.operator, isEqual=one.operator in ("=", "=~")
            )
            for one in silence.matchers
        ],
        startsAt=format_time(silence.start or document.created_at),
        endsAt=_NEVER if silence.end is None else format_time(silence.end),
        createdBy=spec.created_by,
        comment=spec.comment,
    )


def _meant(silence: GettableSilence, asked: list[Matcher]) -> bool:
    """Whether a silence's matchers name labels that meet all that is asked."""
    labels = {one.name: one.value for one in silence.matchers}
    return all(matcher.matches(labels) for matcher in asked)
