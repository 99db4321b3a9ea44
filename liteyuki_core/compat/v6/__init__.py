"""The names of LiteyukiBot v6, which `launch.py` puts in front of all others.

Only `liteyuki`, `croterline` and `liteyukibot` may stand in this folder: it is in `sys.path` then.
"""

import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
