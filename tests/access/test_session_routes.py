"""Cookies, tokens and keys as browsers and machines meet them."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from onethread.access.acting import COOKIE, CSRF_HEADER
from onethread.access.actions import agents, keys
from onethread.access.actions.agents import AgentChange
from onethread.access.actions.brands import Founded
from onethread.access.model import SYSTEM, AccessRules
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets
from tests.access.door import House, Moment, browser, come_in
from tests.access.staff import OWNER, PASSWORD, code_at, hired
from tests.cast import corner_shop, noon

FIRST_DAY = {
    "organisation": corner_shop.name,
    "brand": corner_shop.name,
    "country": "pt",
    "email": OWNER.email,
    "name": OWNER.name,
    "password": PASSWORD,
    "time_zone": corner_shop.time_zone,
}


@pytest.fixture
def house(database: Database, secrets: Secrets) -> House:
    return House(database, secrets)


async def test_the_first_day(house: House) -> None:
    async with browser(house) as here:
        assert (await here.get("setup")).json() == {"needed": True, "single_sign_on": None}
        opened = await here.post("setup", json=FIRST_DAY)
        assert opened.status_code == 201, opened.text
        assert (await here.get("setup")).json()["needed"] is False
        me = (await here.get("me")).json()
        assert (me["role"], me["agent"]["email"], me["csrf"]) == ("owner", OWNER.email, opened.json()["csrf"])
        again = await here.post("setup", json=FIRST_DAY | {"email": "eve@example.com"})
        assert again.status_code == 409
        brand = (await here.get("brands")).json()["items"][0]
        assert (brand["slug"], brand["default_country"], brand["reopen_days"]) == ("corner-shop", "PT", 14)


async def test_the_cookie_is_for_our_pages_only(house: House, founded: Founded) -> None:
    async with browser(house) as here:
        answer = await here.post("session", json={"email": OWNER.email, "password": PASSWORD})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie  # a trial on one's own machine


async def test_elsewhere_the_cookie_travels_encrypted_only(house: House, founded: Founded) -> None:
    for public_url in ("https://shop.example", "http://shop.example", "http://10.0.0.5:8000"):
        house.access = AccessRules(public_url)
        async with browser(house) as here:
            answer = await here.post("session", json={"email": OWNER.email, "password": PASSWORD})
            assert "; secure" in answer.headers["set-cookie"].lower(), public_url


async def test_a_write_with_the_cookie_alone_is_refused(house: House, founded: Founded) -> None:
    async with browser(house) as here:
        await come_in(here)
        token = here.headers.pop(CSRF_HEADER)
        refused = await here.patch("me", json={"name": "Eve"})
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
        refused = await here.patch("me", json={"name": "Eve"}, headers={CSRF_HEADER: token[:-1] + "x"})
        assert refused.status_code == 403
        assert (await here.get("me")).json()["name"] == OWNER.name
        assert (await here.patch("me", json={"name": "Olga P"}, headers={CSRF_HEADER: token})).status_code == 200


async def test_a_form_of_a_foreign_site_signs_nobody_in(house: House, founded: Founded) -> None:
    async with browser(house) as here:
        body = f'{{"email": "{OWNER.email}", "password": "{PASSWORD}"}}'
        answer = await here.post("session", content=body, headers={"content-type": "text/plain"})
        assert answer.status_code == 422
        assert COOKIE not in here.cookies


async def test_an_invented_session_is_nobodys(house: House, founded: Founded) -> None:
    for cookie in ("", "x", "%00", "a" * 5000):
        async with browser(house) as here:
            here.cookies.set(COOKIE, cookie)
            assert (await here.get("me")).status_code == 401, cookie


async def test_a_session_ends_by_itself(house: House, founded: Founded) -> None:
    clock = Moment()
    house.clock = clock
    async with browser(house) as here:
        await come_in(here)
        for _ in range(13):
            clock.now += timedelta(hours=23)
            assert (await here.get("me")).status_code == 200
        clock.now = noon + timedelta(days=14)
        assert (await here.get("me")).status_code == 401
        await come_in(here)
        clock.now += timedelta(hours=24, minutes=2)
        assert (await here.get("me")).status_code == 401


async def test_signing_out(house: House, founded: Founded) -> None:
    async with browser(house) as here:
        await come_in(here)
        cookie = here.cookies[COOKIE]
        assert (await here.delete("session")).status_code == 204
        assert COOKIE not in here.cookies
        here.cookies.set(COOKIE, cookie)
        assert (await here.get("me")).status_code == 401


async def test_closing_another_browser(house: House, founded: Founded) -> None:
    async with browser(house) as here, browser(house) as there:
        await come_in(here)
        await come_in(there)
        listed = (await here.get("me/sessions")).json()["items"]
        mine = (await here.get("me")).json()["session"]
        other = next(one["id"] for one in listed if one["id"] != mine)
        assert {one["address"] for one in listed} == {"192.0.2.7"}
        assert (await here.delete(f"me/sessions/{other}")).status_code == 204
        assert (await there.get("me")).status_code == 401
        assert (await here.delete(f"me/sessions/{other}")).status_code == 404


async def test_the_second_factor_from_set_up_to_use(house: House, founded: Founded) -> None:
    clock = Moment()
    house.clock = clock
    async with browser(house) as here:
        await come_in(here)
        assert (await here.post("me/second-factor", json={"current_password": "no"})).status_code == 422
        enrolled = (await here.post("me/second-factor", json={"current_password": PASSWORD})).json()
        assert enrolled["uri"].startswith("otpauth://totp/Corner%20Shop:olga%40cornershop.example")
        assert (await here.post("me/second-factor/confirm", json={"code": "000000"})).status_code == 422
        confirmed = await here.post("me/second-factor/confirm", json={"code": code_at(enrolled["secret"], noon)})
        assert len(confirmed.json()["recovery_codes"]) == 10
        clock.now += timedelta(minutes=1)
        answer = await here.post("session", json={"email": OWNER.email, "password": PASSWORD})
        assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_needed")
        await come_in(here, code=code_at(enrolled["secret"], clock.now))
        assert (await here.get("me")).json()["agent"]["second_factor"] is True


async def test_an_administrator_helps_who_lost_the_telephone(house: House, founded: Founded) -> None:
    async with house.database.transaction() as tx:
        petra = await hired(tx, "agent")
    async with browser(house) as petras, browser(house) as olgas:
        await come_in(petras, petra.email)
        enrolled = (await petras.post("me/second-factor", json={"current_password": PASSWORD})).json()
        await petras.post("me/second-factor/confirm", json={"code": code_at(enrolled["secret"], noon)})
        await come_in(olgas)
        assert (await petras.delete(f"agents/{founded.owner.id}/second-factor")).status_code == 403
        assert (await olgas.delete(f"agents/{petra.id}/second-factor")).status_code == 204
        await come_in(petras, petra.email)


async def _issue(house: House, **more: object) -> str:
    async with house.database.transaction() as tx:
        fields = {"name": "Till", "role": "admin", "now": noon} | more
        return (await keys.create_key(tx, SYSTEM, **fields)).secret


def _with(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_a_key_acts_within_its_role_and_scopes(house: House, founded: Founded) -> None:
    key = await _issue(house, scopes=["agents.read"])
    async with browser(house) as machine:
        me = (await machine.get("me", headers=_with(key))).json()
        assert (me["kind"], me["name"], me["permissions"], me["csrf"]) == ("key", "Till", ["agents.read"], None)
        assert (await machine.get("agents", headers=_with(key))).status_code == 200
        assert (await machine.get("keys", headers=_with(key))).status_code == 403
        made = await machine.post("teams", json={"name": "Front"}, headers=_with(key))
        assert made.status_code == 403


async def test_a_key_needs_no_token_and_beats_the_cookie(house: House, founded: Founded) -> None:
    key = await _issue(house, role="read_only")
    full = await _issue(house)
    async with browser(house) as here:
        await come_in(here)
        del here.headers[CSRF_HEADER]
        assert (await here.get("me", headers=_with(key))).json()["kind"] == "key"
        assert (await here.post("teams", json={"name": "Front"}, headers=_with(full))).status_code == 201


async def test_keys_end(house: House, founded: Founded) -> None:
    clock = Moment()
    house.clock = clock
    short = await _issue(house, expires_at=noon + timedelta(hours=1))
    long = await _issue(house, name="Long")
    async with browser(house) as machine:
        assert (await machine.get("me", headers=_with(short))).status_code == 200
        clock.now += timedelta(hours=1)
        assert (await machine.get("me", headers=_with(short))).status_code == 401
        listed = (await machine.get("keys", headers=_with(long))).json()["items"]
        mine = next(one["id"] for one in listed if one["name"] == "Long")
        assert (await machine.delete(f"keys/{mine}", headers=_with(long))).status_code == 204
        assert (await machine.get("me", headers=_with(long))).status_code == 401


async def test_the_last_use_of_a_key_is_written_once_a_minute(house: House, founded: Founded) -> None:
    clock = Moment()
    house.clock = clock
    key = await _issue(house)
    seen = []
    async with browser(house) as machine:
        for _ in range(5):
            await machine.get("me", headers=_with(key))
            async with house.database.transaction() as tx:
                seen.append(await tx.value("SELECT last_used_at FROM access.api_key"))
            clock.now += timedelta(seconds=31)
    assert seen == [
        noon,
        noon,
        noon + timedelta(seconds=62),
        noon + timedelta(seconds=62),
        clock.now - timedelta(seconds=31),
    ]


async def test_an_invented_key_is_nobodys(house: House, founded: Founded) -> None:
    async with browser(house) as machine:
        for header in ("Bearer", "Bearer ", "Bearer otk_x", "Bearer é", "Basic b2xnYTpw", "otk_x"):
            answer = await machine.get("me", headers=[(b"authorization", header.encode("latin-1"))])
            assert answer.status_code == 401, header


async def test_a_key_has_no_account_of_its_own(house: House, founded: Founded) -> None:
    key = await _issue(house)
    async with browser(house) as machine:
        machine.headers.update(_with(key))
        for answer in (
            await machine.get("me/sessions"),
            await machine.post("me/password", json={"password": PASSWORD}),
            await machine.post("me/second-factor", json={}),
            await machine.patch("me", json={"name": "x"}),
        ):
            assert answer.status_code == 422, answer.text
        assert (await machine.delete("session")).status_code == 204


async def test_disabling_shows_out_at_once(house: House, founded: Founded) -> None:
    async with house.database.transaction() as tx:
        petra = await hired(tx, "agent")
    async with browser(house) as here:
        await come_in(here, petra.email)
        async with house.database.transaction() as tx:
            await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(state="disabled"), now=noon)
        assert (await here.get("me")).status_code == 401


async def test_a_changed_role_counts_from_the_next_request(house: House, founded: Founded) -> None:
    async with house.database.transaction() as tx:
        petra = await hired(tx, "admin")
    async with browser(house) as here:
        await come_in(here, petra.email)
        assert (await here.get("audit")).status_code == 200
        async with house.database.transaction() as tx:
            await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(role="agent"), now=noon)
        assert (await here.get("audit")).status_code == 403


async def test_a_lock_says_when_to_try_again(house: House, founded: Founded) -> None:
    async with browser(house) as here:
        answer = httpx.Response(0)
        for _ in range(6):
            answer = await here.post("session", json={"email": OWNER.email, "password": "wrong"})
        assert (answer.status_code, answer.json()["code"], answer.json()["retry_after"]) == (429, "too_many", 15)


async def test_the_rules_of_the_house_decide(house: House, founded: Founded) -> None:
    clock = Moment()
    house.clock = clock
    house.access = replace(house.access, session_idle=timedelta(minutes=10))
    async with browser(house) as here:
        await come_in(here)
        clock.now += timedelta(minutes=11)
        assert (await here.get("me")).status_code == 401
