"""The organisation and its brands."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from onethread.access import queries
from onethread.access.actions.agents import NewAgent, admit
from onethread.access.actions.audit import changes, record_audit
from onethread.access.actions.places import check_country, check_locale, check_time_zone
from onethread.access.events import BrandChanged
from onethread.access.model import SYSTEM, Actor, Agent, Brand, Organisation
from onethread.access.store import organisation as store
from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.ids import BrandId, OrganisationId, new_id
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import EventDraft

_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class NewBrand:
    """A brand about to be made. Without a slug its name makes one."""

    name: str
    default_country: str
    locale: str = "en"
    time_zone: str = "UTC"
    slug: str | None = None
    reopen_days: int = 14
    undo_seconds: int = 8
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrandChange:
    """What shall become different; None leaves a field as it is."""

    name: str | None = None
    default_country: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    reopen_days: int | None = None
    undo_seconds: int | None = None
    colours: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Founded:
    """What the first day leaves behind."""

    organisation: Organisation
    brand: Brand
    owner: Agent


async def found_organisation(
    tx: Tx, *, name: str, brand: NewBrand, owner: NewAgent, password: str, now: datetime
) -> Founded:
    """Make the organisation, its first brand and its owner; raises Conflict once anybody is here."""
    await store.only_one_founds(tx)
    if await queries.is_founded(tx):
        raise Conflict("This installation is set up already; sign in instead.")
    organisation = Organisation(OrganisationId(new_id()), name, now)
    if not await store.insert_organisation(tx, organisation):
        raise Conflict("This installation is set up already; sign in instead.")
    await record_audit(
        tx, SYSTEM, "organisation.founded", "organisation", organisation.id, now=now, after={"name": name}
    )
    first = await create_brand(tx, SYSTEM, brand, now=now)
    agent = await admit(tx, SYSTEM, replace(owner, role="owner"), password=password, now=now)
    return Founded(organisation, first, agent)


async def rename_organisation(tx: Tx, actor: Actor, *, name: str, now: datetime) -> Organisation:
    """Give the organisation another name."""
    actor.require("organisation.manage")
    before = await store.rename_organisation(tx, name)
    if before is None:
        raise NotFound("This installation is not set up yet.")
    await record_audit(
        tx,
        actor,
        "organisation.renamed",
        "organisation",
        before.id,
        now=now,
        before={"name": before.name},
        after={"name": name},
    )
    return replace(before, name=name)


async def create_brand(tx: Tx, actor: Actor, new: NewBrand, *, now: datetime) -> Brand:
    """Make a brand; raises Conflict when its slug is taken."""
    actor.require("brands.manage")
    actor.require_limits(brands=())
    id_ = BrandId(new_id())
    brand = Brand(
        id=id_,
        name=new.name,
        slug=new.slug or slug_of(new.name) or f"brand-{id_.hex[-8:]}",
        default_country=new.default_country,
        locale=new.locale,
        time_zone=new.time_zone,
        reopen_days=new.reopen_days,
        undo_seconds=new.undo_seconds,
        colours=new.colours,
        created_at=now,
    )
    _check(brand)
    if not await store.insert_brand(tx, brand):
        raise Conflict("Another brand has this slug.", field="slug")
    await record_audit(tx, actor, "brand.made", "brand", id_, now=now, after=_summary(brand))
    await append(tx, [EventDraft(BrandChanged(id_), occurred_at=now, by=actor.by, brand_id=id_)])
    return brand


async def change_brand(tx: Tx, actor: Actor, brand_id: BrandId, change: BrandChange, *, now: datetime) -> Brand:
    """Change a brand; its slug stays, for it is in addresses others have kept."""
    actor.require("brands.manage")
    actor.require_brand(brand_id)
    before = await store.locked_brand(tx, brand_id)
    if before is None:
        raise NotFound("No brand has this id.")
    wanted = {field_: value for field_, value in asdict(change).items() if value is not None}
    after = replace(before, **wanted)
    _check(after)
    if after != before:
        await store.update_brand(tx, after)
        old, new = changes(_summary(before), _summary(after))
        await record_audit(tx, actor, "brand.changed", "brand", brand_id, now=now, before=old, after=new)
        await append(tx, [EventDraft(BrandChanged(brand_id), occurred_at=now, by=actor.by, brand_id=brand_id)])
    return after


def slug_of(name: str) -> str:
    """Return a name as it stands in addresses; empty for one without any Latin letter or digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:60].strip("-")


def _check(brand: Brand) -> None:
    check_country(brand.default_country)
    check_locale(brand.locale)
    check_time_zone(brand.time_zone)
    if not _SLUG.fullmatch(brand.slug):
        raise Invalid("A slug has small Latin letters, digits and single hyphens.", field="slug")
    if not 0 <= brand.reopen_days <= 365:
        raise Invalid("A conversation reopens within 0 to 365 days.", field="reopen_days")
    if not 0 <= brand.undo_seconds <= 120:
        raise Invalid("An answer can be held back for 0 to 120 seconds.", field="undo_seconds")
    if not all(_COLOUR.fullmatch(colour) for colour in brand.colours.values()):
        raise Invalid("A colour is written like #4f46e5.", field="colours")


def _summary(brand: Brand) -> dict[str, object]:
    return {
        "name": brand.name,
        "slug": brand.slug,
        "default_country": brand.default_country,
        "locale": brand.locale,
        "time_zone": brand.time_zone,
        "reopen_days": brand.reopen_days,
        "undo_seconds": brand.undo_seconds,
        "colours": dict(brand.colours),
    }
