"""The names of LiteyukiBot v6, which `launch.py` puts in front of all others.

Only the packages `liteyuki` and `croterline` may stand in this folder: it is in `sys.path` then.
"""

import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
