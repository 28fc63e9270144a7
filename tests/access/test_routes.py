"""Every route of this room x every role: who may, who may not, and what needs nobody."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from onethread.access.actions import keys
from onethread.access.actions.brands import Founded
from onethread.access.model import PERMISSIONS, PERMISSIONS_OF, ROLES, SYSTEM
from onethread.kernel.ids import new_id
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets
from tests.access.door import House, application, browser
from tests.cast import noon

NOBODY = str(new_id())
# A body each route accepts as well-formed; whether it succeeds is not this test's question.
BODIES: dict[str, dict[str, Any]] = {
    "change_me": {},
    "change_password": {"password": "x"},
    "enrol_second_factor": {},
    "confirm_second_factor": {"code": "000000"},
    "disable_second_factor": {"code": "000000"},
    "renew_recovery_codes": {"code": "000000"},
    "create_agent": {"email": "eve@example.com", "name": "Eve", "role": "read_only"},
    "change_agent": {"name": "Eve"},
    "invite": {"email": "eve@example.com", "name": "Eve", "role": "read_only"},
    "create_team": {"name": "Front"},
    "change_team": {"name": "Front"},
    "rename_organisation": {"name": "Corner Shop"},
    "create_brand": {"name": "Other", "default_country": "TH"},
    "change_brand": {"name": "Other"},
    "create_key": {"name": "K", "role": "read_only"},
    "set_up": {
        "organisation": "x", "brand": "x", "country": "PT", "email": "e@example.com", "name": "E", "password": "x",
    },
    "sign_in": {"email": "eve@example.com", "password": "x"},
    "accept_invitation": {"token": "x", "password": "x"},
    "request_password_reset": {"email": "eve@example.com"},
    "reset_password": {"token": "x", "password": "x"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    operation: str
    permission: str

    async def asked(self, client: httpx.AsyncClient, **headers: str) -> httpx.Response:
        body = BODIES.get(self.operation)
        return await client.request(self.method, self.path, json=body, headers=headers)


def routes(house: House) -> Iterator[Route]:
    for path, methods in application(house).openapi()["paths"].items():
        for method, told in methods.items():
            plain = path.removeprefix("/api/v1/")
            for name in ("agent", "team", "brand", "key", "session", "invitation"):
                plain = plain.replace(f"{{{name}_id}}", NOBODY)
            yield Route(method.upper(), plain, told["operationId"], told["x-permission"])


async def test_every_route_asks_for_what_it_says(database: Database, secrets: Secrets, founded: Founded) -> None:
    house = House(database, secrets)
    async with database.transaction() as tx:
        issued = {role: await keys.create_key(tx, SYSTEM, name=role, role=role, now=noon) for role in ROLES}
    wrong = []
    async with browser(house) as client:
        for route in routes(house):
            for role in ROLES:
                answer = await route.asked(client, authorization=f"Bearer {issued[role].secret}")
                may = route.permission not in PERMISSIONS or route.permission in PERMISSIONS_OF[role]
                if (answer.status_code != 403) != may or answer.status_code >= 500:
                    wrong.append(f"{route.method} {route.path} as {role}: {answer.status_code} {answer.text}")
    assert not wrong, "\n".join(wrong)


async def test_without_a_name_only_the_way_in_is_open(database: Database, secrets: Secrets, founded: Founded) -> None:
    house = House(database, secrets)
    wrong = []
    async with browser(house) as client:
        for route in routes(house):
            answer = await route.asked(client)
            nameless = answer.status_code == 401 and "Authorization header" in answer.json()["detail"]
            if nameless == (route.permission == "anybody"):
                wrong.append(f"{route.method} {route.path}: {answer.status_code} {answer.text}")
    assert not wrong, "\n".join(wrong)


async def test_every_write_of_a_browser_needs_its_token(database: Database, secrets: Secrets, founded: Founded) -> None:
    house = House(database, secrets)
    async with browser(house) as client:
        client.cookies.set("onethread_session", "x" * 43)
        for route in routes(house):
            if route.method != "GET" and route.permission != "anybody":
                answer = await route.asked(client)
                assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed"), route


async def test_a_misspelt_field_is_refused(database: Database, secrets: Secrets, founded: Founded) -> None:
    """It was meant to do something: `state` written `status` must not silently leave an agent enabled."""
    house = House(database, secrets)
    async with database.transaction() as tx:
        key = await keys.create_key(tx, SYSTEM, name="K", role="owner", now=noon)
    async with browser(house) as client:
        answer = await client.patch(
            f"agents/{founded.owner.id}",
            json={"status": "disabled"},
            headers={"authorization": f"Bearer {key.secret}"},
        )
        assert answer.status_code == 422


async def test_names_carry_no_control_characters(database: Database, secrets: Secrets, founded: Founded) -> None:
    house = House(database, secrets)
    async with database.transaction() as tx:
        key = await keys.create_key(tx, SYSTEM, name="K", role="owner", now=noon)
    async with browser(house) as client:
        client.headers["authorization"] = f"Bearer {key.secret}"
        for name in ("", "   ", "a\x00b", "a\r\nBcc: eve@example.com", "\x7f", "x" * 121):
            assert (await client.post("teams", json={"name": name})).status_code == 422, name
        for body in (b"{", b'{"name": "\\ud800"}', b"\xff", b"[]", b'{"name": {}}'):
            answer = await client.post("teams", content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422), body


async def test_the_audit_log_is_read_page_by_page(database: Database, secrets: Secrets, founded: Founded) -> None:
    house = House(database, secrets)
    async with database.transaction() as tx:
        key = await keys.create_key(tx, SYSTEM, name="K", role="owner", now=noon)
    async with browser(house) as client:
        client.headers["authorization"] = f"Bearer {key.secret}"
        for number in range(7):
            assert (await client.post("teams", json={"name": f"Team {number}"})).status_code == 201
        seen: list[str] = []
        cursor = None
        while True:
            params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("audit", params=params)).json()
            seen += [entry["act"] for entry in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == ["team.made"] * 7 + ["key.issued", "agent.joined", "brand.made", "organisation.founded"]
        entry = (await client.get("audit", params={"subject_kind": "team", "limit": 1})).json()["items"][0]
        assert (entry["actor_kind"], entry["actor_name"], entry["address"]) == ("key", "K", "192.0.2.7")
        assert entry["after"] == {"name": "Team 6", "members": []}
        for cursor in ("x", "'; DROP TABLE", "\x00"):
            assert (await client.get("audit", params={"cursor": cursor})).status_code == 422
