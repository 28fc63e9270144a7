"""Sets the stage: the shop and its people by the rooms' own verbs, the guests' words by signed webhooks."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import httpx
import msgspec

from onethread.access import queries
from onethread.access.actions import agents, brands, keys
from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand
from onethread.access.model import SYSTEM
from onethread.app.build import House
from onethread.app.demo.cast import COLLEAGUES, GUESTS, ORGANISATION, OWNER, Colleague, Guest
from onethread.channels import actions as channels
from onethread.kernel.ids import AccountId, new_id
from onethread.platform import signing
from onethread.platform.db import Tx

_CHANNEL: Final = "webchat"
_APART: Final = timedelta(minutes=3)  # between two things a guest says


@dataclass(frozen=True, slots=True)
class Shown:
    """What the audience needs, shown this once."""

    email: str
    password: str
    key: str


@dataclass(frozen=True, slots=True)
class _Stage:
    account_id: AccountId
    hook_secret: str
    shown: Shown


async def play(house: House) -> Shown | None:
    """Tell the story where nothing is yet and return how to get in; None where somebody lives already."""
    async with house.database.transaction() as tx:
        if await queries.is_founded(tx):
            return None
        stage = await _set(tx, house)
    house.accounts.forget()
    async with httpx.AsyncClient(base_url=house.settings.address, trust_env=False) as client:
        for guest in GUESTS:
            await _speak(client, house, stage, guest)
    return stage.shown


async def _set(tx: Tx, house: House) -> _Stage:
    """Found the shop, hire its people, open its chat."""
    now = house.clock()
    password, hook_secret = secrets.token_urlsafe(12), signing.new_secret()
    brand = NewBrand(ORGANISATION, "PT", OWNER.locale, OWNER.time_zone)
    founded = await brands.found_organisation(
        tx, name=ORGANISATION, brand=brand, owner=_hired(OWNER), password=password, now=now
    )
    for colleague in COLLEAGUES:
        await agents.create_agent(tx, SYSTEM, _hired(colleague), password=password, now=now)
    account = await channels.add_account(
        tx,
        SYSTEM,
        house.channels[_CHANNEL].declaration,
        brand_id=founded.brand.id,
        name="Website",
        settings={"hook_secret": hook_secret},
        secrets=house.secrets,
    )
    key = await keys.create_key(tx, SYSTEM, name="demonstration", role="owner", now=now)
    return _Stage(account.id, hook_secret, Shown(OWNER.email, password, key.secret))


async def _speak(client: httpx.AsyncClient, house: House, stage: _Stage, guest: Guest) -> None:
    """Let a guest speak through the webhook door, signed as the shop's own server would."""
    events = [{"visitor": guest.visitor, "frame": frame} for frame in _frames(house, guest)]
    body = msgspec.json.encode({"events": events})
    headers = signing.sign([stage.hook_secret], id_=str(new_id()), at=house.clock(), body=body)
    answer = await client.post(f"/hooks/{stage.account_id}", content=body, headers=headers)
    answer.raise_for_status()


def _frames(house: House, guest: Guest) -> Iterator[dict[str, object]]:
    contact = {"email": guest.email, "name": guest.name, "locale": guest.locale}
    if guest.signed_in:
        yield {"type": "identify", "id": "who", "body": {"user_id": guest.email, **contact}}
    else:
        yield {"type": "form", "id": "who", "body": contact}
    begun = house.clock() - _APART * len(guest.says)
    for number, words in enumerate(guest.says):
        said = {"text": words, "name": guest.name, "locale": guest.locale}
        yield {"type": "message", "id": f"said-{number}", "ts": begun + _APART * number, "body": said}


def _hired(colleague: Colleague) -> NewAgent:
    return NewAgent(colleague.email, colleague.name, colleague.role, colleague.locale, colleague.time_zone)
