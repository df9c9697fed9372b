"""Training rows on the device: each once, in stored order, round and round; the same from wherever they are kept."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from backends.cuda import feed

COLUMNS = 9
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
PLACES = [("cpu", "host"), pytest.param("cuda", "device", marks=CUDA), pytest.param("cuda", "ring", marks=CUDA)]


def numbered(count: int) -> np.ndarray:
    """Rows that say which they are, with tokens above 32,767 among them."""
    rows = (np.arange(count * COLUMNS) * 97 % 65_536).astype(np.uint16).reshape(count, COLUMNS)
    rows.flags.writeable = False
    return rows


@pytest.mark.parametrize(("device", "place"), PLACES)
@pytest.mark.parametrize(("count", "batch_rows"), [(24, 4), (10, 4), (7, 7), (3, 8), (1, 1), (5, 1), (1000, 64)])
def test_every_row_comes_once_in_order_and_round_again(
    device: str, place: feed.Place, count: int, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SLICE_BYTES", 6 * 2 * COLUMNS)  # several slices even of few rows
    rows = numbered(count)
    taken = list(islice(feed.batches(rows, batch_rows, device, place), 3 * count // batch_rows + 2))
    assert all(batch.dtype == torch.int64 and batch.shape == (batch_rows, COLUMNS) for batch in taken)
    assert all(batch.device.type == device for batch in taken)
    got = torch.cat(taken).cpu().numpy()
    np.testing.assert_array_equal(got, rows[np.arange(len(got)) % count])


@pytest.mark.parametrize(("device", "place"), PLACES)
def test_a_batch_stays_as_it_was_while_later_ones_come(device: str, place: feed.Place) -> None:
    rows = numbered(64)
    source = feed.batches(rows, 4, device, place)
    first = next(source)
    kept = first.clone()
    list(islice(source, 20))
    assert torch.equal(first, kept)


def test_the_order_is_the_harness_own() -> None:
    """Batches of the same rows from both, wrapping round."""
    from backends.reference.harness import Trial

    trial = Trial.__new__(Trial)
    trial._rows = rows = numbered(10)
    for batch, (ours, theirs) in enumerate(
        zip(islice(feed.batches(rows, 4, "cpu"), 9), islice(trial.batches(4), 9), strict=True)
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.astype(np.int64), err_msg=str(batch))


def test_a_cpu_keeps_nothing_of_its_own() -> None:
    assert feed.place_for(numbered(4), "cpu") == "host"


def test_spans_follow_one_another() -> None:
    taken = list(islice(feed.spans(10, 4), 30))
    ends = [(s.start, s.stop - 1) if isinstance(s, slice) else (s[0], s[-1]) for s in taken]
    assert all((last + 1) % 10 == first for (_, last), (first, _) in pairwise(ends))
