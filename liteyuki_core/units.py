"""Durations and sizes for people."""

from __future__ import annotations


def in_words(seconds: float | None) -> str:
    """Return a duration: 5s, 3m 20s, 2h 5m, 4d 3h."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"


def in_bytes(size: float | None) -> str:
    """Return a number of bytes: 12 B, 340 KB, 56 MB, 1.2 GB."""
    if size is None:
        return "-"
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"
