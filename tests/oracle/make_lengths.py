#!/usr/bin/env python3
"""Golden file of samples that differ in length, made by JAX in double precision: `tests/lengths.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_lengths.py

Each sample is computed by itself, cut off where it ends: nothing here knows of masks. Attention to a sample without steps
is 0; a recurrent layer's output behind a sample's end is the state that it ended with. Token 0 is padding. Parameters and the
gradients of the logits follow from small integers, as in `make_recurrent.py`; the loss is the sum of logits times their
gradients.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from make_recurrent import FIRST, values

jax.config.update("jax_enable_x64", True)

CLASSES, VOCABULARY, WIDTH, UNITS = 3, 5, 6, 5
STEPS, SOURCE, BATCH = 7, 5, 8
# Of the source; the last sample is none.
LENGTHS = [5, 3, 0, 1, 4, 2, 5]
RESULTS = pathlib.Path(__file__).parent / "lengths.json"


def layer(kind, name, *source, **settings):
    return {"type": kind, "name": name, **({"from": list(source)} if source else {}), **settings}


HEAD = [layer("flatten", "all"), layer("linear", "head", out=CLASSES)]
READ = [
    layer("lengths", "lengths", "data", padding=0, end=SOURCE),
    layer("embedding", "embed", "data", out=WIDTH),
    layer("steps", "source", "embed", first=0, end=SOURCE),
]
TARGET = [layer("steps", "target", "embed", first=SOURCE, end=STEPS)]


def crossed(scores):
    return [
        *READ, *TARGET,
        layer("linear", "q", "target", out=WIDTH), layer("linear", "kv", "source", out=2 * WIDTH),
        layer("attention", "attend", "q", "kv", "lengths", heads=2, scores=scores), *HEAD,
    ]


def inward(scores, causal):
    return [
        *READ, layer("linear", "qkv", "source", out=3 * WIDTH),
        layer("attention", "attend", "qkv", "lengths", heads=2, scores=scores, causal=causal), *HEAD,
    ]


def gates(kind):
    return {"lstm": 4, "gru": 3}[kind]


def core(kind, name, source, *others, units=UNITS, **settings):
    return [
        layer("linear", name + "_in", source, out=gates(kind) * units),
        layer(kind, name, name + "_in", *others, **settings),
    ]


def read_by(kind, **settings):
    return [*READ, *core(kind, "core", "source", "lengths", **settings), *HEAD]


def bridged(kind):
    """Both ends of an encoder begin the decoder."""
    cells = {"cells": True} if kind == "lstm" else {}
    return [
        *READ, *TARGET,
        *core(kind, "ahead", "source", "lengths", **cells), layer("step", "ahead_last", "ahead", at="last"),
        *core(kind, "back", "source", "lengths", reverse=True, **cells), layer("step", "back_last", "back", at="first"),
        *core(kind, "core", "target", "ahead_last", "back_last", units=2 * UNITS), *HEAD,
    ]


CASES = [
    *[(f"attention to another value, scores {scores}", crossed(scores)) for scores in ("kept", "none")],
    *[(f"attention to itself, scores {scores}, causal {causal}", inward(scores, causal))
      for scores in ("kept", "none") for causal in (False, True)],
    *[(f"{kind}, reverse {reverse}", read_by(kind, reverse=reverse)) for kind in ("lstm", "gru") for reverse in (False, True)],
    ("lstm with cells", read_by("lstm", cells=True)),
    *[(f"{kind} that begins where others end", bridged(kind)) for kind in ("lstm", "gru")],
]


class Network:
    """Interprets the layers of a case for one sample over (channels, steps). `shapes` are those of its parameters."""

    def __init__(self, layers, params):
        self.layers, self.params, self.shapes = layers, params, {}

    def param(self, name, *shape):
        self.shapes[name] = shape
        return self.params[name] if self.params else jnp.ones(shape)

    def run(self, tokens):
        made, before = {"data": tokens}, tokens
        for spec in self.layers:
            inputs = [made[name] for name in spec.get("from", [])] or [before]
            before = made[spec["name"]] = getattr(self, spec["type"])(spec, *inputs)
        return before

    def lengths(self, spec, tokens):
        own = tokens[: spec["end"]]
        return int(np.max(np.nonzero(own)[0]) + 1) if own.any() else 0

    def embedding(self, spec, tokens):
        return self.param(spec["name"] + ".weight", VOCABULARY, spec["out"])[tokens].T

    def steps(self, spec, x):
        return x[:, spec["first"] : spec["end"]]

    def step(self, spec, x):
        return x[:, -1 if spec["at"] == "last" else 0]

    def linear(self, spec, x):
        weight = self.param(spec["name"] + ".weight", spec["out"], x.shape[0])
        bias = self.param(spec["name"] + ".bias", spec["out"])
        return weight @ x + (bias if x.ndim == 1 else bias[:, None])

    def flatten(self, _, x):
        return x.reshape(-1)

    def attention(self, spec, *inputs):
        *inputs, length = inputs
        q, k, v = jnp.split(inputs[0], 3) if len(inputs) == 1 else (inputs[0], *jnp.split(inputs[1], 2))
        depth = q.shape[0] // spec["heads"]
        made = []
        for head in range(spec["heads"]):
            rows = slice(head * depth, (head + 1) * depth)
            columns = []
            for query in range(q.shape[1]):
                keys = min(length, query + 1) if spec.get("causal") else length
                scores = q[rows, query] @ k[rows, :keys] / depth**0.5
                columns.append(v[rows, :keys] @ jax.nn.softmax(scores) if keys else jnp.zeros(depth))
            made.append(jnp.stack(columns, axis=1))
        return jnp.concatenate(made)

    def over_time(self, spec, x, others, cell, states, units):
        """`cell(state, x of a step)` gives the next state, (states, units)."""
        is_ragged = "lengths" in spec["from"]
        length = others[-1] if is_ragged else x.shape[1]
        given = [other.reshape(states, -1) for other in others[: len(others) - is_ragged]]
        state = jnp.concatenate(given, axis=1) if given else jnp.zeros((states, units))
        steps = range(length)
        made = {}
        for step in reversed(steps) if spec.get("reverse") else steps:
            state = cell(state, x[:, step])
            made[step] = state
        # Behind its end: backwards the sample has not begun there, and forwards it is over.
        behind = (jnp.concatenate(given, axis=1) if given else jnp.zeros((states, units))) if spec.get("reverse") else state
        lines = states if spec.get("cells") else 1
        return jnp.stack([made.get(step, behind)[:lines].reshape(-1) for step in range(x.shape[1])], axis=1)

    def lstm(self, spec, x, *others):
        units = x.shape[0] // 4
        weight = self.param(spec["name"] + ".weight", 4 * units, units)

        def cell(state, x):
            i, f, g, o = jnp.split(x + weight @ state[0], 4)
            c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jnp.stack([jax.nn.sigmoid(o) * jnp.tanh(c), c])

        return self.over_time(spec, x, others, cell, 2, units)

    def gru(self, spec, x, *others):
        units = x.shape[0] // 3
        weight = self.param(spec["name"] + ".weight", 3 * units, units)
        bias = self.param(spec["name"] + ".bias", 3 * units)

        def cell(state, x):
            (x_r, x_z, x_n), (h_r, h_z, h_n) = jnp.split(x, 3), jnp.split(weight @ state[0] + bias, 3)
            r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
            n = jnp.tanh(x_n + r * h_n)
            return ((1 - z) * n + z * state[0])[None]

        return self.over_time(spec, x, others, cell, 1, units)


def samples():
    """(steps, batch): tokens of a source, padding behind it, and a target without any."""
    random = np.random.default_rng(3)
    tokens = random.integers(1, VOCABULARY, (STEPS, BATCH))
    for sample, length in enumerate(LENGTHS):
        tokens[length:SOURCE, sample] = 0
    # Padding that is followed by something else counts.
    tokens[1, 0] = 0
    return tokens


def case(name, layers, tokens):
    shape_of = Network(layers, None)
    shape_of.run(tokens[:, 0])
    params = {key: values(FIRST + n, shape, 1000) for n, (key, shape) in enumerate(shape_of.shapes.items())}
    d_logits = values(1, (CLASSES, BATCH), 500)[:, : len(LENGTHS)]

    def loss_of(params):
        logits = jnp.stack([Network(layers, params).run(tokens[:, sample]) for sample in range(len(LENGTHS))], axis=1)
        return jnp.sum(logits * d_logits), logits

    (_, logits), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
    # More digits than f32 has.
    listed = lambda array: [float(f"{number:.10g}") for number in np.asarray(array).ravel()]
    return {"name": name, "layers": layers, "logits": listed(logits), "gradients": {key: listed(grads[key]) for key in params}}


def main():
    tokens = samples()
    content = {"jax": jax.__version__, "vocabulary": VOCABULARY, "steps": STEPS, "batch": BATCH, "live": len(LENGTHS)}
    content["tokens"] = tokens.ravel().tolist()
    lines = ",\n".join(json.dumps(case(*one, tokens)) for one in CASES)
    RESULTS.write_text(json.dumps(content)[:-1] + f', "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
