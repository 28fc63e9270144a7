"""Who a sender proves to be: reply tokens, references and claims, before anything is placed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from onethread.channels.contract import ClaimKind, MessageCame
from onethread.conversations.model import read_reply_token
from onethread.conversations.queries import placing as queries
from onethread.conversations.queries.placing import Found, Referred
from onethread.conversations.receiving.batch import Batch, ClaimCame, Desk, Incoming
from onethread.conversations.receiving.placing import People
from onethread.customers.model import SIGN_INS, EvidenceDraft
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AccountId, ConversationId
from onethread.platform.db import Tx
from onethread.platform.events.model import By


@dataclass(slots=True)
class Proof:
    """What a batch proves. `answered` holds, by receipt, the conversation a message may join."""

    answered: dict[int, Found] = field(default_factory=dict)
    referred: Sequence[Referred] = ()
    evidence: list[EvidenceDraft] = field(default_factory=list)


async def prove(tx: Tx, desk: Desk, batch: Batch, people: People, now: datetime) -> Proof:
    """Find out which conversations the messages answer and whom their senders prove to be."""
    proof = Proof(evidence=_stated(batch.claims, people, now))
    if not batch.messages:
        return proof
    named = sorted({one for message in batch.messages for one in _names(message.came)})
    proof.referred = await queries.referred(tx, _siblings(desk, batch.messages), named)
    tokens = _tokens(desk, batch.messages)
    leads = _leads(batch.messages, proof.referred)
    wanted = {*tokens.values(), *(lead for several in leads.values() for lead in several)}
    if wanted:
        now_is = await queries.conversations_now(tx, sorted(wanted))
        await _by_token(tx, proof, batch.messages, people, tokens, now_is, now)
        await _by_reference(tx, proof, batch.messages, people, leads, now_is)
    return proof


def _stated(claims: Sequence[ClaimCame], people: People, now: datetime) -> list[EvidenceDraft]:
    """Write claims as evidence. What one sign-in says together (an id and an address) is one person's.

    So only the first of them is tied to the sender, the others to the first: a browser must not take the
    second for somebody else who signed in on it.
    """
    first: dict[tuple[int, ClaimKind], Identifier] = {}
    drafts = []
    for came in claims:
        tied_to = came.sender
        if came.claim.kind in SIGN_INS:
            tied_to = first.setdefault((came.receipt.seq, came.claim.kind), came.claimed)
            tied_to = came.sender if tied_to == came.claimed else tied_to
        drafts.append(
            EvidenceDraft(
                a=people[tied_to].identifier_id,
                b=people[came.claimed].identifier_id,
                kind=came.claim.kind,
                source=f"account:{came.account.id}",
                source_ref=f"{came.sender}",
                reason=came.claim.reason,
                asserted_at=now,
                by=By("customer", people[came.sender].identifier_id),
            )
        )
    return drafts


def _names(came: MessageCame) -> tuple[str, ...]:
    return (came.external_id, *came.answers)


def _siblings(desk: Desk, messages: Sequence[Incoming]) -> list[AccountId]:
    """Return all accounts of the channels concerned: an answer may come to another mailbox of ours."""
    channels = {message.account.channel for message in messages}
    return [account.id for account in desk.accounts.values() if account.channel in channels]


def _tokens(desk: Desk, messages: Sequence[Incoming]) -> dict[int, ConversationId]:
    """Read the tokens that were given to the very address that writes; a failed sender check voids them."""
    found = {}
    for message in messages:
        if message.came.token and message.came.trust != "failed":
            conversation_id = read_reply_token(desk.token_key, message.came.token, message.sender.value)
            if conversation_id is not None:
                found[message.receipt.seq] = conversation_id
    return found


def _leads(messages: Sequence[Incoming], referred: Sequence[Referred]) -> dict[int, list[ConversationId]]:
    """Return, by receipt, the conversations of what a message answers, nearest first."""
    where = {one.external_id: one.conversation_id for one in referred}
    return {
        message.receipt.seq: [where[one] for one in message.came.answers if one in where]
        for message in messages
        if any(one in where for one in message.came.answers)
    }


async def _by_token(
    tx: Tx,
    proof: Proof,
    messages: Sequence[Incoming],
    people: People,
    tokens: Mapping[int, ConversationId],
    now_is: Mapping[ConversationId, Found],
    now: datetime,
) -> None:
    """A token brings the answer home. Where the customer had claimed the address, it also proves it.

    Without that claim it proves nothing about persons: a supplier we wrote to is not the customer.
    """
    unproven = []
    for message in messages:
        lead = tokens.get(message.receipt.seq)
        conversation = now_is.get(lead) if lead is not None else None
        if conversation is None:
            continue
        proof.answered[message.receipt.seq] = conversation
        person = people[message.sender]
        # A robot (an absence notice) answers for whomever the mailbox belongs to.
        if person.customer_id != conversation.customer_id and not message.came.automatic:
            unproven.append((message, person.identifier_id, conversation))
    if not unproven:
        return
    claims = await queries.claims_between(
        tx, [(identifier_id, conversation.customer_id) for _, identifier_id, conversation in unproven]
    )
    for message, identifier_id, conversation in unproven:
        claimant = claims.get((identifier_id, conversation.customer_id))
        if claimant is not None:
            proof.evidence.append(
                EvidenceDraft(
                    a=claimant,
                    b=identifier_id,
                    kind="token_link",
                    source=f"account:{message.account.id}",
                    source_ref=str(conversation.id),
                    reason="Answered, from the address given before, a message we had sent there.",
                    asserted_at=now,
                    by=By("customer", identifier_id),
                )
            )


async def _by_reference(
    tx: Tx,
    proof: Proof,
    messages: Sequence[Incoming],
    people: People,
    leads: Mapping[int, Sequence[ConversationId]],
    now_is: Mapping[ConversationId, Found],
) -> None:
    """A reference counts only for those who take part: quoting a stranger's message joins nothing."""
    asked = []
    for message in messages:
        person = people[message.sender]
        if message.receipt.seq in proof.answered:
            continue
        for lead in leads.get(message.receipt.seq, ()):
            conversation = now_is.get(lead)
            if conversation is None:
                continue
            if conversation.customer_id == person.customer_id:
                proof.answered[message.receipt.seq] = conversation
                break
            asked.append((message, conversation, person.identifier_id))
    asked = [one for one in asked if one[0].receipt.seq not in proof.answered]
    if not asked:
        return
    taking_part = await queries.participants(tx, [(conversation.id, who) for _, conversation, who in asked])
    for message, conversation, who in asked:
        if (conversation.id, who) in taking_part and message.came.trust != "failed":
            proof.answered.setdefault(message.receipt.seq, conversation)
