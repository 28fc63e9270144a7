"""Routes about the organisation: its name, brands, API keys and audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from onethread.access import queries
from onethread.access.acting import Acting, needs
from onethread.access.actions import brands, keys
from onethread.access.actions.brands import BrandChange, NewBrand
from onethread.access.api_people import Brands
from onethread.access.api_shapes import Locale, Name, TimeZone, house_of
from onethread.access.model import ApiKey, AuditEntry, Brand, Organisation, Permission, Role
from onethread.kernel.errors import NotFound
from onethread.kernel.ids import BrandId, KeyId
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["access"])

Country = Annotated[str, StringConstraints(min_length=2, max_length=2, to_upper=True)]
Slug = Annotated[str, StringConstraints(max_length=60)]
Colours = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")], Annotated[str, StringConstraints(max_length=9)]],
    Field(max_length=40),
]
ReopenDays = Annotated[int, Field(ge=0, le=365)]
UndoSeconds = Annotated[int, Field(ge=0, le=120)]


class OrganisationBody(Body):
    name: Name


class NewBrandBody(Body):
    name: Name
    default_country: Country
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"
    slug: Slug | None = None
    reopen_days: ReopenDays = 14
    undo_seconds: UndoSeconds = 8
    colours: Colours = Field(default_factory=dict)


class BrandBody(Body):
    name: Name | None = None
    default_country: Country | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    reopen_days: ReopenDays | None = None
    undo_seconds: UndoSeconds | None = None
    colours: Colours | None = None


class NewKeyBody(Body):
    name: Name
    role: Role
    scopes: Annotated[tuple[Permission, ...], Field(max_length=200)] | None = None
    brands: Brands = ()
    expires_at: AwareDatetime | None = None


class IssuedKey(BaseModel):
    """A fresh key; `secret` is shown this once."""

    key: ApiKey
    secret: str


@routes.get("/organisation", operation_id="get_organisation", openapi_extra=needs("organisation.read"))
async def get_organisation(request: Request, actor: Acting) -> Organisation:
    """Show whose installation this is."""
    actor.require("organisation.read")
    async with house_of(request).database.transaction() as tx:
        organisation = await queries.organisation(tx)
    if organisation is None:
        raise NotFound("This installation is not set up yet.")
    return organisation


@routes.patch("/organisation", operation_id="rename_organisation", openapi_extra=needs("organisation.manage"))
async def rename(request: Request, actor: Acting, body: OrganisationBody) -> Organisation:
    """Give the organisation another name."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await brands.rename_organisation(tx, actor, name=body.name, now=house.clock())


@routes.get("/brands", operation_id="list_brands", openapi_extra=needs("organisation.read"))
async def list_brands(request: Request, actor: Acting) -> Page[Brand]:
    """List the brands within the actor's limits, the oldest first."""
    actor.require("organisation.read")
    async with house_of(request).database.transaction() as tx:
        found = await queries.brands(tx)
    return Page(items=[brand for brand in found if actor.sees_brand(brand.id)])


@routes.get("/brands/{brand_id}", operation_id="get_brand", openapi_extra=needs("organisation.read"))
async def get_brand(request: Request, actor: Acting, brand_id: BrandId) -> Brand:
    """Show one brand."""
    actor.require("organisation.read")
    async with house_of(request).database.transaction() as tx:
        brand = await queries.brand(tx, brand_id)
    if brand is None or not actor.sees_brand(brand_id):
        raise NotFound("No brand of yours has this id.")
    return brand


@routes.post("/brands", operation_id="create_brand", status_code=201, openapi_extra=needs("brands.manage"))
async def create_brand(request: Request, actor: Acting, body: NewBrandBody) -> Brand:
    """Make a brand."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await brands.create_brand(tx, actor, NewBrand(**dict(body)), now=house.clock())


@routes.patch("/brands/{brand_id}", operation_id="change_brand", openapi_extra=needs("brands.manage"))
async def change_brand(request: Request, actor: Acting, brand_id: BrandId, body: BrandBody) -> Brand:
    """Change a brand; fields left out stay."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await brands.change_brand(tx, actor, brand_id, BrandChange(**dict(body)), now=house.clock())


@routes.get("/keys", operation_id="list_keys", openapi_extra=needs("keys.manage"))
async def list_keys(request: Request, actor: Acting) -> Page[ApiKey]:
    """List API keys, the newest first, revoked ones included; never their secrets."""
    actor.require("keys.manage")
    async with house_of(request).database.transaction() as tx:
        return Page(items=await queries.keys(tx))


@routes.post("/keys", operation_id="create_key", status_code=201, openapi_extra=needs("keys.manage"))
async def create_key(request: Request, actor: Acting, body: NewKeyBody) -> IssuedKey:
    """Issue an API key; its secret is shown this once."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        issued = await keys.create_key(
            tx,
            actor,
            name=body.name,
            role=body.role,
            scopes=body.scopes,
            brands=body.brands,
            expires_at=body.expires_at,
            now=house.clock(),
        )
    return IssuedKey(key=issued.key, secret=issued.secret)


@routes.delete("/keys/{key_id}", operation_id="revoke_key", status_code=204, openapi_extra=needs("keys.manage"))
async def revoke_key(request: Request, actor: Acting, key_id: KeyId) -> None:
    """Revoke an API key for ever."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await keys.revoke_key(tx, actor, key_id, now=house.clock())


@routes.get("/audit", operation_id="list_audit", openapi_extra=needs("audit.read"))
async def list_audit(
    request: Request,
    actor: Acting,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    subject_kind: Annotated[str | None, Query(max_length=40, pattern=r"^[a-z_]+$")] = None,
    subject_id: UUID | None = None,
) -> Page[AuditEntry]:
    """List administrative acts, the newest first."""
    actor.require("audit.read")
    actor.require_no_limits("The audit log is")
    before = read_cursor(cursor, UUID)
    async with house_of(request).database.transaction() as tx:
        found = await queries.audit(
            tx, before=before, limit=limit + 1, subject_kind=subject_kind, subject_id=subject_id
        )
    more = found[limit - 1].id if len(found) > limit else None
    return Page(items=found[:limit], next=write_cursor(more) if more else None)
