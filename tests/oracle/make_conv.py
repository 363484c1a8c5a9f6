#!/usr/bin/env python3
"""Golden file of a network of convolutions, made by JAX in double precision: `tests/golden.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_conv.py

Numbers, labels, samples and masks follow from small integers as in `make_golden.py`. A weight is numbered as Coppice lays it
out, (out, height, width, in). A sample is an image (2, 5, 4):

    a = silu(c1 x)     3x3, padding 1                      8 x 5 x 4
    b = silu(dw a)     3x3, stride 2, padding 1, depthwise 8 x 3 x 2
    c = pw b           1x1, no bias                       12 x 3 x 2
    d = silu(c2 c)     2x2, padding 1, 2 groups            8 x 4 x 3
    e = silu(c3 d)     3x3, padding 2, dilation 2, 4 groups 8 x 4 x 3
    out e              linear, 5 classes

SiLU has no kink that finite differences could cross.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

SAMPLES, CLASSES, STEPS = 16, 5, 10
IMAGE = (2, 5, 4)
# (out, height, width, in of a group), stride, padding, dilation, groups, bias
CONVOLUTIONS = {
    "c1": ((8, 3, 3, 2), 1, 1, 1, 1, True),
    "dw": ((8, 3, 3, 1), 2, 1, 1, 8, True),
    "pw": ((12, 1, 1, 8), 1, 0, 1, 1, False),
    "c2": ((8, 2, 2, 6), 1, 1, 1, 2, True),
    "c3": ((8, 3, 3, 2), 1, 2, 2, 4, True),
}
HEAD = (5, 96)
RATE, MOMENTUM = 0.5, 0.9
FIRST = 401


def values(t, shape, divisor):
    i = np.arange(np.prod(shape), dtype=np.int64)
    number = (23 * i * i + 7919 * i + 757 * t) % 1000 - 500
    return (number.astype(np.float32) / np.float32(divisor)).reshape(shape).astype(np.float64)


def keeps(shape):
    i = np.arange(np.prod(shape)).reshape(shape)
    return (31 * i) % 10 < 4


def start(masked):
    params, masks = {}, {}
    layers = [(name, one[0], one[5]) for name, one in CONVOLUTIONS.items()] + [("out", HEAD, True)]
    for name, shape, has_bias in layers:
        mask = keeps(shape) if masked else np.ones(shape, bool)
        params[name + ".weight"] = values(FIRST + len(params), shape, 1000) * mask
        masks[name + ".weight"] = mask
        if has_bias:
            params[name + ".bias"] = values(FIRST + len(params), shape[:1], 5000)
            masks[name + ".bias"] = np.ones(shape[:1], bool)
    return params, masks


def conv(p, name, x):
    _, stride, padding, dilation, groups, has_bias = CONVOLUTIONS[name]
    y = jax.lax.conv_general_dilated(
        x, p[name + ".weight"], (stride, stride), [(padding, padding)] * 2, rhs_dilation=(dilation, dilation),
        dimension_numbers=("NCHW", "OHWI", "NCHW"), feature_group_count=groups)
    return y + p[name + ".bias"][:, None, None] if has_bias else y


def loss_of(p):
    x = values(0, (SAMPLES, *IMAGE), 500)
    x = jax.nn.silu(conv(p, "c1", x))
    x = jax.nn.silu(conv(p, "dw", x))
    x = conv(p, "pw", x)
    x = jax.nn.silu(conv(p, "c2", x))
    x = jax.nn.silu(conv(p, "c3", x))
    logits = x.reshape(SAMPLES, -1) @ p["out.weight"].T + p["out.bias"]
    labels = jnp.arange(SAMPLES) % CLASSES
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(SAMPLES), labels])


def train(masked):
    params, masks = start(masked)
    speed = {name: jnp.zeros_like(value) for name, value in params.items()}
    losses = []
    for _ in range(STEPS):
        loss, grads = jax.value_and_grad(loss_of)(params)
        losses.append(float(loss))
        for name in params:
            speed[name] = MOMENTUM * speed[name] + grads[name] * masks[name]
            params[name] = params[name] - RATE * speed[name]
    final = np.concatenate([np.asarray(value).ravel() for value in params.values()])
    return {"masked": masked, "losses": losses, "sum": float(final.sum()), "norm": float(np.linalg.norm(final))}


def main():
    params, _ = start(False)
    loss, grads = jax.value_and_grad(loss_of)(params)
    runs = [train(masked) for masked in (False, True)]
    print(f"loss {float(loss):.6f}; after ten steps {[run['losses'][-1] for run in runs]}")
    content = {
        "jax": jax.__version__,
        "optimizer": {"name": "sgd", "lr": RATE, "momentum": MOMENTUM, "nesterov": False, "weight_decay": 0.0},
        "runs": runs,
        "gradients": {name: np.asarray(grads[name]).ravel().tolist() for name in params},
    }
    path = pathlib.Path(__file__).parent / "conv.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
