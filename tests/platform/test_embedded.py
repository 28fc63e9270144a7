from onethread.platform.db import Database, Tx


async def test_a_transaction_sees_its_own_writes(tx: Tx) -> None:
    assert await tx.value("SELECT 1") == 1


async def test_a_database_of_its_own(database: Database, tx: Tx) -> None:
    assert await tx.value("SELECT current_database()") in database.conninfo
