"""How much memory MLX may take and keep for itself. Untested: it matters on Metal alone."""

from __future__ import annotations

import mlx.core as mx


def use(device: str) -> None:
    """Say so before the first array is made. On Metal what a trial works with stays wired, as far as the system
    recommends, and beyond that MLX waits for work under way instead of taking more; elsewhere the defaults are right.
    """
    if device != "metal":
        return
    working_set = int(mx.device_info(mx.gpu)["max_recommended_working_set_size"])  # bytes
    mx.set_wired_limit(working_set)
    mx.set_memory_limit(working_set)


def keep(device: str) -> None:
    """Say so after a whole step. Freed buffers are kept for the next one: as much as a step needs, and no more, for
    what is given back to the system has to be taken and cleared again in every step."""
    if device == "metal":
        mx.set_cache_limit(mx.get_peak_memory())
