#!/usr/bin/env python3
"""Golden file of recurrent layers, made by JAX in double precision: `tests/recurrent.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_recurrent.py

Cells are written as PyTorch documents `torch.nn.LSTM` and `torch.nn.GRU`, with its order of gates; an LSTM's two biases, of
which only the sum counts, are one. Inputs, parameters and the gradients of the logits follow from small integers: number 0
makes the samples of the first window, 1 the gradients of its logits, 2 and 3 those of the next one and so on, and from
`first` on each number a parameter, in the order of declaration.

Where layers carry, windows follow one another: each begins with the state that the one before has left, through which no
gradient passes. `logits` and `gradients` are by window. The loss is the sum of logits times their gradients.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

CLASSES, CHANNELS, UNITS = 3, 2, 5
FIRST = 20


def layer(kind, name, **settings):
    return {"type": kind, "name": name, **settings}


def core(kind, name="core", **settings):
    """A cell behind its linear layer."""
    gates = {"lstm": 4, "gru": 3}[kind]
    source = {"from": [settings.pop("source")]} if "source" in settings else {}
    return [layer("linear", name + "_in", out=gates * UNITS, **source), layer(kind, name, **settings)]


# Every number of every step.
TAIL = [layer("flatten", "all"), layer("linear", "head", out=CLASSES)]

# Name, steps, batch, samples of it, windows, layers.
CASES = [
    *[(f"{kind}, {steps} steps, {live} samples", steps, batch, live, 1, core(kind) + TAIL)
      for kind in ("lstm", "gru")
      for steps, batch, live in ((1, 4, 1), (2, 4, 3), (3, 8, 5), (17, 4, 4), (64, 4, 3))],
    *[(f"{kind}, reversed", 3, 4, 3, 1, core(kind, reverse=True) + TAIL) for kind in ("lstm", "gru")],
    *[(f"{kind}, carried", 3, 8, 5, 3, core(kind, carry=True) + TAIL) for kind in ("lstm", "gru")],
    ("stacked, both ways", 4, 4, 3, 1, [
        *core("lstm", "there"), *core("lstm", "back", reverse=True, source="data"),
        layer("concat", "both", **{"from": ["there", "back"]}), *core("gru", "above"), *TAIL,
    ]),
]


def values(t, shape, divisor):
    i = np.arange(np.prod(shape), dtype=np.int64)
    number = (23 * i * i + 7919 * i + 757 * t) % 1000 - 500
    return (number.astype(np.float32) / np.float32(divisor)).reshape(shape).astype(np.float64)


class Network:
    """Interprets the layers of a case over (samples, channels, time). `shapes` are those of its parameters, once it has run."""

    def __init__(self, layers, params, state):
        self.layers, self.params, self.state = layers, params, state
        self.shapes, self.left = {}, {}

    def param(self, name, shape):
        self.shapes[name] = shape
        return self.params[name] if self.params else jnp.ones(shape)

    def run(self, x):
        made, before = {"data": x}, x
        for spec in self.layers:
            inputs = [made[name] for name in spec.get("from", [])] or [before]
            before = made[spec["name"]] = getattr(self, spec["type"])(spec, *inputs)
        return before

    def linear(self, spec, x):
        weight = self.param(spec["name"] + ".weight", (spec["out"], x.shape[1]))
        bias = self.param(spec["name"] + ".bias", (spec["out"],))
        y = jnp.tensordot(weight, x, axes=(1, 1))  # (out, samples, ..)
        return jnp.moveaxis(y, 0, 1) + bias.reshape((1, -1) + (1,) * (x.ndim - 2))

    def flatten(self, _, x):
        return x.reshape(len(x), -1)

    def concat(self, _, *x):
        return jnp.concatenate(x, axis=1)

    def over_time(self, spec, x, cell, begins):
        """`cell(state, x of a step)` gives the next state, whose first part is h."""
        state = self.state.get(spec["name"], begins) if spec.get("carry") else begins
        steps = range(x.shape[2])
        made = {}
        for step in reversed(steps) if spec.get("reverse") else steps:
            state = cell(state, x[:, :, step])
            made[step] = state[0]
        self.left[spec["name"]] = state
        return jnp.stack([made[step] for step in steps], axis=2)

    def lstm(self, spec, x):
        weight = self.param(spec["name"] + ".weight", (4 * UNITS, UNITS))

        def cell(state, x):
            h, c = state
            i, f, g, o = jnp.split(x + h @ weight.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c

        nothing = jnp.zeros((len(x), UNITS))
        return self.over_time(spec, x, cell, (nothing, nothing))

    def gru(self, spec, x):
        weight = self.param(spec["name"] + ".weight", (3 * UNITS, UNITS))
        bias = self.param(spec["name"] + ".bias", (3 * UNITS,))

        def cell(state, x):
            (h,) = state
            x_r, x_z, x_n = jnp.split(x, 3, axis=1)
            h_r, h_z, h_n = jnp.split(h @ weight.T + bias, 3, axis=1)
            r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
            n = jnp.tanh(x_n + r * h_n)
            return ((1 - z) * n + z * h,)

        return self.over_time(spec, x, cell, (jnp.zeros((len(x), UNITS)),))


def case(name, steps, batch, live, windows, layers):
    shape_of = Network(layers, None, {})
    shape_of.run(np.zeros((live, CHANNELS, steps)))
    params = {key: values(FIRST + n, shape, 1000) for n, (key, shape) in enumerate(shape_of.shapes.items())}
    # More digits than f32 has.
    listed = lambda array: [float(f"{number:.10g}") for number in np.asarray(array).ravel()]
    state, made = {}, []
    for window in range(windows):
        # Samples lie innermost, behind the numbers of each.
        x = values(2 * window, (CHANNELS, steps, batch), 500).transpose(2, 0, 1)[:live]
        d_logits = values(2 * window + 1, (CLASSES, batch), 500).T[:live]

        def loss_of(params):
            network = Network(layers, params, state)
            logits = network.run(x)
            return jnp.sum(logits * d_logits), (logits, network.left)

        (_, (logits, left)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        state = jax.tree.map(jax.lax.stop_gradient, left)
        made.append({"logits": listed(logits.T), "gradients": {key: listed(grads[key]) for key in params}})
    return {"name": name, "steps": steps, "batch": batch, "live": live, "layers": layers, "windows": made}


def main():
    content = {"jax": jax.__version__, "cases": [case(*one) for one in CASES]}
    path = pathlib.Path(__file__).parent / "recurrent.json"
    lines = ",\n".join(json.dumps(one) for one in content.pop("cases"))
    path.write_text(json.dumps(content)[:-1] + f', "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
