"""Packed rows: documents laid end to end into rows of T + 1 tokens, once, before anything is trained.

Best-fit packing by the original's algorithm (FACTS): a buffer of 1,000 documents, refilled in batches of 128 before
every placement; the longest document that fits the space left, the first of equals; if none fits, the shortest, the
first of equals, cropped to fill it, its rest thrown away. No padding.
"""

from __future__ import annotations

import os
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import numpy as np
