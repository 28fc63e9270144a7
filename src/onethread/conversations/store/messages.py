"""SQL writes of messages, reactions, media and drafts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from onethread.channels.contract import Content
from onethread.conversations.model import MessageDraft, pack
from onethread.conversations.shown import ContentShown
from onethread.kernel.ids import AccountId, ConversationId, IdentifierId, MessageId, new_id
from onethread.platform.db import Tx
from onethread.platform.events.model import By

_encode: Final = msgspec.json.Encoder().encode


async def insert_messages(tx: Tx, drafts: Sequence[MessageDraft]) -> None:
    await tx.run(
        """
        INSERT INTO conversations.message
               (id, conversation_id, seq, direction, channel, account_id, identifier_id, author_kind, author_id,
                author_name, at, external_id, answers_id, purpose, content, trust, trust_reason,
                automatic, receipt_seq, client_id)
        SELECT id, conversation_id, seq, direction, channel, account_id, identifier_id, author_kind, author_id,
               author_name, at, external_id, answers_id, purpose, content::jsonb, trust, trust_reason,
               automatic, receipt_seq, client_id
          FROM unnest(%b::uuid[], %b::uuid[], %b::int[], %b::text[], %b::text[], %b::uuid[], %b::uuid[],
                      %b::text[], %b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::uuid[],
                      %b::text[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::bigint[], %b::text[])
               AS given (id, conversation_id, seq, direction, channel, account_id, identifier_id,
                         author_kind, author_id, author_name, at, external_id, answers_id, purpose, content, trust,
                         trust_reason, automatic, receipt_seq, client_id)
        """,
        (
            [draft.id for draft in drafts],
            [draft.conversation_id for draft in drafts],
            [draft.seq for draft in drafts],
            [draft.direction for draft in drafts],
            [draft.channel for draft in drafts],
            [draft.account_id for draft in drafts],
            [draft.identifier_id for draft in drafts],
            [draft.author_kind for draft in drafts],
            [draft.author_id for draft in drafts],
            [draft.author_name for draft in drafts],
            [draft.at for draft in drafts],
            [draft.external_id for draft in drafts],
            [draft.answers_id for draft in drafts],
            [draft.purpose for draft in drafts],
            [_encode(pack(draft.content)).decode() for draft in drafts],
            [draft.trust for draft in drafts],
            [draft.trust_reason for draft in drafts],
            [draft.automatic for draft in drafts],
            [draft.receipt_seq for draft in drafts],
            [draft.client_id for draft in drafts],
        ),
    )


async def want_media(tx: Tx, wanted: Sequence[tuple[MessageId, int, AccountId, int]]) -> None:
    """Note files to be fetched: (message, position in its content, account, receipt seq)."""
    await tx.run(
        """
        INSERT INTO conversations.media (id, message_id, position, account_id, receipt_seq)
        SELECT id, message_id, position, account_id, receipt_seq
          FROM unnest(%b::uuid[], %b::uuid[], %b::smallint[], %b::uuid[], %b::bigint[])
               AS given (id, message_id, position, account_id, receipt_seq)
        """,
        (
            [new_id() for _ in wanted],
            [message_id for message_id, _, _, _ in wanted],
            [position for _, position, _, _ in wanted],
            [account_id for _, _, account_id, _ in wanted],
            [receipt_seq for _, _, _, receipt_seq in wanted],
        ),
    )


@dataclass(frozen=True, slots=True)
class WantedMedia:
    """A file to fetch, with where it came from."""

    id: UUID
    message_id: MessageId
    position: int
    account_id: AccountId
    receipt_seq: int
    attempts: int


async def claim_media(tx: Tx, *, limit: int, lease_seconds: float) -> list[WantedMedia]:
    """Take files that are due; they come back by themselves when nobody reports on them."""
    return await tx.all(
        WantedMedia,
        """
        UPDATE conversations.media
           SET attempts = media.attempts + 1, due_at = now() + make_interval(secs => %(lease)s)
          FROM (SELECT id
                  FROM conversations.media
                 WHERE state = 'waiting' AND due_at <= now()
                 ORDER BY due_at
                 LIMIT %(limit)s
                   FOR UPDATE SKIP LOCKED) AS due
         WHERE media.id = due.id
        RETURNING media.id, message_id, position, account_id, receipt_seq, attempts
        """,
        {"limit": limit, "lease": lease_seconds},
    )


async def delay_media(tx: Tx, id_: UUID, *, seconds: float, reason: str) -> None:
    await tx.run(
        """
        UPDATE conversations.media
           SET due_at = now() + make_interval(secs => %s), reason = %s
         WHERE id = %s AND state = 'waiting'
        """,
        (seconds, reason, id_),
    )


async def finish_media(
    tx: Tx, wanted: WantedMedia, *, ref: str | None, media_type: str | None, size: int | None, reason: str | None
) -> bool:
    """Write where a file now is, or why it could not be had; tell whether it was still wanted."""
    done = await tx.run(
        """
        UPDATE conversations.media SET state = %s, reason = %s
         WHERE id = %s AND state = 'waiting'
        """,
        ("stored" if ref else "failed", reason, wanted.id),
    )
    if not done:
        return False
    patch = {"ref": ref, "media_type": media_type, "size": size} if ref else {"ref": "failed:" + (reason or "")}
    await tx.run(
        """
        UPDATE conversations.message
           SET content = jsonb_set(content, ARRAY['media', %(position)s::text],
                                   content -> 'media' -> %(position)s::int || %(patch)s::jsonb)
         WHERE id = %(message)s AND content -> 'media' -> %(position)s::int IS NOT NULL
        """,
        {"position": wanted.position, "patch": Jsonb(patch), "message": wanted.message_id},
    )
    return True


async def replace_content(tx: Tx, message_id: MessageId, content: Content, *, at: datetime) -> bool:
    """Write an edit down; what was unsent stays gone and an older edit never replaces a newer one."""
    return bool(
        await tx.run(
            """
            UPDATE conversations.message SET content = %(content)s, edited_at = %(at)s
             WHERE id = %(id)s AND unsent_at IS NULL AND (edited_at IS NULL OR edited_at <= %(at)s)
            """,
            {"content": Jsonb(pack(content)), "at": at, "id": message_id},
        )
    )


async def forget_content(tx: Tx, message_id: MessageId, *, at: datetime) -> bool:
    """Remove what was said; tell whether it was still there."""
    gone = await tx.run(
        """
        UPDATE conversations.message SET content = '{}', unsent_at = %s, author_name = NULL
         WHERE id = %s AND unsent_at IS NULL
        """,
        (at, message_id),
    )
    await tx.run("DELETE FROM conversations.media WHERE message_id = %s AND state = 'waiting'", (message_id,))
    await tx.run("DELETE FROM conversations.found WHERE message_id = %s", (message_id,))
    return bool(gone)


async def refresh_preview(tx: Tx, conversation_id: ConversationId, seq: int, text: str) -> None:
    """Change what the list shows, if the message is the last one."""
    await tx.run(
        "UPDATE conversations.inbox_row SET last_text = %s WHERE conversation_id = %s AND last_seq = %s",
        (text, conversation_id, seq),
    )


async def set_reaction(
    tx: Tx, message_id: MessageId, *, by_kind: str, by_id: UUID, emoji: str | None, at: datetime
) -> None:
    """Set or (None) take back somebody's one reaction to a message."""
    if emoji is None:
        await tx.run(
            "DELETE FROM conversations.reaction WHERE message_id = %s AND by_id = %s AND at <= %s",
            (message_id, by_id, at),
        )
        return
    await tx.run(
        """
        INSERT INTO conversations.reaction (message_id, by_kind, by_id, emoji, at)
        VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (message_id, by_id) DO UPDATE SET emoji = excluded.emoji, at = excluded.at
         WHERE reaction.at <= excluded.at
        """,
        (message_id, by_kind, by_id, emoji, at),
    )


async def move_messages(
    tx: Tx, *, from_id: ConversationId, into_id: ConversationId, ids: Sequence[MessageId] | None, after_seq: int
) -> int:
    """Move messages (all for None) behind `after_seq` of another conversation; return how many."""
    return await tx.run(
        """
        UPDATE conversations.message
           SET conversation_id = %(into)s, seq = %(after)s + moved.place
          FROM (SELECT id, row_number() OVER (ORDER BY seq) AS place
                  FROM conversations.message
                 WHERE conversation_id = %(from)s
                   AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s::uuid[]))) AS moved
         WHERE message.id = moved.id
        """,
        {"from": from_id, "into": into_id, "ids": None if ids is None else list(ids), "after": after_seq},
    )


async def save_draft(
    tx: Tx, conversation_id: ConversationId, content: ContentShown, *, by: By, seen: int
) -> int | None:
    """Save the shared draft over the version one has seen; return its new version, None if it moved on."""
    version: int | None = await tx.value(
        """
        INSERT INTO conversations.draft (conversation_id, version, content, author_kind, author_id)
        VALUES (%(id)s, 1, %(content)s, %(author_kind)s, %(author)s)
            ON CONFLICT (conversation_id) DO NOTHING
        RETURNING version
        """
        if seen == 0
        else """
        UPDATE conversations.draft
           SET version = version + 1, content = %(content)s, author_kind = %(author_kind)s,
               author_id = %(author)s, changed_at = now()
         WHERE conversation_id = %(id)s AND version = %(seen)s
        RETURNING version
        """,
        {"id": conversation_id, "content": Jsonb(content), "author_kind": by.kind, "author": by.id, "seen": seen},
    )
    return version


async def empty_draft(tx: Tx, conversation_id: ConversationId) -> int | None:
    """Empty the shared draft; return its new version, None when there was nothing in it.

    The row stays: versions only grow, so that whoever saw an old one never writes over a new one.
    """
    version: int | None = await tx.value(
        """
        UPDATE conversations.draft
           SET version = version + 1, content = '{}', author_kind = 'system', author_id = NULL, changed_at = now()
         WHERE conversation_id = %s AND content <> '{}'
        RETURNING version
        """,
        (conversation_id,),
    )
    return version


async def write_found(tx: Tx, message_ids: Sequence[MessageId]) -> None:
    """Write what a search can find of messages, as they are now."""
    await tx.run(
        """
        INSERT INTO conversations.found (message_id, conversation_id, at, words)
        SELECT id, conversation_id, at,
               lower(normalize(concat_ws(' ', content ->> 'subject', content ->> 'text'), NFKC))
          FROM conversations.message
         WHERE id = ANY (%s::uuid[]) AND unsent_at IS NULL
           AND (content ? 'text' OR content ? 'subject')
            ON CONFLICT (message_id) DO UPDATE
           SET words = excluded.words, conversation_id = excluded.conversation_id
        """,
        (list(message_ids),),
    )


async def suppress(
    tx: Tx, identifier_id: IdentifierId, channel: str, purpose: str, reason: str, *, at: datetime
) -> bool:
    """Stop sending to an address; tell whether that was news."""
    return bool(
        await tx.run(
            """
            INSERT INTO conversations.suppression (identifier_id, channel, purpose, reason, at)
            VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
            """,
            (identifier_id, channel, purpose, reason, at),
        )
    )


async def unsuppress(tx: Tx, identifier_id: IdentifierId, channel: str, purpose: str) -> bool:
    return bool(
        await tx.run(
            """
            DELETE FROM conversations.suppression
             WHERE identifier_id = %s AND channel = %s AND (purpose = %s OR %s = 'all')
            """,
            (identifier_id, channel, purpose, purpose),
        )
    )
