"""Runs the main process of a program here: `python -m tests.children MODULE[:FUNCTION] ...`.

Without FUNCTION it is `main`. The program sees in `sys.argv[1:]` what follows. multiprocessing
does not import such a file again in each child.
"""

import sys
from importlib import import_module

if __name__ == "__main__":
    module, _, function = sys.argv.pop(1).partition(":")
    getattr(import_module(f"{__package__}.{module}"), function or "main")()
