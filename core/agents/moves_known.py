"""The structural moves that are known: places of a small GPT's training script, and the forms each can have.

What is written here is general knowledge about training small networks, as `space` has it for numbers. A family may
stand here more than once under one key, once for each library; the first that a source has counts.
"""

from __future__ import annotations

from core.facts import fact


@fact
class Form:
    """One way to write a place: a pattern for each of its parts. why: what speaks for it."""

    name: str
    texts: tuple[str, ...]
    why: str


@fact
class Family:
    """One place, and the forms it can have.

    importance: how much it usually matters, 0 to 1. inside: a regular expression that the dotted names of the classes
    and functions around it must match. requires: names that the module must have.
    """

    key: str
    importance: float
    forms: tuple[Form, ...]
    inside: str = ""
    requires: tuple[str, ...] = ()


_GELU = "smooth, and keeps a little of what is negative"
_SILU = "smooth and cheap, with a gradient for what is negative"
_RELU = "the plainest one, and the cheapest"
_SQUARED = "sparse, and sharp where it is active"
_LEAKY = "squared, with a gradient for what is negative"


def _activations(prefix: str, suffix: str, call: str) -> tuple[Form, ...]:
    """`call`: what comes before the name, the forms being `{prefix}{call}gelu(__x){suffix}` and so on."""
    return (
        Form("relu²", (f"{prefix}{call}relu(__x).square(){suffix}",), _SQUARED),
        Form("gelu", (f"{prefix}{call}gelu(__x){suffix}",), _GELU),
        Form("silu", (f"{prefix}{call}silu(__x){suffix}",), _SILU),
        Form("leaky relu²", (f"{prefix}{call}leaky_relu(__x, 0.5).square(){suffix}",), _LEAKY),
        Form("relu", (f"{prefix}{call}relu(__x){suffix}",), _RELU),
    )


_LEAN = Form("relu²", ("relu_squared_linear(__x, __m.weight)",), _SQUARED)

_ACTIVATION = (
    Family("activation", 0.5, _activations("", "", "F.")),
    Family("activation", 0.5, (_LEAN, *_activations("__m(", ")", "nn.")[1:]), requires=("relu_squared_linear",)),
    Family("activation", 0.5, _activations("", "", "nn.")),
    Family(
        "activation", 0.5,
        (
            Form("gelu", ("nn.GELU()",), _GELU),
            Form("silu", ("nn.SiLU()",), _SILU),
            Form("relu", ("nn.ReLU()",), _RELU),
        ),
    ),
)  # fmt: skip

_NARROWER, _WIDER = "a leaner block takes more steps in the budget", "a wider block learns more from each token"


def _width(times: int, why: str) -> Form:
    return Form(f"{times}×", (f"self.fc = __l(__c, {times} * __c)", f"self.out = __l({times} * __c, __c)"), why)


_MODEL = (
    Family("MLP width", 0.45, (_width(4, "the usual width"), _width(3, _NARROWER), _width(2, _NARROWER),
                               _width(6, _WIDER))),
    Family(
        "short window", 0.4,
        (
            Form("half", ("__t if __long else __t // 2",), "reaches further back"),
            Form("quarter", ("__t if __long else __t // 4",), "shorter windows are cheaper, and look closer"),
            Form("eighth", ("__t if __long else __t // 8",), "the shortest windows leave distance to the long layers"),
        ),
        inside="window",
    ),
    Family(
        "value embeddings", 0.45,
        (
            Form("every other layer", ("(__d - 1 - __i) % 2 == 0",), "half of the tables do most of the work"),
            Form("every layer", ("__d - 1 - __i >= 0",), "every layer's values get the token's own vector"),
            Form("last layer", ("__d - 1 - __i == 0",), "one table leaves time for more steps"),
            Form("no layer", ("__d - 1 - __i < 0",), "without tables a step is shorter"),
        ),
        inside="value",
    ),
    *(
        Family(
            "value gate", 0.3,
            (
                Form("sigmoid", (f"gate = 2 * {of}.sigmoid(__x)",), "stays between 0 and 2"),
                Form("tanh", (f"gate = 1 + {of}.tanh(__x)",), "the same range, with twice the slope at the start"),
                Form("linear", ("gate = 1 + __x",), "a gate without bounds may learn faster"),
            ),
            inside="(?i)attention", requires=(of,),
        )
        for of in ("torch", "mx")
    ),
    Family(
        "attention scale", 0.4,
        (
            Form("plain", ("q, k = norm(__q), norm(__k)",), "softer attention"),
            Form("×1.2", ("q, k = 1.2 * norm(__q), norm(__k)",), "normed queries may look more sharply"),
            Form("×1.5", ("q, k = 1.5 * norm(__q), norm(__k)",), "normed queries may look much more sharply"),
        ),
        inside="(?i)attention",
    ),
    Family(
        "keys and values", 0.25,
        (
            Form(
                "apart",
                (
                    "self.q, self.k, self.v, self.out = (__l(__a, __b) for _ in range(4))",
                    "(self.q, self.k, self.v)",
                    "(block.attention.q, block.attention.k, block.attention.v, block.mlp.fc)",
                ),
                "what is looked for and what is read need not be the same",
            ),
            Form(
                "tied",
                (
                    "self.q, self.k, self.out = (__l(__a, __b) for _ in range(3))",
                    "(self.q, self.k, self.k)",
                    "(block.attention.q, block.attention.k, block.mlp.fc)",
                ),
                "one matrix less: shorter steps, and less to learn",
            ),
        ),
    ),
)  # fmt: skip

_STEADY = "more of the run at high rates"
_OPTIMIZER = (
    Family(
        "warm-down", 0.5,
        (
            Form("linear", ("__f + (1 - __f) * (1 - __p) / __w",), "steady all the way"),
            Form("cosine", ("__f + (1 - __f) * 0.5 * (1 - math.cos(math.pi * (1 - __p) / __w))",),
                 "leaves the peak slowly and ends softly"),
            Form("1 - sqrt", ("__f + (1 - __f) * (1 - max(0.0, 1 - (1 - __p) / __w) ** 0.5)",),
                 "falls fast at first, then gives long low rates (arXiv 2405.18392)"),
            Form("square", ("__f + (1 - __f) * ((1 - __p) / __w) ** 2",), "spends longer at low rates"),
        ),
        inside="(?i)rate|lr|schedule",
    ),
    Family(
        "decay schedule", 0.25,
        (
            Form("linear", ("__w * (1 - __p)",), "strong early, gone at the end"),
            Form("square", ("__w * (1 - __p) ** 2",), "gone sooner"),
            Form("with the rate", ("__w * learning_rate_scale(__p)",), "decay and rate stay in proportion"),
        ),
        inside="decay",
    ),
    Family(
        "momentum warm-up", 0.35,
        (
            Form("300 steps", ("__a + __b * min(__s / 300, 1.0)",), "low while gradients still turn quickly"),
            Form("100 steps", ("__a + __b * min(__s / 100, 1.0)",), "few steps fit in the budget"),
            Form("30 steps", ("__a + __b * min(__s / 30, 1.0)",), "nearly the whole run at full momentum"),
            Form("1000 steps", ("__a + __b * min(__s / 1000, 1.0)",), _STEADY),
        ),
        inside="momentum",
    ),
    Family(
        "weight decay", 0.3,
        (
            Form("cautious", ("__l * __u + __l * __d * __w * (__u * __w >= 0)",), "only where it agrees"),
            Form("plain", ("__l * __u + __l * __d * __w",), "every weight decays"),
        ),
        inside="muon",
    ),
    Family(
        "polar iterations", 0.3,
        (
            Form("five", ("POLAR_EXPRESS",), "exact"),
            Form("four", ("POLAR_EXPRESS[:4]",), "one product less a step, and nearly as exact"),
            Form("three", ("POLAR_EXPRESS[:3]",), "two products less a step"),
        ),
        inside="polar",
    ),
)  # fmt: skip

FAMILIES: tuple[Family, ...] = (*_ACTIVATION, *_MODEL, *_OPTIMIZER)
