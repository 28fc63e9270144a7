"""Single sign-on against a provider that really signs, and attacks on it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from onethread.access.acting import COOKIE
from onethread.access.actions import agents, sign_on
from onethread.access.actions.agents import AgentChange
from onethread.access.actions.brands import Founded
from onethread.access.model import SYSTEM, OidcProvider
from onethread.access.oidc import SignOn, SignOnFailed
from onethread.kernel.errors import Unavailable
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets
from tests.access.door import BASE, House, Moment, browser
from tests.access.staff import acts, hired
from tests.cast import noon
from tests.peers.oidc import CLIENT_ID, CLIENT_SECRET, Provider, answer_in, provider_on_loopback, signing_key

# Nothing here speaks TLS, and loading the world's certificates takes longer than any test.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(slots=True)
class Scene:
    """A house, its provider and the HTTP client between them."""

    house: House
    provider: Provider
    clock: Moment
    http: httpx.AsyncClient

    async def at_the_provider(self, here: httpx.AsyncClient, return_to: str = "/inbox?view=mine") -> dict[str, str]:
        """Go to the provider and let it send us back; return what it says."""
        sent = await here.get("session/oidc", params={"return_to": return_to})
        assert sent.status_code == 303, sent.text
        answered = await self.http.get(sent.headers["location"])
        assert answered.headers["location"].startswith(f"{BASE}/api/v1/session/oidc/callback?")
        return answer_in(answered.headers["location"])

    async def arrive(self, here: httpx.AsyncClient, answer: dict[str, str]) -> httpx.Response:
        return await here.get("session/oidc/callback", params=answer)

    async def through(self, here: httpx.AsyncClient) -> httpx.Response:
        return await self.arrive(here, await self.at_the_provider(here))


@asynccontextmanager
async def _set(database: Database, secrets: Secrets) -> AsyncIterator[Scene]:
    clock = Moment()
    async with provider_on_loopback() as provider, httpx.AsyncClient(verify=PLAIN) as http:
        provider.now = int(noon.timestamp())
        registered = OidcProvider(provider.issuer, CLIENT_ID, CLIENT_SECRET, "Corner ID")
        signing = SignOn(registered, http, redirect_uri=f"{BASE}/api/v1/session/oidc/callback")
        yield Scene(House(database, secrets, clock=clock, sign_on=signing), provider, clock, http)


@pytest.fixture
async def scene(database: Database, secrets: Secrets, founded: Founded) -> AsyncIterator[Scene]:
    async with _set(database, secrets) as scene:
        yield scene


async def test_olga_comes_in_through_her_organisation(scene: Scene, founded: Founded) -> None:
    async with browser(scene.house) as here:
        assert (await here.get("setup")).json() == {"needed": False, "single_sign_on": "Corner ID"}
        came = await scene.through(here)
        assert (came.status_code, came.headers["location"]) == (303, f"{BASE}/inbox?view=mine")
        me = (await here.get("me")).json()
        assert me["id"] == str(founded.owner.id)
        assert (await here.get("me/sessions")).json()["items"][0]["way"] == "oidc"
    async with scene.house.database.transaction() as tx:
        assert (await acts(tx))[-2:] == ["agent.sign_on_linked", "session.opened"]


async def test_from_then_on_the_subject_counts_not_the_address(scene: Scene, founded: Founded) -> None:
    async with browser(scene.house) as here:
        await scene.through(here)
        scene.provider.email = "olga.new@cornershop.example"
        assert (await scene.through(here)).status_code == 303
        assert (await here.get("me")).json()["id"] == str(founded.owner.id)


async def test_the_next_owner_of_an_address_does_not_inherit_the_account(scene: Scene) -> None:
    async with browser(scene.house) as here:
        await scene.through(here)
        scene.provider.subject = "0002"
        assert (await scene.through(here)).status_code == 401


async def test_an_address_nobody_verified_proves_nothing(scene: Scene) -> None:
    async with browser(scene.house) as here:
        for verified in (False, "false", None, "yes"):
            scene.provider.email_verified = verified
            refused = await scene.through(here)
            assert (refused.status_code, refused.json()["code"]) == (401, "sign_on_failed"), verified


async def test_a_stranger_of_the_organisation_is_told_whom_to_ask(scene: Scene) -> None:
    scene.provider.email = "eve@cornershop.example"
    async with browser(scene.house) as here:
        assert "invitation" in (await scene.through(here)).json()["detail"]


async def test_a_disabled_agent_does_not_come_back_this_way(scene: Scene) -> None:
    async with scene.house.database.transaction() as tx:
        petra = await hired(tx, "agent")
    scene.provider.email = petra.email
    async with browser(scene.house) as here:
        assert (await scene.through(here)).status_code == 303
        async with scene.house.database.transaction() as tx:
            await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(state="disabled"), now=noon)
        assert (await scene.through(here)).status_code == 401


LIES: list[dict[str, object]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another-client"},
    {"aud": ["another-client"]},
    {"aud": ["onethread", "another-client"]},
    {"aud": ["onethread", "another-client"], "azp": "another-client"},
    {"azp": "another-client"},
    {"aud": None},
    {"iss": "https://evil.example"},
    {"iss": None},
    {"sub": None},
    {"sub": 7},
    {"exp": int(noon.timestamp()) - 121},
    {"exp": None},
    {"exp": "tomorrow"},
    {"iat": int(noon.timestamp()) + 121},
    {"nbf": int(noon.timestamp()) + 121},
    {"email": ["olga@cornershop.example"]},
]


async def test_a_token_that_is_not_for_this_sign_in_is_refused(scene: Scene) -> None:
    async with browser(scene.house) as here:
        for lies in LIES:
            scene.provider.lies = lies
            refused = await scene.through(here)
            assert (refused.status_code, refused.json()["code"]) == (401, "sign_on_failed"), lies
        assert COOKIE not in here.cookies


async def test_a_clock_a_minute_off_is_forgiven(scene: Scene) -> None:
    async with browser(scene.house) as here:
        for claims in ({"exp": int(noon.timestamp()) - 60}, {"iat": int(noon.timestamp()) + 60}):
            scene.provider.lies = claims
            assert (await scene.through(here)).status_code == 303, claims


async def test_a_token_signed_by_somebody_else_is_refused(scene: Scene) -> None:
    scene.provider.sign_with = signing_key("of Eve")
    async with browser(scene.house) as here:
        assert (await scene.through(here)).status_code == 401


async def test_our_own_secret_signs_nothing(scene: Scene) -> None:
    scene.provider.forge_with_client_secret()
    async with browser(scene.house) as here:
        assert (await scene.through(here)).status_code == 401


async def test_a_fresh_key_of_the_provider_is_found(scene: Scene) -> None:
    async with browser(scene.house) as here:
        await scene.through(here)
        scene.provider.rotate()
        scene.clock.now += timedelta(minutes=2)
        scene.provider.now += 120
        assert (await scene.through(here)).status_code == 303
        assert scene.provider.asked.count("keys") == 2
        assert scene.provider.asked.count("metadata") == 1


async def test_invented_keys_do_not_make_us_fetch_all_day(scene: Scene) -> None:
    async with browser(scene.house) as here:
        await scene.through(here)
        scene.provider.header = {"kid": "invented"}
        for _ in range(5):
            assert (await scene.through(here)).status_code == 401
    assert scene.provider.asked.count("keys") == 1


async def test_an_answer_is_good_once(scene: Scene) -> None:
    async with browser(scene.house) as here:
        answer = await scene.at_the_provider(here)
        state = here.cookies["onethread_sign_on"]
        assert (await scene.arrive(here, answer)).status_code == 303
        here.cookies.set("onethread_sign_on", state)
        assert (await scene.arrive(here, answer)).status_code == 401


async def test_an_answer_fits_only_the_browser_that_left(scene: Scene) -> None:
    """Else Eve could sign Olga's browser in as Eve and read what Olga writes there."""
    async with browser(scene.house) as eves, browser(scene.house) as olgas:
        answer = await scene.at_the_provider(eves)
        assert (await scene.arrive(olgas, answer)).status_code == 401
        await scene.at_the_provider(olgas)
        assert (await scene.arrive(olgas, answer)).status_code == 401
        assert (await scene.arrive(eves, answer)).status_code == 303


async def test_ten_minutes_later_the_answer_is_cold(scene: Scene) -> None:
    async with browser(scene.house) as here:
        answer = await scene.at_the_provider(here)
        scene.clock.now += timedelta(minutes=10)
        assert (await scene.arrive(here, answer)).status_code == 401


async def test_a_changed_answer_is_refused(scene: Scene) -> None:
    async with browser(scene.house) as here:
        for change in ({"code": "invented"}, {"code": ""}, {"iss": "https://evil.example"}, {"state": "invented"}):
            answer = await scene.at_the_provider(here)
            assert (await scene.arrive(here, answer | change)).status_code == 401, change


async def test_a_code_stolen_on_the_way_needs_our_verifier(scene: Scene) -> None:
    async with browser(scene.house) as here:
        answer = await scene.at_the_provider(here)
        signing = scene.house.sign_on
        assert signing is not None
        with pytest.raises(SignOnFailed):
            await signing.arrival(code=answer["code"], verifier="guessed", nonce="guessed", now=noon)


async def test_nobody_is_sent_away_from_us(scene: Scene) -> None:
    async with browser(scene.house) as here:
        for page in ("//evil.example", "/\\evil.example", "https://evil.example", "javascript:1", "", "/\r\nx"):
            answer = await scene.at_the_provider(here, return_to=page)
            assert (await scene.arrive(here, answer)).headers["location"] == f"{BASE}/", page


async def test_a_provider_that_is_down_is_named_as_such(scene: Scene) -> None:
    scene.provider.down = True
    async with browser(scene.house) as here:
        answer = await here.get("session/oidc")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_provider_that_cannot_be_reached_is_named_as_such(scene: Scene) -> None:
    async with httpx.AsyncClient(verify=PLAIN) as http:
        nowhere = SignOn(OidcProvider("http://127.0.0.1:9", "c", "s"), http, redirect_uri=BASE)
        with pytest.raises(Unavailable):
            await sign_on.begin_sign_on(scene.house.database, nowhere, return_to="/", now=noon)


async def test_a_provider_that_names_another_issuer_is_not_trusted(scene: Scene) -> None:
    scene.provider.issuer = "https://evil.example"
    async with browser(scene.house) as here:
        assert (await here.get("session/oidc")).status_code == 401


async def test_a_slash_at_the_end_of_the_issuer_is_nobodys_mistake(scene: Scene) -> None:
    scene.provider.slash = "/"
    async with browser(scene.house) as here:
        assert (await scene.through(here)).status_code == 303


async def test_without_a_provider_there_is_no_such_door(database: Database, secrets: Secrets, founded: Founded) -> None:
    async with browser(House(database, secrets)) as here:
        assert (await here.get("session/oidc")).status_code == 404
        assert (await here.get("session/oidc/callback")).status_code == 404
