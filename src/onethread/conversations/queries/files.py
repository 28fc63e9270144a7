"""SQL reads of the files that messages and drafts name."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Tx


async def is_named(
    tx: Tx, ref: str, *, brands: Sequence[BrandId] | None, teams: Sequence[TeamId] | None, own: AgentId | None
) -> bool:
    """Tell whether a message or a draft within the looker's limits names the file; None is no limit.

    Whoever is limited to teams sees the work of those teams and their `own`.
    """
    return bool(
        await tx.value(
            """
            SELECT EXISTS (
                   SELECT
                     FROM (SELECT conversation_id
                             FROM conversations.message
                            WHERE content ? 'media' AND content -> 'media' @> %(named)s
                            UNION ALL
                           SELECT conversation_id
                             FROM conversations.draft
                            WHERE content ? 'media' AND content -> 'media' @> %(named)s) AS naming
                     JOIN conversations.inbox_row AS row USING (conversation_id)
                    WHERE (%(brands)s::uuid[] IS NULL OR row.brand_id = ANY (%(brands)s::uuid[]))
                      AND (%(teams)s::uuid[] IS NULL
                           OR row.team_id = ANY (%(teams)s::uuid[])
                           OR row.assignee_id = %(own)s::uuid))
            """,
            {"named": Jsonb([{"ref": ref}]), "brands": brands, "teams": teams, "own": own},
        )
    )
