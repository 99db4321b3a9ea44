"""Runs the main process of a program here: `python -m tests.children in_hand_bot`.

multiprocessing does not import such a file again in each child.
"""

import sys
from importlib import import_module

if __name__ == "__main__":
    import_module(f"{__package__}.{sys.argv[1]}").main()
