"""python -m liteyuki_core.compat FILE: runs a file as `liteyuki run --v6 FILE` does."""

import sys

from .launch import launch

if __name__ == "__main__":
    launch(sys.argv[1:])
