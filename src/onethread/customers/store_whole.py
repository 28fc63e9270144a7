"""SQL that reads all identifiers and all evidence at once: to compute everything anew."""

from onethread.customers.matching import Link, Mark
from onethread.customers.store_evidence import Held
from onethread.kernel.ids import CustomerId
from onethread.platform.db import Tx


async def identifiers(tx: Tx) -> list[Held]:
    return await tx.all(
        Held, "SELECT id, kind, scope, value, epoch, blocked, shared, customer_id FROM customers.identifier"
    )


async def links(tx: Tx) -> dict[Link, str | None]:
    """Return all valid evidence, each with why it is not joined (None when it is)."""
    rows = await tx.tuples(
        """
        SELECT id, a, b, kind, strength, source, source_ref, suppressed
          FROM customers.evidence
         WHERE revoked_at IS NULL
        """
    )
    return {Link(*row): suppressed for *row, suppressed in rows}


async def marks(tx: Tx) -> list[Mark]:
    return await tx.all(Mark, "SELECT a, b FROM customers.cannot_link WHERE revoked_at IS NULL")


async def superseded(tx: Tx) -> dict[CustomerId, CustomerId | None]:
    """Return every customer row with the id that stands for it now, None for itself."""
    return dict(await tx.tuples("SELECT id, superseded_by FROM customers.customer"))
