"""The metric, bits per byte, and the audit of the numbers it is made of. Pure numpy: no files, no processes.

    val_bpb = nats of the validation tokens / (ln 2 × their bytes)

The nats come from an untrusted process that has seen the rows whole. The audit asks a second one for the same
positions with everything after them replaced, and computes the nats of the true next tokens itself:

    draws = draw(nats, reference, counted, count, rng)
    answered = nats_of(…logits of `covered(rows, draws, others)` at draws.positions…, targets)
    audit = compare(claimed, answered, draws.weights, tolerance(device), half_margin)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOWEST_BPB = 0.1  # no model of text is near it; what claims less has seen the answers
KEEP_MARGIN_BPB = 0.001  # a difference worth keeping: about twice the spread between seeds on an H100 (FACTS)
MOST_NEGATIVE_NATS = -1e-3  # float32 rounding of a certain token's cross-entropy goes no further below 0
BIGRAM_TOKENS = 4_000_000  # training tokens the bigram is counted from


class Rejected(Exception):
    """The numbers cannot be the honest answers of a model that sees its row's prefix alone."""


def bits_per_byte(nats: np.ndarray, byte_counts: np.ndarray) -> float:
    """nats: float [N, T]; byte_counts: int [N, T], of the tokens the nats are of. Tokens of 0 bytes count in neither
    sum. Sums in float64. Raises ZeroDivisionError if no token has a byte."""
    total_nats = float(np.sum(nats, where=byte_counts > 0, dtype=np.float64))
    return total_nats / float(np.log(2.0)) / int(byte_counts.sum(dtype=np.int64))


def check_possible(nats: np.ndarray, val_bpb: float) -> None:
    """Raises Rejected for finite numbers that no predictor has."""
    if nats.min() < MOST_NEGATIVE_NATS:
        raise Rejected("negative nats: a probability above 1")
    if val_bpb < LOWEST_BPB:
        raise Rejected(f"below {LOWEST_BPB} bits per byte: no model predicts text that well")


def bigram_nats(train_rows: np.ndarray, rows: np.ndarray, vocab_size: int) -> np.ndarray:
    """What a bigram counted from the training rows gives for each position: float32 [N, T].

    p(b|a) = (count(ab) + s·p(b)) / (count(a) + s), with p(b) the add-one unigram and s = 4 (a Dirichlet prior).
    train_rows, rows: uint16 [·, T+1]. The first BIGRAM_TOKENS tokens of training count.
    """
    strength = np.float32(4.0)
    text = np.asarray(train_rows[: max(1, BIGRAM_TOKENS // train_rows.shape[1])])
    first, second = text[:, :-1].ravel().astype(np.int64), text[:, 1:].ravel().astype(np.int64)
    unigram = (np.bincount(second, minlength=vocab_size) + 1.0).astype(np.float32)
    unigram /= unigram.sum()
    contexts = np.bincount(first, minlength=vocab_size).astype(np.float32)
    pairs = np.zeros(vocab_size * vocab_size, np.uint32)
    np.add.at(pairs, first * vocab_size + second, np.uint32(1))
    nats = np.empty((len(rows), rows.shape[1] - 1), np.float32)
    for start in range(0, len(rows), 1024):
        a = rows[start : start + 1024, :-1].astype(np.int64)  # [≤1024, T]
        b = rows[start : start + 1024, 1:].astype(np.int64)
        p = (pairs[a * vocab_size + b] + strength * unigram[b]) / (contexts[a] + strength)
        nats[start : start + 1024] = -np.log(p)
    return nats


# --- the audit -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draws:
    """Audited places, to be asked in two waves: rows, positions int64 [n], of which the first `wave` come first.

    A row comes once in a wave at most. One that comes in both has its earlier position in the first: by the time the
    second shows what followed there, the answer is given.

    weights: float64 [n]; the mean of weight × difference estimates the mean difference over all counted positions.
    """

    rows: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    wave: int

    @property
    def waves(self) -> tuple[slice, slice]:
        return slice(0, self.wave), slice(self.wave, len(self.rows))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far honest numbers may lie apart, in nats: at one position, and in the mean where that is exact."""

    largest: float
    mean: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit found, in nats: the largest |difference|, the weighted mean, its standard error."""

    largest: float
    mean: float
    standard_error: float


def tolerance(device: str) -> Tolerance:
    """cpu: float32; measured over 50 honest evaluations, the largest difference was 2e-6.

    cuda, mps and metal: bf16; uncalibrated, provisional.
    """
    return Tolerance(2e-3, 1e-4) if device == "cpu" else Tolerance(0.1, 5e-4)


def draw(nats: np.ndarray, reference: np.ndarray, counted: np.ndarray, count: int, rng: np.random.Generator) -> Draws:
    """Which positions to audit: about `count`, half drawn uniformly, half where forging would pay.

    nats: claimed, reference: the incumbent's (or a bigram's), counted: bool; all [N, T].
    """
    uniform, pointed = _density(counted.astype(np.float32)), suspicion(nats, reference, counted)
    halves = [_pick(density, (count + 1) // 2, rng) for density in (uniform, pointed)]
    _, here, there = np.intersect1d(halves[0][0], halves[1][0], return_indices=True)
    one, two = halves[0][1], halves[1][1]
    one[here], two[there] = np.minimum(one[here], two[there]), np.maximum(one[here], two[there])
    rows, positions = np.concatenate([halves[0][0], halves[1][0]]), np.concatenate([one, two])
    u, p = uniform[rows, positions], pointed[rows, positions]
    # Both halves together are draws from the mixture of the two densities: no weight exceeds 2.
    return Draws(rows, positions, u.astype(np.float64) / (0.5 * u + 0.5 * p), len(one))


def suspicion(nats: np.ndarray, reference: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """A density over positions, float32 [N, T]: where a lie would show.

    Half of it follows the gain claimed over the reference, half the claim itself, each to the fourth power. A forger
    who takes 0.003 bpb off the worst of 98,304 positions touches fifty of them if he takes all of each, and their gains
    are implausible; if he takes little from each, his claims are still among the largest. Measured with two models of
    2.13 bpb and takes from 0.3 nats of each position to everything: 512 draws in 384 rows, the uniform half included,
    find one in over 99 of 100 audits; in proportion to the plain gain, 512 draws in 512 rows did so in 91 to 98.
    """
    gain = np.where(counted, np.clip(reference - nats, 0.0, 6e4), 0.0).astype(np.float32)
    claim = np.where(counted, np.clip(nats, 0.0, 6e4), 0.0).astype(np.float32)
    return 0.5 * _density(gain**4) + 0.5 * _density(claim**4)


def _density(weight: np.ndarray) -> np.ndarray:
    total = weight.sum(dtype=np.float64)
    return weight / np.float32(total) if total > 0 else weight


def _pick(density: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` (row, position) by `density` [N, T], no row twice: an exponential race of the rows."""
    row_density = density.sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        arrivals = rng.exponential(size=len(row_density)) / row_density
    rows = np.argsort(arrivals)[:count]
    rows = rows[np.isfinite(arrivals[rows])]
    cumulative = np.cumsum(density[rows], axis=1, dtype=np.float64)  # [n, T]
    return rows, (cumulative <= rng.random((len(rows), 1)) * cumulative[:, -1:]).sum(axis=1)


def covered(rows: np.ndarray, draws: Draws, others: np.ndarray) -> np.ndarray:
    """The inputs of the audited rows with everything after each position replaced: uint16 [n, T].

    rows: [N, T+1]; others: [n, T+1], text to put there. The true next token is in none of it.
    """
    after = np.arange(rows.shape[1] - 1) > draws.positions[:, None]  # [n, T]
    return np.where(after, others[:, :-1], rows[draws.rows, :-1])


def nats_of(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[target] in float64. logits: float [n, V]; targets: int [n]; returns [n]."""
    with np.errstate(invalid="ignore"):  # what is not finite comes out as NaN
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    nats: np.ndarray = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return nats


def compare(
    claimed: np.ndarray, answered: np.ndarray, weights: np.ndarray, allowed: Tolerance, half_margin: float
) -> Audit:
    """Two tests of answered - claimed [n], in nats. Raises Rejected.

    The largest difference may reach `allowed.largest`. The weighted mean must lie below `half_margin` (half the keep
    margin, in nats a token) and within 3 of its standard errors, or within `allowed.mean` where those are smaller.
    """
    difference = answered - claimed
    largest = float(np.abs(difference).max())
    if not largest <= allowed.largest:  # NaN fails too
        raise Rejected(f"audit: with what follows hidden, one position differs by {largest:.3g} nats")
    weighted = difference * weights
    mean = float(weighted.mean())
    error = float(weighted.std(ddof=1)) / len(weighted) ** 0.5 if len(weighted) > 1 else 0.0
    if abs(mean) >= half_margin:
        raise Rejected(f"audit: with what follows hidden, the mean differs by {mean:.3g} nats")
    if abs(mean) > max(3 * error, allowed.mean):
        raise Rejected(f"audit: with what follows hidden, the mean differs by {mean:.3g} ± {error:.2g} nats")
    return Audit(largest, mean, error)
