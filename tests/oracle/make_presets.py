#!/usr/bin/env python3
"""Golden file of four presets, `cnn`, `resnet20`, `mobilenet-v1` and `vit`, made by JAX in double precision: `tests/golden/presets.rs`
holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_presets.py

The networks are written out here, from the papers. A weight is numbered as Coppice lays it out, (out, height, width, in),
and parameters in the order in which layers come, running statistics among them. Values, labels and samples follow from
integers by `hashed`, in which no two channels are alike; masks as in `make_golden.py`.

Beside a run stands how far f32 alone moves its numbers (the same in single precision), and how far numbers move that
begin elsewhere by a ten-millionth: the bounds of the test rest on the larger one. Gradients jump at a ReLU's kink and where the two
largest numbers of a pooling window are equal, and one jump moves a loss by a thousandth. So a run is looked for that passes
none in all of its steps at less than `MARGIN`, and that f32 does not move by more than `CLOSE`: images are small since each number of an activation may come near.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

SAMPLES, CLASSES, STEPS, WIDTH = 8, 5, 10, 0.25
MOMENTUM, KEEP, EPSILON, BATCH_NORM = 0.9, 4, 1e-5, 0.1
# Rounding moves numbers before a kink by a fifth of this or so.
MARGIN = 1e-5
# Losses that f32 moves by more have passed a kink, or a channel whose variance is all but 0.
CLOSE = 1e-5


def hashed(t, n):
    """Numbers in [-0.5, 0.5) on a grid of 2^-24: the `lowbias32` of C. Wellons, of the index and of t."""
    x = (np.arange(n, dtype=np.uint64) * 0x9E3779B1 + np.uint64(t) * 0x85EBCA6B) & 0xFFFFFFFF
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B)]:
        x = ((x ^ (x >> np.uint64(shift))) * factor) & 0xFFFFFFFF
    x ^= x >> np.uint64(16)
    return (x >> np.uint64(8)).astype(np.float64) / 2.0**24 - 0.5


def first(t, shape, name):
    """Values at the start. Of a weight their width is that of He et al. 2015, up to a power of two. Biases of batch norms keep
    most of what a ReLU reads above 0: over eight samples a channel would be all but dead now and then, and the norm after it
    divides its rounding by next to nothing."""
    n, what = int(np.prod(shape)), name.rsplit(".", 1)[1]
    if what == "running_mean":
        return np.zeros(shape)
    if what == "running_var":
        return np.ones(shape)
    if what == "weight" and len(shape) > 1:
        inputs = n // shape[0]
        return hashed(t, n).reshape(shape) * 4.0 / 2.0 ** ((inputs.bit_length() - 1) // 2)
    around = 1.0 if what == "weight" else 0.75 if "bn" in name else 0.0
    return ((hashed(t, n) * 0.5).astype(np.float32) + np.float32(around)).astype(np.float64).reshape(shape)


def keeps(shape):
    i = np.arange(np.prod(shape)).reshape(shape)
    return (31 * i) % 10 < KEEP


class Net:
    """Layers by name, with the distances to the kinks. Without parameters they are declared as they are met."""

    def __init__(self, p=None, first_number=0):
        self.p, self.seen, self.near = p, {}, [jnp.ones(())]
        self.declares, self.number = p is None, first_number
        if self.declares:
            self.p = {}

    def param(self, name, *shape):
        if self.declares and name not in self.p:
            self.p[name] = first(self.number + len(self.p), shape, name)
        return self.p[name]

    def conv(self, name, x, out, kernel, stride=1, groups=1, bias=False):
        weight = self.param(name + ".weight", out, kernel, kernel, x.shape[1] // groups)
        padding = [(kernel // 2, kernel // 2)] * 2
        y = jax.lax.conv_general_dilated(x, weight, (stride, stride), padding, feature_group_count=groups,
                                         dimension_numbers=("NCHW", "OHWI", "NCHW"))
        return y + self.param(name + ".bias", out)[:, None, None] if bias else y

    def norm(self, name, x):
        channels = x.shape[1]
        weight, bias = self.param(name + ".weight", channels), self.param(name + ".bias", channels)
        self.param(name + ".running_mean", channels), self.param(name + ".running_var", channels)
        n = x.size // channels
        mean = x.mean((0, 2, 3))
        centred = x - mean[:, None, None]
        variance = (centred**2).mean((0, 2, 3))
        self.seen[name + ".running_mean"], self.seen[name + ".running_var"] = mean, variance * n / (n - 1)
        return centred * (weight / jnp.sqrt(variance + EPSILON))[:, None, None] + bias[:, None, None]

    def relu(self, x):
        self.near.append(jnp.abs(x).min())
        return jnp.maximum(x, 0.0)

    def pool(self, x):
        """The largest of each window of 2 x 2."""
        b, c, h, w = x.shape
        windows = x.reshape(b, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(b, c, h // 2, w // 2, 4)
        most = jnp.sort(windows)[..., -2:]
        self.near.append(jnp.where(most[..., 1] > 0, most[..., 1] - most[..., 0], 1.0).min())
        return windows.max(-1)

    def layer_norm(self, name, x):
        """Over the last axis."""
        weight, bias = self.param(name + ".weight", x.shape[-1]), self.param(name + ".bias", x.shape[-1])
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON) * weight + bias

    def dense(self, name, x, out):
        """Each step by itself."""
        return x @ self.param(name + ".weight", out, x.shape[-1]).T + self.param(name + ".bias", out)

    def linear(self, name, x, out):
        x = x.reshape(SAMPLES, -1)
        return x @ self.param(name + ".weight", out, x.shape[1]).T + self.param(name + ".bias", out)


def wide(channels):
    return int(channels * WIDTH)


def cnn(net, x):
    for number, channels in [(1, 32), (2, 64)]:
        x = net.pool(net.relu(net.conv(f"conv{number}", x, wide(channels), 3, bias=True)))
    x = net.relu(net.linear("fc1", x, wide(128)))
    return net.linear("head", x, CLASSES)


def resnet20(net, x):
    x = net.relu(net.norm("bn1", net.conv("conv1", x, wide(16), 3)))
    for stage, out in [(1, wide(16)), (2, wide(32)), (3, wide(64))]:
        for index in range(3):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = net.relu(net.norm(name + ".bn1", net.conv(name + ".conv1", x, out, 3, stride)))
            y = net.norm(name + ".bn2", net.conv(name + ".conv2", y, out, 3))
            more = out - x.shape[1]
            shortcut = jnp.pad(x[:, :, ::stride, ::stride], [(0, 0), (more // 2, more - more // 2), (0, 0), (0, 0)])
            x = net.relu(y + shortcut)
    return net.linear("fc", x.mean((2, 3)), CLASSES)


def mobilenet_v1(net, x):
    x = net.relu(net.norm("bn1", net.conv("conv1", x, wide(32), 3)))
    pairs = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    for number, (out, stride) in enumerate(pairs, 1):
        name, channels = f"block{number}.", x.shape[1]
        x = net.conv(name + "depthwise", x, channels, 3, stride, groups=channels)
        x = net.relu(net.norm(name + "bn1", x))
        x = net.relu(net.norm(name + "bn2", net.conv(name + "pointwise", x, wide(out), 1)))
    return net.linear("fc", x.mean((2, 3)), CLASSES)


def vit(net, x):
    """Two blocks of two heads; sequences are (samples, steps, channels)."""
    width, heads, hidden, size = 8, 2, 16, 4
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // size, size, w // size, size).transpose(0, 2, 4, 1, 3, 5).reshape(b, -1, c * size * size)
    x = net.dense("embed", x, width)
    x = x + net.param("positions.table", width, x.shape[1]).T
    for number in range(2):
        name = f"blocks.{number}."
        qkv = net.dense(name + "attn_qkv", net.layer_norm(name + "norm1", x), 3 * width)
        q, k, v = [part.reshape(b, -1, heads, width // heads).transpose(0, 2, 1, 3) for part in jnp.split(qkv, 3, -1)]
        p = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / (width // heads)**0.5, axis=-1)
        x = x + net.dense(name + "attn_out", (p @ v).transpose(0, 2, 1, 3).reshape(b, -1, width), width)
        y = jax.nn.gelu(net.dense(name + "ff1", net.layer_norm(name + "norm2", x), hidden), approximate=False)
        x = x + net.dense(name + "ff2", y, width)
    return net.dense("head", net.layer_norm("norm", x).mean(1), CLASSES)


# Image, learning rate.
PRESETS = {
    "cnn": (cnn, (1, 12, 12), 0.05),
    "resnet20": (resnet20, (3, 8, 8), 0.05),
    "mobilenet-v1": (mobilenet_v1, (3, 8, 8), 0.001),
    "vit": (vit, (2, 12, 8), 0.02),
}


def is_statistic(name):
    return ".running_" in name


def is_masked(name, value):
    """Depthwise convolutions stay dense, as they do unless a recipe says otherwise: at one site, one without its centre is 0."""
    return name.endswith(".weight") and value.ndim > 1 and "depthwise" not in name


def declare(preset, number):
    """The parameters at the start, in the order of layers."""
    net = Net(None, number)
    function, image, _ = PRESETS[preset]
    function(net, jnp.zeros((SAMPLES, *image)))
    return net.p


def summary(name_number, value):
    """What is stored of a tensor: sum, norm and its product with hashed numbers, the first and last over the root of how
    many there are, and eight numbers, evenly spaced. No error of norm e moves any of them by more than e."""
    flat = np.asarray(value, np.float64).ravel()
    n = len(flat)
    some = [float(flat[k * n // 8]) for k in range(min(n, 8))]
    return [flat.sum() / n**0.5, float(np.linalg.norm(flat)), float(flat @ hashed(name_number, n)) / n**0.5] + some


def loss_of(preset):
    """The loss of parameters and samples, what batch norms see, and the distance to the nearest kink; with gradients."""
    def loss(p, x):
        net = Net(p)
        logits = PRESETS[preset][0](net, x)
        labels = jnp.arange(SAMPLES) % CLASSES
        nearest = jnp.stack(net.near).min()
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(SAMPLES), labels]), (net.seen, nearest)
    return jax.jit(jax.value_and_grad(loss, has_aux=True))


LOSSES = {preset: loss_of(preset) for preset in PRESETS}


class Run:
    def __init__(self, preset, number, masked, dtype=jnp.float64, nudge=0.0):
        self.number, (function, image, rate) = number, PRESETS[preset]
        x = hashed(number, SAMPLES * int(np.prod(image))).reshape(SAMPLES, *image) * 2
        declared = declare(preset, number + 1)
        masks = {n: keeps(v.shape) if masked and is_masked(n, v) else np.ones(v.shape) for n, v in declared.items()}
        random = np.random.default_rng(1)
        moved = {n: v if is_statistic(n) else v * (1 + nudge * random.uniform(-1, 1, v.shape)) for n, v in declared.items()}
        params = {name: jnp.asarray(value * masks[name], dtype) for name, value in moved.items()}
        masks = {name: jnp.asarray(mask, dtype) for name, mask in masks.items()}
        x = jnp.asarray(x, dtype)

        speed, self.losses, self.near = {}, [], 1.0
        for step in range(STEPS):
            (loss, (seen, near)), grads = LOSSES[preset](params, x)
            self.losses.append(float(loss))
            self.near = min(self.near, float(near))
            if step == 0:
                self.grads = {n: np.asarray(grads[n] * masks[n]) for n in params if not is_statistic(n)}
            for name in params:
                if is_statistic(name):
                    params[name] = (1 - BATCH_NORM) * params[name] + BATCH_NORM * seen[name]
                else:
                    speed[name] = MOMENTUM * speed.get(name, 0.0) + grads[name] * masks[name]
                    params[name] = params[name] - rate * speed[name]
        self.final = {name: np.asarray(value, np.float64) for name, value in params.items()}

    def of_all(self, values):
        return {name: summary(self.number + 1 + t, values[name]) for t, name in enumerate(self.final) if name in values}

    def content(self):
        statistics = {n: v for n, v in self.final.items() if is_statistic(n)}
        trained = {n: v for n, v in self.final.items() if not is_statistic(n)}
        return {"losses": self.losses, "gradients": self.of_all(self.grads), "parameters": self.of_all(trained),
                "statistics": self.of_all(statistics)}


def distance(one, other):
    """Losses; by their norm, gradients, parameters and statistics: each at the worst."""
    losses = max(abs(a - b) for a, b in zip(one.losses, other.losses))
    first = abs(one.losses[0] - other.losses[0])
    most = max(np.linalg.norm(g) for g in one.grads.values())
    grads = max(np.linalg.norm(one.grads[n] - other.grads[n]) / (np.linalg.norm(one.grads[n]) + 1e-3 * most) for n in one.grads)
    def apart(n):
        return np.linalg.norm(one.final[n] - other.final[n]) / (1 + np.linalg.norm(one.final[n]))
    final = {kind: max(apart(n) for n in one.final if is_statistic(n) == kind)
             for kind in (False, True) if any(is_statistic(n) == kind for n in one.final)}
    shown = [f"first loss {first:.1e}", f"losses {losses:.1e}", f"gradients {grads:.1e}"]
    return ", ".join(shown + [f"{'statistics' if k else 'parameters'} {v:.1e}" for k, v in final.items()])


def far_from_kinks(preset, masked):
    """The first run that stays away from kinks, in f32 as well, and that run in f32."""
    for number in range(1000, 1000000, 1000):
        run = Run(preset, number, masked)
        if run.near > MARGIN:
            single = Run(preset, number, masked, jnp.float32)
            if max(abs(a - b) for a, b in zip(run.losses, single.losses)) < CLOSE:
                return run, single


def main():
    runs = []
    for preset, (_, image, rate) in PRESETS.items():
        for masked in (False, True):
            run, single = far_from_kinks(preset, masked)
            print(f"{preset}, masked {masked}, number {run.number}: nearest kink {run.near:.1e}, "
                  f"losses {run.losses[0]:.4f} .. {run.losses[-1]:.4f}")
            print("  in f32:", distance(run, single))
            print("  nudged:", distance(run, Run(preset, run.number, masked, nudge=1e-7)))
            runs.append({"preset": preset, "image": image, "rate": rate, "number": run.number, "masked": masked, **run.content()})
    content = {"jax": jax.__version__, "samples": SAMPLES, "classes": CLASSES, "width": WIDTH, "momentum": MOMENTUM, "runs": runs}
    short = json.loads(json.dumps(content), parse_float=lambda text: float(f"{float(text):.9g}"))
    path = pathlib.Path(__file__).parent / "presets.json"
    path.write_text(json.dumps(short, separators=(",", ":")).replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
