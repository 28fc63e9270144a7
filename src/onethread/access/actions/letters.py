"""Our own letters: written and sealed in the transaction, posted after it."""

from datetime import datetime

import msgspec

from onethread.access import queries
from onethread.access.letters import Letter, LetterKind, written
from onethread.access.store import records
from onethread.kernel.ids import new_id
from onethread.platform.db import Tx
from onethread.platform.secrets import Secrets

_PURPOSE = "access.letter"


async def write_letter(
    tx: Tx,
    secrets: Secrets,
    kind: LetterKind,
    *,
    address: str,
    name: str,
    locale: str,
    now: datetime,
    link: str | None = None,
    wanted: bool = True,
) -> None:
    """Put a letter into the outbox. One not wanted takes as long and leaves nothing."""
    organisation = await queries.organisation(tx)
    letter = written(
        kind,
        address=address,
        name=name,
        organisation=organisation.name if organisation else "Onethread",
        locale=locale,
        link=link,
    )
    sealed = secrets.encrypt(msgspec.json.encode(letter), purpose=_PURPOSE)
    await records.insert_letter(tx, new_id(), address, sealed, now=now, wanted=wanted)


def opened(secrets: Secrets, sealed: bytes) -> Letter:
    """Return a letter from the outbox in plain; raises Undecipherable when the key was lost."""
    return msgspec.json.decode(secrets.decrypt(sealed, purpose=_PURPOSE), type=Letter)
