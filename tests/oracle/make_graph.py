#!/usr/bin/env python3
"""Golden file of a network with branches, made by JAX in double precision: `tests/golden.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_graph.py

Numbers, labels, samples and masks follow from small integers as in `make_golden.py`. The features of a sample are two
inputs: `left`, the first 8, and `right`, the last 4.

    a  = relu(left_in left)            8 of 8
    b  = right_in right                6 of 4
    t  = relu(tied a)                  8 of 8
    u  = tied t                        the same weight and bias again
    r  = relu(u + a)                   a residual connection
    c  = concat(r, b)                  14
    head = out c                       5 classes, weight 1
    side = aux t                       5 classes, weight 0.3

The loss is the sum of both cross-entropies, each times its weight. Parameters are numbered from `FIRST` in the order of
`NAMES`: numbers for which finite differences cross no kink.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

SAMPLES, CLASSES, STEPS = 16, 5, 10
NAMES = ["left_in", "right_in", "tied", "out", "aux"]
SHAPES = {"left_in": (8, 8), "right_in": (6, 4), "tied": (8, 8), "out": (5, 14), "aux": (5, 8)}
RATE, MOMENTUM = 0.1, 0.9
FIRST = 173
# Finite differences move a weight by 1/512 either way, and with it no unit by much more.
KINK_MARGIN = 1 / 256


def values(t, shape, divisor):
    i = np.arange(np.prod(shape), dtype=np.int64)
    number = (23 * i * i + 7919 * i + 757 * t) % 1000 - 500
    return (number.astype(np.float32) / np.float32(divisor)).reshape(shape).astype(np.float64)


def keeps(shape):
    i = np.arange(np.prod(shape)).reshape(shape)
    return (31 * i) % 10 < 4


def start(masked):
    params, masks = {}, {}
    for number, name in enumerate(NAMES):
        out, inner = SHAPES[name]
        mask = keeps((out, inner)) if masked else np.ones((out, inner), bool)
        params[name + ".weight"] = values(FIRST + 2 * number, (out, inner), 1000) * mask
        params[name + ".bias"] = values(FIRST + 2 * number + 1, (out,), 5000)
        masks[name + ".weight"], masks[name + ".bias"] = mask, np.ones((out,), bool)
    return params, masks


def forward(p, x):
    """Also the values before ReLU."""
    def linear(name, x):
        return x @ p[name + ".weight"].T + p[name + ".bias"]

    left, right = x[:, :8], x[:, 8:]
    before_a = linear("left_in", left)
    a, b = jax.nn.relu(before_a), linear("right_in", right)
    before_t = linear("tied", a)
    t = jax.nn.relu(before_t)
    before_r = linear("tied", t) + a
    c = jnp.concatenate([jax.nn.relu(before_r), b], axis=1)
    kinks = jnp.concatenate([k.ravel() for k in (before_a, before_t, before_r)])
    return linear("out", c), linear("aux", t), kinks


def loss_of(p):
    head, side, kinks = forward(p, values(0, (SAMPLES, 12), 500))
    labels = jnp.arange(SAMPLES) % CLASSES

    def cross_entropy(logits):
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(SAMPLES), labels])

    return cross_entropy(head) + 0.3 * cross_entropy(side), kinks


def train(masked):
    params, masks = start(masked)
    speed = {name: jnp.zeros_like(value) for name, value in params.items()}
    losses = []
    for _ in range(STEPS):
        (loss, _), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        losses.append(float(loss))
        for name in params:
            speed[name] = MOMENTUM * speed[name] + grads[name] * masks[name]
            params[name] = params[name] - RATE * speed[name]
    final = np.concatenate([np.asarray(value).ravel() for value in params.values()])
    return {"masked": masked, "losses": losses, "sum": float(final.sum()), "norm": float(np.linalg.norm(final))}


def main():
    params, _ = start(False)
    (loss, kinks), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
    closest = float(jnp.abs(kinks).min())
    print(f"loss {float(loss):.6f}; the unit closest to ReLU's kink is at {closest:.5f}")
    assert closest > KINK_MARGIN, "choose other numbers: finite differences would cross a kink"
    content = {
        "jax": jax.__version__,
        "optimizer": {"name": "sgd", "lr": RATE, "momentum": MOMENTUM, "nesterov": False, "weight_decay": 0.0},
        "runs": [train(masked) for masked in (False, True)],
        "gradients": {name: np.asarray(grads[name]).ravel().tolist() for name in start(False)[0]},
    }
    path = pathlib.Path(__file__).parent / "graph.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
