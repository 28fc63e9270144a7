"""Lists on their way to PostgreSQL: sets are sent as columns, and many a column is one value throughout."""

from datetime import datetime
from types import NoneType
from typing import Any, Final
from uuid import UUID

from psycopg.abc import Buffer
from psycopg.types.array import ListBinaryDumper

# Of these, equal values are written alike; of others (1.0 and 1.00) they may not be.
_PLAIN: Final = frozenset({str, UUID, int, bool, datetime, NoneType})


class ColumnDumper(ListBinaryDumper):
    """Writes a list as the driver does, but a value that fills the whole list only once."""

    def _dump_list(self, L: list[Any], dim: int, dims: list[int], data: list[Buffer]) -> int:  # noqa: N803 the driver's
        if len(dims) != 1 or type(L[0]) not in _PLAIN or L.count(L[0]) != len(L):
            return super()._dump_list(L, dim, dims, data)
        one: list[Buffer] = []
        has_null = super()._dump_list(L[:1], 0, [1], one)
        data.append(b"".join(one) * len(L))
        return has_null
