"""Routes of the customers room: who they are, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints, model_validator

from onethread.access import queries as access
from onethread.access.acting import Acting, needs
from onethread.access.acting import House as AccessHouse
from onethread.customers import deciding, queries, queries_evidence
from onethread.customers.queries import CustomerLine, IdentifierLine, parse_identifier
from onethread.customers.queries_evidence import BlockedLine, ChangeLine, EvidenceLine, MarkLine, Suggestion
from onethread.kernel.errors import Invalid, NotFound
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import BrandId, CustomerId, EvidenceId, IdentifierId
from onethread.platform.db import Tx
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["customers"])

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=200)]
Written = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00]*$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]


class House(AccessHouse, Protocol):
    """What these routes need of `request.app.state.house`."""


class LinkBody(Body):
    """Who is the same person: another customer, or an identifier such as `phone:+66812345678`."""

    customer_id: CustomerId | None = None
    identifier: Written | None = None
    brand_id: BrandId | None = Field(default=None, description="Whose country completes a national number.")
    reason: Reason

    @model_validator(mode="after")
    def _one_of_two(self) -> "LinkBody":
        if (self.customer_id is None) == (self.identifier is None):
            raise ValueError("Give either customer_id or identifier.")
        return self


class ApartBody(Body):
    """Who is not the same person: another customer, or two identifiers that may be one customer's now."""

    customer_id: CustomerId | None = None
    identifier_ids: tuple[IdentifierId, IdentifierId] | None = None
    reason: Reason

    @model_validator(mode="after")
    def _one_of_two(self) -> "ApartBody":
        if (self.customer_id is None) == (self.identifier_ids is None):
            raise ValueError("Give either customer_id or identifier_ids.")
        return self


class BlockBody(Body):
    kind: IdentifierKind
    value: Written
    reason: Reason


class MarkPointer(Body):
    mark_id: UUID


class IdentifierDetail(Body):
    """An identifier of a customer with everything that was said about it."""

    identifier: IdentifierLine
    evidence: Sequence[EvidenceLine]


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


# --- who ------------------------------------------------------------------------------------------


@routes.get("/customers", operation_id="list_customers", openapi_extra=needs("customers.read"))
async def list_customers(
    request: Request,
    actor: Acting,
    identifier: Annotated[
        str | None, Query(max_length=600, description="An identifier in any writing: `email:ana@example.com`.")
    ] = None,
    brand: Annotated[BrandId | None, Query(description="Whose country completes a national number.")] = None,
    q: Annotated[Words | None, Query(description="A part of a name, or the beginning of an identifier.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[CustomerLine]:
    """List customers, the newest first: all, those with an identifier, or those like some words."""
    actor.require("customers.read")
    before = read_cursor(cursor, tuple[datetime, CustomerId])
    async with _house(request).database.transaction() as tx:
        if identifier is not None:
            sought = await _read_identifier(tx, identifier, brand)
            return Page(items=await queries.customers_with(tx, sought))
        if q:
            rows = await queries.customers_like(tx, q, before=before, limit=limit + 1)
        else:
            rows = await queries.customers(tx, before=before, limit=limit + 1)
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(items=rows[:limit], next=write_cursor((more.created_at, more.id)) if more else None)


@routes.get("/customers/{customer_id}", operation_id="get_customer", openapi_extra=needs("customers.read"))
async def get_customer(request: Request, actor: Acting, customer_id: CustomerId) -> CustomerLine:
    """Show a customer; the id of one who was joined with another shows that other, under its own id."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        return await _customer(tx, customer_id)


# --- why ------------------------------------------------------------------------------------------


@routes.get(
    "/customers/{customer_id}/identifiers",
    operation_id="list_customer_identifiers",
    openapi_extra=needs("customers.read"),
)
async def list_identifiers(request: Request, actor: Acting, customer_id: CustomerId) -> Page[IdentifierDetail]:
    """List a customer's identifiers, each with the evidence that joins it, or why that was not believed."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        customer = await _customer(tx, customer_id)
        evidence = await queries_evidence.evidence_of(tx, customer.id)
    return Page(
        items=[
            IdentifierDetail(identifier=one, evidence=[line for line in evidence if line.identifier_id == one.id])
            for one in customer.identifiers
        ]
    )


@routes.get(
    "/customers/{customer_id}/changes", operation_id="list_customer_changes", openapi_extra=needs("customers.read")
)
async def list_changes(request: Request, actor: Acting, customer_id: CustomerId, limit: Limit = 50) -> Page[ChangeLine]:
    """List when this customer was joined with others or split, why and by whom, the newest first."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        await _current(tx, customer_id)
        return Page(items=await queries_evidence.changes_of(tx, customer_id, limit=limit))


@routes.get(
    "/customers/{customer_id}/suggestions",
    operation_id="list_customer_suggestions",
    openapi_extra=needs("customers.read"),
)
async def list_suggestions(
    request: Request, actor: Acting, customer_id: CustomerId, limit: Limit = 50
) -> Page[Suggestion]:
    """List who else this customer may be, the strongest evidence first."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        current = await _current(tx, customer_id)
        return Page(items=await queries_evidence.suggestions(tx, current, limit=limit))


@routes.get(
    "/customers/{customer_id}/not-same", operation_id="list_customer_marks", openapi_extra=needs("customers.read")
)
async def list_marks(request: Request, actor: Acting, customer_id: CustomerId) -> Page[MarkLine]:
    """List who this customer was marked not to be."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        current = await _current(tx, customer_id)
        return Page(items=await queries_evidence.marks(tx, current))


# --- deciding -------------------------------------------------------------------------------------


@routes.post("/customers/{customer_id}/links", operation_id="link_customer", openapi_extra=needs("customers.link"))
async def link_customer(request: Request, actor: Acting, customer_id: CustomerId, body: LinkBody) -> CustomerLine:
    """Confirm that another customer, or whoever has an identifier, is this same person."""
    actor.require("customers.link")
    house = _house(request)
    now = house.clock()
    async with house.database.transaction() as tx:
        if body.customer_id is not None:
            await deciding.join_customer(tx, actor, customer_id, body.customer_id, reason=body.reason, now=now)
        elif body.identifier is not None:
            identifier = await _read_identifier(tx, body.identifier, body.brand_id)
            await deciding.join_identifier(tx, actor, customer_id, identifier, reason=body.reason, now=now)
        return await _customer(tx, customer_id)


@routes.delete(
    "/evidence/{evidence_id}",
    operation_id="revoke_evidence",
    status_code=204,
    openapi_extra=needs("customers.link"),
)
async def revoke_evidence(
    request: Request,
    actor: Acting,
    evidence_id: EvidenceId,
    reason: Annotated[Reason | None, Query()] = None,
) -> None:
    """Take evidence back: what it joined is apart again, each side with exactly its own."""
    house = _house(request)
    why = reason or f"{actor.name} took it back."
    async with house.database.transaction() as tx:
        await deciding.take_back(tx, actor, evidence_id, reason=why, now=house.clock())


@routes.post(
    "/customers/{customer_id}/not-same",
    operation_id="mark_not_same",
    status_code=201,
    openapi_extra=needs("customers.link"),
)
async def mark_not_same(request: Request, actor: Acting, customer_id: CustomerId, body: ApartBody) -> MarkPointer:
    """Mark as not the same person, whatever the evidence says, until the mark is lifted."""
    actor.require("customers.link")
    house = _house(request)
    now = house.clock()
    async with house.database.transaction() as tx:
        if body.customer_id is not None:
            mark = await deciding.tell_customers_apart(
                tx, actor, customer_id, body.customer_id, reason=body.reason, now=now
            )
        else:
            one, other = await _two_of(tx, customer_id, body.identifier_ids)
            mark = await deciding.tell_identifiers_apart(tx, actor, one, other, reason=body.reason, now=now)
    return MarkPointer(mark_id=mark)


@routes.delete(
    "/not-same/{mark_id}", operation_id="unmark_not_same", status_code=204, openapi_extra=needs("customers.link")
)
async def unmark_not_same(request: Request, actor: Acting, mark_id: UUID) -> None:
    """Lift such a mark."""
    house = _house(request)
    async with house.database.transaction() as tx:
        await deciding.lift_mark(tx, actor, mark_id, now=house.clock())


@routes.post(
    "/suggestions/{evidence_id}/accept",
    operation_id="accept_suggestion",
    status_code=204,
    openapi_extra=needs("customers.link"),
)
async def accept_suggestion(request: Request, actor: Acting, evidence_id: EvidenceId) -> None:
    """Confirm what weak evidence suggests: they are one customer."""
    house = _house(request)
    async with house.database.transaction() as tx:
        await deciding.accept_suggestion(tx, actor, evidence_id, now=house.clock())


@routes.post(
    "/suggestions/{evidence_id}/reject",
    operation_id="reject_suggestion",
    openapi_extra=needs("customers.link"),
)
async def reject_suggestion(request: Request, actor: Acting, evidence_id: EvidenceId) -> MarkPointer:
    """Remember that they are different people; it is not suggested again."""
    house = _house(request)
    async with house.database.transaction() as tx:
        return MarkPointer(mark_id=await deciding.reject_suggestion(tx, actor, evidence_id, now=house.clock()))


@routes.get("/blocked-values", operation_id="list_blocked_values", openapi_extra=needs("customers.read"))
async def list_blocked_values(
    request: Request, actor: Acting, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000
) -> Page[BlockedLine]:
    """List the values that stand for nobody in this company, the newest first."""
    actor.require("customers.read")
    async with _house(request).database.transaction() as tx:
        return Page(items=await queries_evidence.blocked_values(tx, limit=limit))


@routes.post("/blocked-values", operation_id="block_value", status_code=204, openapi_extra=needs("customers.link"))
async def block_value(request: Request, actor: Acting, body: BlockBody) -> None:
    """Say that a value stands for nobody (a till's walk-in customer): it joins nobody from now on."""
    actor.require("customers.link")
    house = _house(request)
    async with house.database.transaction() as tx:
        value = (await _read_identifier(tx, f"{body.kind}:{body.value}", None)).value
        await deciding.block_value(tx, actor, body.kind, value, reason=body.reason, now=house.clock())


@routes.delete("/blocked-values", operation_id="unblock_value", status_code=204, openapi_extra=needs("customers.link"))
async def unblock_value(
    request: Request,
    actor: Acting,
    kind: IdentifierKind,
    value: Annotated[str, Query(min_length=1, max_length=600)],
) -> None:
    """Take a value from that list again."""
    actor.require("customers.link")
    house = _house(request)
    async with house.database.transaction() as tx:
        read = (await _read_identifier(tx, f"{kind}:{value}", None)).value
        await deciding.unblock_value(tx, actor, kind, read, now=house.clock())


# --- shared by the routes -------------------------------------------------------------------------


async def _customer(tx: Tx, customer_id: CustomerId) -> CustomerLine:
    found = await queries.customer(tx, customer_id)
    if found is None:
        raise NotFound("There is no such customer.")
    return found


async def _current(tx: Tx, customer_id: CustomerId) -> CustomerId:
    found = await queries.current_id(tx, customer_id)
    if found is None:
        raise NotFound("There is no such customer.")
    return found


async def _read_identifier(tx: Tx, written: str, brand_id: BrandId | None) -> Identifier:
    """Read an identifier; a national number is completed by the brand's country, or the only brand's."""
    brands = await access.brands(tx)
    countries = {brand.default_country for brand in brands if brand_id is None or brand.id == brand_id}
    return parse_identifier(written, countries.pop() if len(countries) == 1 else None)


async def _two_of(
    tx: Tx, customer_id: CustomerId, ids: tuple[IdentifierId, IdentifierId] | None
) -> tuple[IdentifierId, IdentifierId]:
    """Return two identifiers, at least one of which is this customer's. Raises Invalid otherwise."""
    customer = await _customer(tx, customer_id)
    if ids is None or not {one.id for one in customer.identifiers} & set(ids):
        raise Invalid("Neither identifier is this customer's.", field="identifier_ids")
    return ids


def router() -> APIRouter:
    """Return every route of this room, without the prefix of the API."""
    return routes
