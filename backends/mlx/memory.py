"""How much memory MLX may take and keep for itself. Untested: it matters on Metal alone."""

from __future__ import annotations

import mlx.core as mx

_KEPT = 0.25  # of the working set: freed buffers that wait to be used again


def use(device: str) -> None:
    """Say so before the first array is made. On Metal what a trial works with stays wired, as far as the system
    recommends, and the cache of freed buffers has a limit; elsewhere the defaults are right."""
    if device != "metal":
        return
    working_set = int(mx.device_info(mx.gpu)["max_recommended_working_set_size"])  # bytes
    mx.set_wired_limit(working_set)
    mx.set_cache_limit(int(_KEPT * working_set))
