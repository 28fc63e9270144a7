"""The routes of the customers room, as an agent and a machine meet them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
import pytest

from onethread.access.actions.keys import create_key
from onethread.access.model import SYSTEM, AccessRules, Permission
from onethread.app.web import PREFIX, make_api
from onethread.customers.matching import customer_born_with
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import IdentifierId
from onethread.platform.db import Database
from tests.access.staff import RULES, found_corner_shop
from tests.cast import ana, noon
from tests.customers.people import ANA, ANAS_PHONE, BROWSER, come, say, unknown_id


@dataclass(frozen=True)
class House:
    database: Database
    access: AccessRules = RULES
    clock: Callable[[], datetime] = lambda: noon


@pytest.fixture
async def door(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The API of the corner shop, for somebody who may read and link customers."""
    async with database.transaction() as tx:
        await found_corner_shop(tx)
    async for client in _client(database, ["customers.read", "customers.link"]):
        yield client


async def _client(database: Database, scopes: list[Permission]) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction() as tx:
        key = await create_key(tx, SYSTEM, name="test", role="admin", scopes=scopes, now=noon)
    app = make_api()
    app.state.house = House(database)
    headers = {"Authorization": f"Bearer {key.secret}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://here{PREFIX}", headers=headers) as client:
        yield client


@pytest.fixture
async def people(database: Database) -> dict[Identifier, IdentifierId]:
    async with database.transaction() as tx:
        identifiers = (ANA, ANAS_PHONE, BROWSER)
        return dict(zip(identifiers, await come(tx, *identifiers), strict=True))


def customer(identifier_id: IdentifierId) -> str:
    return str(customer_born_with(identifier_id))


async def test_ana_is_found_by_any_writing_of_hers(
    door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]
) -> None:
    for written in ("email:ana@example.com", "Ana@EXAMPLE.com", "email:<ana@example.com>"):
        answer = await door.get("/customers", params={"identifier": written})
        assert [one["id"] for one in answer.json()["items"]] == [customer(people[ANA])], written
    # The corner shop is in Portugal: a number written as dialled there is completed.
    answer = await door.get("/customers", params={"identifier": f"phone:{ana.phone.removeprefix('+351')}"})
    assert [one["id"] for one in answer.json()["items"]] == [customer(people[ANAS_PHONE])]


async def test_customers_come_in_pages(door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]) -> None:
    first = (await door.get("/customers", params={"limit": 2})).json()
    rest = (await door.get("/customers", params={"limit": 2, "cursor": first["next"]})).json()
    found = {one["id"] for page in (first, rest) for one in page["items"]}
    assert found == {customer(id_) for id_ in people.values()}
    assert rest["next"] is None


async def test_joined_by_an_agent_and_taken_back(
    door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]
) -> None:
    mail, phone = customer(people[ANA]), customer(people[ANAS_PHONE])
    link = {"customer_id": mail, "reason": "She told me on the phone."}
    joined = await door.post(f"/customers/{phone}/links", json=link)
    assert joined.status_code == 200
    assert joined.json()["id"] == mail
    assert (await door.get(f"/customers/{phone}")).json()["id"] == mail
    thread = (await door.get(f"/customers/{phone}/thread")).json()
    assert thread["customer_id"] == mail
    assert {event["type"] for event in thread["items"]} == {"EvidenceAdded", "CustomersMerged"}
    details = (await door.get(f"/customers/{mail}/identifiers")).json()["items"]
    [evidence] = details[0]["evidence"]
    assert (evidence["kind"], evidence["reason"]) == ("agent_confirmed", "She told me on the phone.")
    assert (await door.delete(f"/evidence/{evidence['id']}")).status_code == 204
    assert (await door.get(f"/customers/{phone}")).json()["id"] == phone
    changes = (await door.get(f"/customers/{phone}/changes")).json()["items"]
    assert [change["act"] for change in changes] == ["split", "merged"]


async def test_a_number_never_seen_is_linked_by_its_writing(
    door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]
) -> None:
    link = {"identifier": "phone:933 221 100", "reason": "Her office."}
    joined = (await door.post(f"/customers/{customer(people[ANA])}/links", json=link)).json()
    assert [one["value"] for one in joined["identifiers"]] == ["ana@example.com", "+351933221100"]


async def test_a_customer_is_not_joined_with_themselves(
    door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]
) -> None:
    mail = customer(people[ANA])
    answer = await door.post(f"/customers/{mail}/links", json={"customer_id": mail, "reason": "By mistake."})
    assert answer.status_code == 200
    assert [one["value"] for one in answer.json()["identifiers"]] == ["ana@example.com"]


async def test_a_suggestion_is_accepted_or_rejected_for_good(
    door: httpx.AsyncClient, database: Database, people: dict[Identifier, IdentifierId]
) -> None:
    async with database.transaction() as tx:
        await say(tx, people[BROWSER], people[ANA], "typed")
        await say(tx, people[ANAS_PHONE], people[ANA], "typed")
    path = f"/customers/{customer(people[ANA])}/suggestions"
    suggestions = {one["other_kind"]: one for one in (await door.get(path)).json()["items"]}
    assert suggestions["visitor"]["not_joined"] == "Alone it is too weak to join them."
    rejected = await door.post(f"/suggestions/{suggestions['visitor']['evidence_id']}/reject")
    assert (await door.post(f"/suggestions/{suggestions['phone']['evidence_id']}/accept")).status_code == 204
    assert (await door.get(path)).json()["items"] == []
    shown = (await door.get(f"/customers/{customer(people[ANA])}")).json()
    assert {one["kind"] for one in shown["identifiers"]} == {"email", "phone"}
    assert (await door.delete(f"/not-same/{rejected.json()['mark_id']}")).status_code == 204
    assert [one["other_kind"] for one in (await door.get(path)).json()["items"]] == ["visitor"]


async def test_told_apart_they_stay_apart(door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]) -> None:
    mail, phone = customer(people[ANA]), customer(people[ANAS_PHONE])
    apart = await door.post(f"/customers/{mail}/not-same", json={"customer_id": phone, "reason": "Sisters."})
    assert apart.status_code == 201
    await door.post(f"/customers/{mail}/links", json={"customer_id": phone, "reason": "No, one."})
    assert (await door.get(f"/customers/{phone}")).json()["id"] == phone
    [mark] = (await door.get(f"/customers/{phone}/not-same")).json()["items"]
    assert (mark["id"], mark["reason"]) == (apart.json()["mark_id"], "Sisters.")
    assert (await door.delete(f"/not-same/{mark['id']}")).status_code == 204
    assert (await door.get(f"/customers/{phone}")).json()["id"] == mail


async def test_one_customer_is_told_apart_by_identifiers(
    door: httpx.AsyncClient, database: Database, people: dict[Identifier, IdentifierId]
) -> None:
    async with database.transaction() as tx:
        await say(tx, people[ANA], people[ANAS_PHONE])
    mail, phone = customer(people[ANA]), customer(people[ANAS_PHONE])
    pair = [str(people[ANA]), str(people[ANAS_PHONE])]
    strangers = {"identifier_ids": [str(unknown_id()), str(people[BROWSER])], "reason": "?"}
    assert (await door.post(f"/customers/{mail}/not-same", json=strangers)).status_code == 422
    await door.post(f"/customers/{mail}/not-same", json={"identifier_ids": pair, "reason": "Her mother's."})
    assert (await door.get(f"/customers/{phone}")).json()["id"] == phone


async def test_a_till_s_walk_in_customer_is_blocked(
    door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]
) -> None:
    block = {"kind": "email", "value": ana.email, "reason": "The till sends it for everybody."}
    assert (await door.post("/blocked-values", json=block)).status_code == 204
    [shown] = (await door.get("/customers", params={"identifier": ana.email})).json()["items"]
    assert shown["identifiers"][0]["blocked"]
    [listed] = (await door.get("/blocked-values")).json()["items"]
    assert (listed["kind"], listed["value"], listed["reason"]) == ("email", ana.email, block["reason"])
    gone = await door.delete("/blocked-values", params={"kind": "email", "value": ana.email})
    assert gone.status_code == 204
    again = await door.delete("/blocked-values", params={"kind": "email", "value": ana.email})
    assert again.status_code == 404


async def test_what_is_not_there_is_404(door: httpx.AsyncClient, people: dict[Identifier, IdentifierId]) -> None:
    nobody = unknown_id()
    for part in ("", "/thread", "/identifiers", "/suggestions", "/not-same", "/changes"):
        assert (await door.get(f"/customers/{nobody}{part}")).status_code == 404, part
    link = {"customer_id": str(nobody), "reason": "?"}
    assert (await door.post(f"/customers/{customer(people[ANA])}/links", json=link)).status_code == 404
    assert (await door.delete(f"/evidence/{nobody}")).status_code == 404
    assert (await door.delete(f"/not-same/{nobody}")).status_code == 404
    assert (await door.post(f"/suggestions/{nobody}/accept")).status_code == 404


async def test_bad_questions_are_422(door: httpx.AsyncClient) -> None:
    questions: list[tuple[str, dict[str, str]]] = [
        ("/customers", {"identifier": "fax:1"}),
        ("/customers", {"identifier": "phone:12"}),
        ("/customers", {"identifier": "email:\x00"}),
        ("/customers", {"identifier": "line@\x00:1"}),
        ("/customers", {"q": "a\x00"}),
        ("/customers", {"cursor": "%%%"}),
        ("/customers", {"cursor": "WyJhIiwgMV0"}),
        ("/customers", {"limit": "0"}),
        ("/customers/not-an-id", {}),
    ]
    for path, params in questions:
        answer = await door.get(path, params=params)
        assert answer.status_code == 422, (path, params, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_reading_does_not_allow_linking(database: Database, people: dict[Identifier, IdentifierId]) -> None:
    async with database.transaction() as tx:
        await found_corner_shop(tx)
    mail, some = customer(people[ANA]), UUID(int=1)
    async for reader in _client(database, ["customers.read"]):
        link = {"customer_id": mail, "reason": "?"}
        assert (await reader.get(f"/customers/{mail}")).status_code == 200
        assert (await reader.post(f"/customers/{mail}/links", json=link)).status_code == 403
        assert (await reader.post(f"/customers/{mail}/not-same", json=link)).status_code == 403
        assert (await reader.delete(f"/evidence/{some}")).status_code == 403
        assert (await reader.delete(f"/not-same/{some}")).status_code == 403
        assert (await reader.post(f"/suggestions/{some}/accept")).status_code == 403
        assert (await reader.post(f"/suggestions/{some}/reject")).status_code == 403
    async for stranger in _client(database, ["conversations.read"]):
        assert (await stranger.get(f"/customers/{mail}")).status_code == 403
        assert (await stranger.get("/customers")).status_code == 403
        assert (await stranger.get(f"/customers/{mail}/thread")).status_code == 403
