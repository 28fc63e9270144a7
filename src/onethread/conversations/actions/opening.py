"""Open what conversations hold."""

from onethread.access.model import Actor
from onethread.conversations.queries import files
from onethread.platform.db import Tx


async def may_open_file(tx: Tx, actor: Actor, ref: str) -> bool:
    """Tell whether a message or a shared draft that the actor may read names the file (`file:<sha256>`)."""
    actor.require("conversations.read")
    return await files.is_named(
        tx,
        ref,
        brands=None if actor.brands is None else sorted(actor.brands),
        teams=None if actor.teams is None else sorted(actor.teams),
        own=actor.agent_id,
    )
