"""Files and folders that are the user's alone, whatever the umask: modes 0600 and 0700.

What a bot keeps and logs is for nobody else to read, and who can read a lock's file can hold the
lock. Windows has no such modes; there they are as they come.
"""

from __future__ import annotations

import os
import stat
import sys


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file as `os.open` does, and make it where there is none; return its descriptor.

    Others may do nothing with it, if it is this user's. Raises `OSError`.
    """
    try:
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        file = os.open(path, flags | os.O_CREAT, 0o600)
        tighten(file)
    else:
        _change_mode(file, 0o600)  # The umask may have taken even the user's own part.
    return file


def tighten(file: int | str) -> None:
    """Take from others what they may do with a file, by descriptor or path, if it is this user's.

    Nothing happens where there is no such file, or where that can't be done.
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
    """Make a folder and those above it that are missing, for this user alone. Raises `OSError`."""
    above = os.path.dirname(path)
    if above != path and not os.path.isdir(above):
        make_folders(above)
    try:
        # 0700 has a meaning of its own on Windows.
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
        pass  # A file system without modes.
