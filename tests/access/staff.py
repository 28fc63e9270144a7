"""Who works at the corner shop, and how tests sign them in."""

from datetime import datetime

import pyotp

from onethread.access.actions import agents, brands, sign_in
from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import Founded, NewBrand
from onethread.access.actions.letters import opened
from onethread.access.actions.sign_in import Device, SignedIn
from onethread.access.letters import Letter
from onethread.access.model import SYSTEM, AccessRules, Actor, Agent, Role
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets
from tests.cast import corner_shop, noon

RULES = AccessRules("http://127.0.0.1:8000")
PASSWORD = "seven green kettles"
OWNER = NewAgent(email="olga@cornershop.example", name="Olga", role="owner", locale="en")
DEVICE = Device("Firefox", "127.0.0.1")


async def found_corner_shop(tx: Tx) -> Founded:
    """Set the corner shop up; Olga owns it."""
    brand = NewBrand(corner_shop.name, corner_shop.default_country, corner_shop.locale, corner_shop.time_zone)
    return await brands.found_organisation(
        tx, name=corner_shop.name, brand=brand, owner=OWNER, password=PASSWORD, now=noon
    )


async def hired(tx: Tx, role: Role, name: str = "Petra", **limits: object) -> Agent:
    """Let somebody join with the password everybody has in tests."""
    new = NewAgent(email=f"{name.lower()}.{role}@cornershop.example", name=name, role=role, **limits)
    return await agents.create_agent(tx, SYSTEM, new, password=PASSWORD, now=noon)


def acting(agent: Agent) -> Actor:
    return sign_in.actor_of(agent)


async def signed_in(
    database: Database,
    secrets: Secrets,
    email: str = OWNER.email,
    *,
    password: str = PASSWORD,
    code: str | None = None,
    now: datetime = noon,
) -> SignedIn:
    return await sign_in.sign_in(
        database, secrets, email=email, password=password, code=code, device=DEVICE, rules=RULES, now=now
    )


def code_at(secret: str, now: datetime) -> str:
    """What the authenticator shows at the moment."""
    return pyotp.TOTP(secret).at(now)


async def letters_to(tx: Tx, secrets: Secrets, address: str) -> list[Letter]:
    """Read the outbox over the postman's shoulder, oldest letter first."""
    sealed = await tx.values(
        "SELECT sealed FROM access.letter WHERE address = %s AND sealed IS NOT NULL ORDER BY id", (address,)
    )
    return [opened(secrets, one) for one in sealed]


def secret_in(letter: Letter) -> str:
    """Return what stands behind the # of the letter's link."""
    return next(word for word in letter.text.split() if "#" in word).partition("#")[2]


async def acts(tx: Tx) -> list[str]:
    """Return what the audit log recorded, oldest first."""
    return await tx.values("SELECT act FROM access.audit ORDER BY id")
