"""The settings of the embedded server, as a pure function of the machine's memory."""

from pathlib import Path

import psutil

_MB = 1024 * 1024
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_limit() -> int:
    """Return the bytes of memory we may count on: the machine's, or the container's when smaller."""
    total = psutil.virtual_memory().total
    try:
        allowed = int(_CGROUP_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or "max"
        return int(total)
    return min(int(total), allowed)


def server_conf(*, sockets: Path, memory: int, durable: bool) -> str:
    """Return the text of `postgres.conf`. `memory` is in bytes."""
    settings: dict[str, str | int] = {
        # Reachable through the private socket only.
        "listen_addresses": "",
        "port": 5432,
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": 100,
        "shared_preload_libraries": "",
        # Memory.
        "shared_buffers": _megabytes(memory // 4, least=64, most=2048),
        "effective_cache_size": _megabytes(memory // 2, least=128, most=65536),
        "work_mem": _megabytes(memory // 512, least=4, most=32),
        "maintenance_work_mem": _megabytes(memory // 16, least=32, most=512),
        "huge_pages": "off",
        # What is acknowledged is on the disk.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "wal_buffers": "16MB",
        # The build knows pglz only, which takes longer to pack a page than the disk to write it.
        "wal_compression": "off",
        "min_wal_size": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "restart_after_crash": "on",
        # Plans: short statements on solid state disks.
        "jit": "off",
        "random_page_cost": "1.1",
        # Queues and cursors change all the time: clean often, in small bites.
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_vacuum_cost_limit": 1000,
        # Bounded logs (one file a weekday) that hold no personal data: no parameters, no DETAIL lines.
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgres-%a.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": 0,
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": 0,
        "log_parameter_max_length_on_error": 0,
        "log_checkpoints": "off",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "lc_messages": "C",
    }
    if not durable:
        settings |= {
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "128MB",
            "max_connections": 400,  # several servers and pools of tests share it
            "min_wal_size": "80MB",
            "max_wal_size": "1GB",
            "logging_collector": "off",
        }
    lines = (f"{name} = {_quoted(value)}\n" for name, value in settings.items())
    return "# Written at every start; your own settings go into postgres.local.conf beside this file.\n" + "".join(
        lines
    )


def _megabytes(size: int, *, least: int, most: int) -> str:
    return f"{min(max(size // _MB, least), most)}MB"


def _quoted(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
