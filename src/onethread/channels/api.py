"""Routes of the channels room: accounts, receipts."""

from collections.abc import Mapping
from typing import Annotated, Protocol, cast

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints

from onethread.access.acting import Acting, needs
from onethread.access.acting import House as AccessHouse
from onethread.channels import actions
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Channel, Declaration, Health
from onethread.channels.model import AccountLine, ReceiptLine, ReceiptState
from onethread.kernel.errors import Invalid, NotFound
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.secrets import Secrets
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["channels"])

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
SettingValue = Annotated[str, StringConstraints(max_length=20_000)]
Given = Annotated[dict[Annotated[str, StringConstraints(max_length=60)], SettingValue], Field(max_length=100)]
Seq = Annotated[int, Field(ge=1, lt=1 << 63)]


class TellsLanes(Protocol):
    """Whoever applies receipts."""

    def tell(self, lanes: set[int]) -> None: ...


class House(AccessHouse, Protocol):
    """What these routes need of `request.app.state.house`."""

    @property
    def secrets(self) -> Secrets: ...
    @property
    def channels(self) -> Mapping[str, Channel]: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def receiver(self) -> TellsLanes: ...


class NewAccountBody(Body):
    channel: Annotated[str, StringConstraints(max_length=60)]
    brand_id: BrandId
    name: Name
    settings: Given = Field(default_factory=dict)


class AccountBody(Body):
    name: Name | None = None
    enabled: bool | None = None
    settings: Given | None = None


class ReceiptsBody(Body):
    """Which receipts: their numbers, or `all` that are parked (of one account, if given)."""

    receipts: Annotated[list[Seq], Field(max_length=1000)] = Field(default_factory=list)
    all: bool = False
    account_id: AccountId | None = None


class DismissedBody(Body):
    """Which receipts, by their numbers: nothing is dismissed unseen."""

    receipts: Annotated[list[Seq], Field(min_length=1, max_length=1000)]


class Count(Body):
    count: int


class ReceiptDetail(Body):
    """A receipt with its raw content; `body` is text as far as it is text."""

    receipt: ReceiptLine
    body: str


def _house(request: Request) -> House:
    return cast("House", request.app.state.house)


@routes.get("/channels", operation_id="list_channels", openapi_extra=needs("accounts.read"))
async def list_channels(request: Request, actor: Acting) -> Page[Declaration]:
    """List the kinds of channels there are, with the settings their accounts take and what they can do."""
    actor.require("accounts.read")
    return Page(items=[channel.declaration for channel in _house(request).channels.values()])


@routes.get("/accounts", operation_id="list_accounts", openapi_extra=needs("accounts.read"))
async def list_accounts(request: Request, actor: Acting) -> Page[AccountLine]:
    """List the accounts, the oldest first; secrets are named, never shown."""
    house = _house(request)
    async with house.database.transaction() as tx:
        return Page(items=await actions.list_accounts(tx, actor, secrets=house.secrets))


@routes.post("/accounts", operation_id="add_account", status_code=201, openapi_extra=needs("accounts.manage"))
async def add_account(request: Request, actor: Acting, body: NewAccountBody) -> AccountLine:
    """Set up an account of a channel."""
    actor.require("accounts.manage")
    house = _house(request)
    declaration = _declaration(house, body.channel)
    async with house.database.transaction() as tx:
        line = await actions.add_account(
            tx,
            actor,
            declaration,
            brand_id=body.brand_id,
            name=body.name,
            settings=body.settings,
            secrets=house.secrets,
        )
    house.accounts.forget()
    return line


@routes.get("/accounts/{account_id}", operation_id="get_account", openapi_extra=needs("accounts.read"))
async def get_account(request: Request, actor: Acting, account_id: AccountId) -> AccountLine:
    """Show one account."""
    house = _house(request)
    async with house.database.transaction() as tx:
        return await actions.get_account(tx, actor, account_id, secrets=house.secrets)


@routes.patch("/accounts/{account_id}", operation_id="change_account", openapi_extra=needs("accounts.manage"))
async def change_account(request: Request, actor: Acting, account_id: AccountId, body: AccountBody) -> AccountLine:
    """Change an account: its name, whether it works, and the settings given; the others stay."""
    actor.require("accounts.manage")
    house = _house(request)
    async with house.database.transaction() as tx:
        before = await actions.get_account(tx, actor, account_id, secrets=house.secrets)
        line = await actions.change_account(
            tx,
            actor,
            _declaration(house, before.channel),
            account_id,
            name=body.name,
            enabled=body.enabled,
            settings=body.settings,
            secrets=house.secrets,
        )
    house.accounts.forget()
    return line


@routes.post("/accounts/{account_id}/check", operation_id="check_account", openapi_extra=needs("accounts.manage"))
async def check_account(request: Request, actor: Acting, account_id: AccountId) -> Health:
    """Ask the provider now whether the account works."""
    actor.require("accounts.manage")
    house = _house(request)
    async with house.database.transaction() as tx:
        await actions.get_account(tx, actor, account_id, secrets=house.secrets)
    account = (await house.accounts.by_id()).get(account_id)
    channel = house.channels.get(account.channel) if account is not None else None
    if account is None or channel is None:
        raise NotFound("There is no such account.")
    health = await channel.check(account)
    async with house.database.transaction() as tx:
        await actions.report_health(tx, account_id, health)
    return health


@routes.get("/receipts", operation_id="list_receipts", openapi_extra=needs("receipts.read"))
async def list_receipts(
    request: Request,
    actor: Acting,
    state: ReceiptState | None = None,
    account_id: AccountId | None = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[ReceiptLine]:
    """List what strangers sent, the newest first; `state=parked` are those that wait for a person."""
    before = read_cursor(cursor, int)
    async with _house(request).database.transaction() as tx:
        lines = await actions.list_receipts(
            tx, actor, state=state, account_id=account_id, before=_fits(before), limit=limit + 1
        )
    more = len(lines) > limit
    return Page(items=lines[:limit], next=write_cursor(lines[limit - 1].seq) if more else None)


@routes.get("/receipts/{receipt}", operation_id="get_receipt", openapi_extra=needs("receipts.replay"))
async def get_receipt(request: Request, actor: Acting, receipt: Seq) -> ReceiptDetail:
    """Show one receipt as it came; this is raw personal data."""
    async with _house(request).database.transaction() as tx:
        line, kept = await actions.get_receipt(tx, actor, receipt)
    text = kept.body[:100_000].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return ReceiptDetail(receipt=line, body=text)


@routes.post("/receipts/replay", operation_id="replay_receipts", openapi_extra=needs("receipts.replay"))
async def replay_receipts(request: Request, actor: Acting, body: ReceiptsBody) -> Count:
    """Apply parked receipts again, after whatever was wrong has been mended."""
    house = _house(request)
    if not body.all and not body.receipts:
        raise Invalid("Name the receipts, or say `all`.", field="receipts")
    async with house.database.transaction() as tx:
        lanes = await actions.replay_receipts(
            tx, actor, None if body.all else body.receipts, account_id=body.account_id
        )
    house.receiver.tell(set(lanes))
    return Count(count=len(lanes))


@routes.post("/receipts/dismiss", operation_id="dismiss_receipts", openapi_extra=needs("receipts.replay"))
async def dismiss_receipts(request: Request, actor: Acting, body: DismissedBody) -> Count:
    """Say of parked receipts that nothing is to be done with them."""
    async with _house(request).database.transaction() as tx:
        count = await actions.dismiss_receipts(tx, actor, body.receipts)
    return Count(count=count)


def _declaration(house: House, name: str) -> Declaration:
    channel = house.channels.get(name)
    if channel is None:
        known = ", ".join(house.channels)
        raise Invalid(f"There is no channel of this name; there are: {known}.", field="channel")
    return channel.declaration


def _fits(number: int | None) -> int | None:
    if number is not None and not -(1 << 63) <= number < 1 << 63:
        raise Invalid("This is not a cursor we gave out.", field="cursor")
    return number


def router() -> APIRouter:
    """Return the room's routes, without the prefix of the API's version."""
    return routes
