"""Every route x every role x nobody: the routes are read from the description, the expectation is this page."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any, Final

import httpx
import pytest

from onethread.access.model import PERMISSIONS, PERMISSIONS_OF, ROLES, Role
from onethread.app.web import describe
from tests.kits.scene import Scene, filled
from tests.kits.server import Server

# Who may call what. `anybody` needs no credentials at all, `signed_in` is open to every key and agent.
# A line that is missing or too much fails the test: a new route must be entered here by hand.
EXPECTED: Final = """
anybody               accept_invitation begin_sign_on finish_sign_on get_setup request_password_reset
anybody               reset_password set_up sign_in
signed_in             change_me change_password close_my_session confirm_second_factor disable_second_factor
signed_in             enrol_second_factor get_me list_my_sessions renew_recovery_codes sign_out
signed_in             sign_out_elsewhere
organisation.read     get_brand get_organisation list_brands
organisation.manage   rename_organisation
brands.manage         change_brand create_brand
agents.read           get_agent get_team list_agents list_roles list_teams
agents.manage         change_agent create_agent end_sessions_of_agent invite list_invitations
agents.manage         remove_second_factor_of_agent withdraw_invitation
teams.manage          change_team create_team
keys.manage           create_key list_keys revoke_key
audit.read            list_audit
accounts.read         get_account list_accounts list_channels
accounts.manage       add_account change_account check_account
receipts.read         list_receipts
receipts.replay       dismiss_receipts get_receipt replay_receipts
customers.read        get_customer get_customer_thread list_blocked_values list_customer_changes
customers.read        list_customer_identifiers list_customer_marks list_customer_suggestions list_customers
customers.link        accept_suggestion block_value link_customer mark_not_same reject_suggestion
customers.link        revoke_evidence unblock_value unmark_not_same
conversations.read    count_conversations get_conversation get_draft list_conversations
conversations.read    list_messages list_ways read_conversation
conversations.reply   edit_message react_to_message retry_delivery save_draft send_message undo_message
conversations.reply   unsend_message
conversations.read    open_file
conversations.handle|conversations.assign change_conversation
conversations.handle  join_conversations split_conversation
files.write           upload_file
conversations.note    add_note
conversations.start   start_conversation
events.read           get_health list_events
events.replay         list_dead_letters replay_dead_letter
webhooks.manage       add_webhook change_webhook get_webhook list_webhook_deliveries list_webhooks
webhooks.manage       ping_webhook remove_webhook replay_webhook_deliveries rotate_webhook_secret
live.subscribe        stream_live_events
"""

# What each role may, seen from the outside: the columns are the roles.
ROLE_TABLE: Final = """
                        owner admin supervisor agent marketer shop read_only
organisation.read       x     x     x          x     x        x    x
organisation.manage     x     x     .          .     .        .    .
brands.manage           x     x     .          .     .        .    .
agents.read             x     x     x          x     x        x    x
agents.manage           x     x     .          .     .        .    .
teams.manage            x     x     x          .     .        .    .
keys.manage             x     x     .          .     .        .    .
audit.read              x     x     .          .     .        .    .
accounts.read           x     x     x          x     x        x    x
accounts.manage         x     x     .          .     .        .    .
receipts.read           x     x     x          .     .        .    .
receipts.replay         x     x     .          .     .        .    .
customers.read          x     x     x          x     x        x    x
customers.write         x     x     x          x     .        x    .
customers.link          x     x     x          x     .        .    .
conversations.read      x     x     x          x     x        x    x
conversations.reply     x     x     x          x     .        x    .
conversations.start     x     x     x          x     .        .    .
conversations.note      x     x     x          x     .        x    .
conversations.handle    x     x     x          x     .        x    .
conversations.assign    x     x     x          x     .        .    .
files.write             x     x     x          x     x        x    .
events.read             x     x     x          .     x        .    x
events.replay           x     x     .          .     .        .    .
webhooks.manage         x     x     .          .     .        .    .
live.subscribe          x     x     x          x     x        x    x
"""

# What only a person can do: a key that has the permission is refused all the same.
FOR_PEOPLE: Final = frozenset({"read_conversation"})
SOME_ID: Final = "01a201d1-b293-734c-8e85-e4db029bd504"
# Where the least body a description allows is not one the route would take.
BODIES: Final[dict[str, object]] = {
    "create_agent": {"email": "new@example.com", "name": "New", "role": "read_only", "brands": [SOME_ID]},
    "create_key": {"name": "new", "role": "read_only", "brands": [SOME_ID]},
    "invite": {"email": "new@example.com", "name": "New", "role": "read_only", "brands": [SOME_ID]},
    "link_customer": {"customer_id": SOME_ID, "reason": "They said so."},
    "mark_not_same": {"customer_id": SOME_ID, "reason": "They said so."},
    "replay_receipts": {"receipts": [1]},
    "send_message": {"text": "Hello"},
    "start_conversation": {"to": "email:ana@example.com", "text": "Hello"},
}
QUERIES: Final[dict[str, dict[str, str]]] = {
    "stream_live_events": {"topics": ""},
}


@cache
def description() -> dict[str, Any]:
    return json.loads(describe())


@cache
def routes() -> dict[str, tuple[str, str, dict[str, object]]]:
    """Return method, path and description of every route, by its name."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, operations in description()["paths"].items()
        for method, operation in operations.items()
    }


def expected() -> dict[str, str]:
    """Return who may call each route, as this page says."""
    lines = (line.split() for line in EXPECTED.strip().splitlines())
    return {name: who for who, *names in lines for name in names}


def role_table() -> dict[str, set[str]]:
    """Return the roles that have each permission, as this page says."""
    head, *lines = (line.split() for line in ROLE_TABLE.strip().splitlines())
    return {who: {role for role, mark in zip(head, marks, strict=True) if mark == "x"} for who, *marks in lines}


def who_may(who: str) -> set[str]:
    """Return the roles that may call a route; of several permissions one lets them in."""
    if who in {"anybody", "signed_in"}:
        return set(ROLES)
    return set().union(*(role_table()[permission] for permission in who.split("|")))


def call(client: httpx.Client, name: str) -> tuple[int, str]:
    """Call a route with ids that exist nowhere and the least body; return status and code."""
    method, path, operation = routes()[name]
    url = re.sub(r"\{[^}]+\}", lambda found: "1" if found[0] == "{receipt}" else SOME_ID, path)
    query = {
        parameter["name"]: least(parameter["schema"])
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter.get("required")
    }
    taken = operation.get("requestBody", {"content": {}})["content"]
    said: dict[str, object] = {}
    if name in BODIES:
        said = {"json": BODIES[name]}
    elif "application/json" in taken:
        said = {"json": least(taken["application/json"]["schema"])}
    elif taken:
        said = {"content": b"a file", "headers": {"content-type": next(iter(taken))}}
    query |= QUERIES.get(name, {})
    with client.stream(method, url.removeprefix("/api/v1/"), params=query, **said) as answer:
        if answer.status_code < 400:
            return answer.status_code, ""
        return answer.status_code, json.loads(answer.read())["code"]


def least(schema: dict[str, object]) -> object:
    """Return the least value that fits a schema."""
    if "$ref" in schema:
        return least(description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return least(schema[key][0])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: least(schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [least(schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "string":
            if schema.get("format") == "uuid":
                return SOME_ID
            return "x" * max(schema.get("minLength", 1), 1)
    return None


def test_this_page_names_every_route_once() -> None:
    said = {name: operation["x-permission"] for name, (_, _, operation) in routes().items()}
    assert expected() == said


def test_this_page_gives_the_roles_what_the_code_gives_them() -> None:
    assert role_table() == {
        permission: {role for role in ROLES if permission in PERMISSIONS_OF[role]} for permission in PERMISSIONS
    }


@pytest.fixture(scope="module")
def keys(server: Server) -> Iterator[dict[str, httpx.Client]]:
    """Give a client for each role, and one for nobody."""
    with ExitStack() as stack:
        secrets = {role: server.key(role) for role in ROLES} | {"nobody": ""}
        yield {name: stack.enter_context(server.client(secret)) for name, secret in secrets.items()}


@pytest.mark.parametrize("name", sorted(expected()))
def test_a_route_and_everybody(keys: dict[str, httpx.Client], name: str) -> None:
    who = expected()[name]
    status, code = call(keys["nobody"], name)
    if who == "anybody":
        # Signing in with a wrong password is a 401 as well.
        assert code != "not_signed_in" or name == "sign_in"
        assert status < 500
        return
    assert (status, code) == (401, "not_signed_in")
    may = who_may(who)
    for role in ROLES:
        status, code = call(keys[role], name)
        assert status < 500, f"{role}: {status} {code}"
        if role in may:
            assert who == "signed_in" or name in FOR_PEOPLE or status != 403, (
                f"{role} should be allowed: {status} {code}"
            )
        else:
            assert (status, code) == (403, "not_allowed"), f"{role} should not be allowed: {status} {code}"


# Routes called on things that are there, with what they take: what they need is asked of each role in earnest.
# In an order in which each still finds what it speaks of. A permission here is that of this body alone.
REAL: Final[list[tuple[str, object, str]]] = [
    ("get_account", None, "accounts.read"),
    ("change_account", {"name": "Chat"}, "accounts.manage"),
    ("check_account", None, "accounts.manage"),
    ("get_receipt", None, "receipts.replay"),
    ("get_customer", None, "customers.read"),
    ("get_customer_thread", None, "customers.read"),
    ("list_customer_changes", None, "customers.read"),
    ("list_customer_identifiers", None, "customers.read"),
    ("mark_not_same", {"customer_id": "{other_customer_id}", "reason": "Two people."}, "customers.link"),
    ("list_customer_marks", None, "customers.read"),
    ("get_conversation", None, "conversations.read"),
    ("change_conversation", {}, "conversations.handle"),
    ("change_conversation", {"status": "closed"}, "conversations.handle"),
    ("change_conversation", {"status": "open", "priority": 1, "subject": "Parcel"}, "conversations.handle"),
    ("change_conversation", {"assignee_id": "{agent_id}"}, "conversations.assign"),
    ("change_conversation", {"assignee_id": None, "team_id": None}, "conversations.assign"),
    ("get_draft", None, "conversations.read"),
    ("save_draft", {"text": "Dear", "version": 0}, "conversations.reply"),
    ("list_messages", None, "conversations.read"),
    ("list_ways", None, "conversations.read"),
    ("read_conversation", {"upto": 1}, "conversations.read"),
    ("add_note", {"text": "A note"}, "conversations.note"),
    ("send_message", {"text": "An answer", "hold_seconds": 0}, "conversations.reply"),
    ("open_file", None, "conversations.read"),
    ("react_to_message", {"emoji": "+1"}, "conversations.reply"),
    ("edit_message", {"text": "Here it really is"}, "conversations.reply"),
    ("unsend_message", None, "conversations.reply"),
    ("undo_message", None, "conversations.reply"),
    ("split_conversation", {"message_ids": ["{held_message_id}"]}, "conversations.handle"),
    ("get_webhook", None, "webhooks.manage"),
    ("change_webhook", {"enabled": True}, "webhooks.manage"),
    ("list_webhook_deliveries", None, "webhooks.manage"),
    ("replay_webhook_deliveries", {}, "webhooks.manage"),
    ("ping_webhook", None, "webhooks.manage"),
    ("rotate_webhook_secret", None, "webhooks.manage"),
    ("remove_webhook", None, "webhooks.manage"),
    ("dismiss_receipts", {"receipts": ["{receipt}"]}, "receipts.replay"),
]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_and_what_is_really_there(server: Server, role: Role) -> None:
    scene = Scene.on(server)
    with server.client() as owner, scene.agent(role) as agent:
        held = owner.post(f"conversations/{scene.conversation}/messages", json={"text": "Wait", "hold_seconds": 120})
        me = agent.get("me").json()["id"]
        ids = {**scene.ids, "held_message_id": held.json()["id"], "agent_id": me}
        for name, body, permission in REAL:
            method, path, operation = routes()[name]
            assert permission in operation["x-permission"].split("|")
            of = ids | {"message_id": ids["held_message_id"]} if name == "undo_message" else ids
            said = None if body is None else filled(body, of)
            answer = agent.request(method, path.removeprefix("/api/v1/").format(**of), json=said)
            where = f"{role}: {name} {body}: {answer.status_code} {answer.text}"
            if role in role_table()[permission]:
                assert answer.status_code < 400, where
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed"), where
