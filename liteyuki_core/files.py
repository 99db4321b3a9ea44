"""Files and folders that only this user may use, whatever the umask: modes 0600 and 0700.

Other users may not read what a bot stores and logs, and whoever can read a lock's file can hold
the lock. Windows has no such modes: files and folders there have the system's default rights.
Any thread may call these functions.
"""

from __future__ import annotations

import os
import stat
import sys


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file as `os.open` does, or create it; return its descriptor.

    If the file is this user's, other users may not use it. Raises `OSError`.
    """
    try:
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        file = os.open(path, flags | os.O_CREAT, 0o600)
        tighten(file)
    else:
        _change_mode(file, 0o600)  # The umask may have removed the user's own rights.
    return file


def tighten(file: int | str) -> None:
    """Remove other users' rights to a file of this user. `file` is its descriptor or path.

    Does nothing if there is no such file, or if its mode can't be changed.
    """
    if sys.platform == "win32":
        return
    try:
        found = os.stat(file)
    except OSError:
        return
    if (
        stat.S_ISREG(found.st_mode)
        and found.st_uid == os.geteuid()
        and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ):
        _change_mode(file, stat.S_IMODE(found.st_mode) & stat.S_IRWXU)


def make_folders(path: str) -> None:
    """Make a folder and its missing parents, for this user alone. Raises `OSError`."""
    above = os.path.dirname(path)
    if above != path and not os.path.isdir(above):
        make_folders(above)
    try:
        # On Windows, `os.mkdir` gives 0700 a meaning of its own.
        os.mkdir(path, 0o777 if sys.platform == "win32" else 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        _change_mode(path, 0o700)


def _change_mode(file: int | str | os.PathLike[str], mode: int) -> None:
    if sys.platform == "win32":
        return
    try:
        os.chmod(file, mode)
    except OSError:
        pass  # The file system has no modes.
