#!/usr/bin/env python3
"""Golden file of layers beside products, made by JAX in double precision: `tests/layers.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_layers.py

Each case is a small network, written as a recipe has it. Inputs, parameters and the gradients of its logits follow from
small integers as in `make_golden.py`: number 0 makes the samples, 1 the gradients of the logits, and from `first` on each
number a parameter, in the order of declaration. Weights of one dimension and variances are 1 more. `first` is the least for
which finite differences cross no kink of ReLU and no change of a largest number.

Of a batch of 8 samples the last lacks: it counts for nothing. `logits` and `gradients` are those of a training step, the
loss being the sum of logits times their gradients. `statistics` are the running ones after it, and `evaluated` the logits by
those, with the same weights.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

BATCH, LIVE, CLASSES = 8, 7, 3
# Finite differences move a weight by 1/1024 either way; batch normalisation of small deviations makes that more.
KINK_MARGIN = 1 / 300


def layer(type, name=None, **settings):
    return {"type": type, "name": name or type, **settings}


CONV = layer("conv2d", "conv", out=4, kernel=3, padding=1)
HEAD = layer("linear", "head", out=CLASSES)
IMAGE = [2, 5, 4]

CASES = [
    ("max_pool", IMAGE, [CONV, layer("relu"), layer("max_pool", kernel=2), HEAD]),
    ("max_pool, overlapping", IMAGE, [CONV, layer("max_pool", kernel=3, stride=2, padding=1), HEAD]),
    ("average_pool", IMAGE, [CONV, layer("average_pool", kernel=2), HEAD]),
    ("average_pool, overlapping", IMAGE, [CONV, layer("average_pool", kernel=3, stride=1, padding=1), HEAD]),
    ("global_average_pool", IMAGE, [CONV, layer("global_average_pool"), HEAD]),
    ("resize, smaller", IMAGE, [CONV, layer("resize", height=3, width=2), layer("tanh"), HEAD]),
    ("resize, larger and beside its input", IMAGE, [
        CONV, layer("resize", height=7, width=4), layer("resize", "back", height=5, width=4),
        layer("add", **{"from": ["back", "conv"]}), layer("tanh"), HEAD,
    ]),
    ("several readers", IMAGE, [
        CONV, layer("max_pool", kernel=2), layer("average_pool", **{"from": "conv"}, kernel=2),
        layer("global_average_pool", **{"from": "conv"}),
        layer("concat", **{"from": ["max_pool", "average_pool"]}),
        layer("linear", "aside", **{"from": "concat"}, out=4),
        layer("add", **{"from": ["aside", "global_average_pool"]}), HEAD,
    ]),
    ("batch_norm", IMAGE, [CONV, layer("batch_norm"), layer("relu"), HEAD]),
    ("batch_norm, not affine", IMAGE, [CONV, layer("batch_norm", affine=False, momentum=0.5, epsilon=1e-3), HEAD]),
    ("batch_norm of features", [6], [
        layer("linear", "first", out=5), layer("batch_norm"), layer("relu"), HEAD,
    ]),
    ("batch_norm beside its input", IMAGE, [
        CONV, layer("batch_norm", "first"), layer("batch_norm", "second", **{"from": "conv"}), layer("relu"),
        layer("add", **{"from": ["relu", "conv", "first"]}), HEAD,
    ]),
    ("flatten", IMAGE, [CONV, layer("flatten"), layer("tanh"), HEAD]),
    ("flatten, passed by", IMAGE, [CONV, layer("relu"), layer("flatten"), HEAD]),
    ("squeeze and excitation", IMAGE, [
        CONV, layer("global_average_pool"), layer("linear", "squeeze", out=2), layer("selu"),
        layer("linear", "excite", out=4), layer("sigmoid"), layer("scale", **{"from": ["conv", "sigmoid"]}),
        layer("global_average_pool", "pool"), layer("add", **{"from": ["pool", "sigmoid"]}), HEAD,
    ]),
]

# Of a sequence of two channels: so many steps.
def steps(number):
    return [2, 1, number]


PATCHES = layer("patches", size=1)
QKV = layer("linear", "qkv", out=12)


def attention(length, **settings):
    what = ", ".join(f"{key} {value}" for key, value in settings.items())
    layers = [PATCHES, QKV, layer("attention", heads=2, **settings), layer("step"), HEAD]
    return (f"attention over {length}, {what}", steps(length), layers)


CASES += [
    ("layer_norm", IMAGE, [
        CONV, layer("layer_norm"), layer("tanh"), layer("add", **{"from": ["tanh", "conv"]}), HEAD,
    ]),
    ("rms_norm", IMAGE, [
        CONV, layer("rms_norm", epsilon=0.5), layer("layer_norm", bias=False, epsilon=0.25), layer("add", **{"from": ["layer_norm", "conv"]}),
        layer("rms_norm", "last", epsilon=0.5), layer("add", "sum", **{"from": ["last", "add"]}), HEAD,
    ]),
    ("patches, a class token and positions", [2, 4, 6], [
        layer("conv2d", "conv", out=2, kernel=1), layer("patches", size=2), layer("linear", "embed", out=4), layer("class_token"),
        layer("positions"), layer("layer_norm"), layer("add", **{"from": ["layer_norm", "class_token"]}),
        layer("linear", "mix", out=4), layer("gelu_tanh"), layer("step", at="first"), layer("global_average_pool", **{"from": "add"}),
        layer("flatten", **{"from": "conv"}), layer("linear", "aside", out=4),
        layer("add", "sum", **{"from": ["step", "global_average_pool", "aside"]}), HEAD,
    ]),
    ("steps beside one another", steps(5), [
        PATCHES, layer("linear", "embed", out=4), layer("positions", kind="sinusoidal"), layer("step", "first", at="first"),
        layer("step", "last", **{"from": "positions"}), layer("class_token", **{"from": "positions"}),
        layer("global_average_pool"), layer("concat", **{"from": ["first", "last", "global_average_pool"]}), HEAD,
    ]),
    ("a gated unit", steps(3), [
        PATCHES, layer("linear", "up", out=5), layer("linear", "gate", **{"from": "patches"}, out=5), layer("silu"),
        layer("multiply", **{"from": ["silu", "up"]}), layer("multiply", "square", **{"from": ["multiply", "multiply"]}),
        layer("global_average_pool"), HEAD,
    ]),
    ("rotary", steps(5), [
        PATCHES, QKV, layer("rotary", heads=1, of="qkv", base=100.0), layer("attention", heads=1, causal=True),
        layer("rotary", "again", heads=2), layer("add", **{"from": ["again", "attention"]}), layer("step"), HEAD,
    ]),
    ("attention beside its input", steps(6), [
        PATCHES, QKV, layer("attention", "kept", heads=2, scores="kept"),
        layer("attention", "none", **{"from": "qkv"}, heads=2, scores="none", causal=True),
        layer("slice", **{"from": "qkv"}, first=2, end=6), layer("add", **{"from": ["kept", "none", "slice"]}),
        layer("global_average_pool"), HEAD,
    ]),
]
for scores in ("kept", "none"):
    CASES += [attention(length, causal=True, scores=scores) for length in (1, 2, 3, 17, 64)]
    CASES += [attention(length, scores=scores) for length in (3, 17)]
    CASES += [(f"cross attention, scores {scores}", [2, 2, 6], [
        PATCHES, layer("linear", "kv", out=8), layer("patches", "wide", **{"from": "data"}, size=2), layer("linear", "q", out=4),
        layer("attention", **{"from": ["q", "kv"]}, heads=2, scores=scores), layer("linear", "out", out=4),
        layer("add", **{"from": ["out", "q"]}), layer("global_average_pool"), HEAD,
    ])]


def values(t, shape, divisor):
    i = np.arange(np.prod(shape), dtype=np.int64)
    number = (23 * i * i + 7919 * i + 757 * t) % 1000 - 500
    return (number.astype(np.float32) / np.float32(divisor)).reshape(shape).astype(np.float64)


def windows(x, kernel, stride, padding, around):
    """(taps, samples, channels, height, width): what each window has at each tap."""
    x = jnp.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=around)
    high, wide = [(size - kernel) // stride + 1 for size in x.shape[2:]]
    tap = lambda h, w: x[:, :, h:h + stride * (high - 1) + 1:stride, w:w + stride * (wide - 1) + 1:stride]
    return jnp.stack([tap(h, w) for h in range(kernel) for w in range(kernel)])


class Network:
    """Interprets the layers of a case. `shapes` are those of its parameters, once it has run."""

    def __init__(self, layers, params, trains):
        self.layers, self.params, self.trains = layers, params, trains
        self.shapes, self.observed, self.kinks = {}, {}, []

    def param(self, name, shape):
        self.shapes[name] = shape
        return self.params[name] if self.params else jnp.ones(shape)

    def run(self, x):
        made, before = {"data": x}, x
        for spec in self.layers:
            names = spec.get("from", [])
            inputs = [made[name] for name in ([names] if isinstance(names, str) else names)] or [before]
            before = made[spec["name"]] = getattr(self, spec["type"])(spec, *inputs)
        return before

    def conv2d(self, spec, x):
        kernel, out = spec["kernel"], spec["out"]
        weight = self.param(spec["name"] + ".weight", (out, kernel, kernel, x.shape[1]))
        bias = self.param(spec["name"] + ".bias", (out,))
        taps = windows(x, kernel, spec.get("stride", 1), spec.get("padding", 0), 0)
        return jnp.einsum("tncij,otc->noij", taps, weight.reshape(out, -1, x.shape[1])) + bias[:, None, None]

    def linear(self, spec, x):
        if x.ndim != 3:
            x = x.reshape(len(x), -1)
        weight = self.param(spec["name"] + ".weight", (spec["out"], x.shape[1]))
        return jnp.einsum("nc...,oc->no...", x, weight) + of_channels(self.param(spec["name"] + ".bias", (spec["out"],)), x)

    def relu(self, _, x):
        self.kinks.append(jnp.abs(x).ravel())
        return jnp.maximum(x, 0)

    def add(self, _, *x):
        return sum(x)

    def concat(self, _, *x):
        return jnp.concatenate(x, axis=1)

    def batch_norm(self, spec, x):
        name, channels, rate = spec["name"], x.shape[1], spec.get("momentum", 0.1)
        scale = [self.param(f"{name}.{what}", (channels,)) for what in ("weight", "bias")] if spec.get("affine", True) else []
        running = [f"{name}.running_mean", f"{name}.running_var"]
        mean, variance = [self.param(what, (channels,)) for what in running]
        if self.trains:
            over = (0, *range(2, x.ndim))
            mean, variance = x.mean(axis=over), x.var(axis=over)
            n = x.size // channels
            self.observed |= zip(running, [(mean, rate), (variance * n / (n - 1), rate)])
        y = (x - of_channels(mean, x)) / jnp.sqrt(of_channels(variance, x) + spec.get("epsilon", 1e-5))
        return y * of_channels(scale[0], x) + of_channels(scale[1], x) if scale else y

    def layer_norm(self, spec, x):
        name, channels = spec["name"], x.shape[1]
        weight = self.param(name + ".weight", (channels,))
        bias = self.param(name + ".bias", (channels,)) if spec.get("bias", True) else jnp.zeros(channels)
        mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        y = (x - mean) / jnp.sqrt(variance + spec.get("epsilon", 1e-5))
        return y * of_channels(weight, x) + of_channels(bias, x)

    def rms_norm(self, spec, x):
        weight = self.param(spec["name"] + ".weight", (x.shape[1],))
        return x / jnp.sqrt((x**2).mean(axis=1, keepdims=True) + spec.get("epsilon", 1e-5)) * of_channels(weight, x)

    # Sequences are (samples, channels, steps).

    def patches(self, spec, x):
        (n, channels, height, width), size = x.shape, spec["size"]
        x = x.reshape(n, channels, height // size, size, width // size, size)
        return x.transpose(0, 1, 3, 5, 2, 4).reshape(n, channels * size * size, -1)

    def class_token(self, spec, x):
        token = self.param(spec["name"] + ".token", (x.shape[1],))
        return jnp.concatenate([jnp.broadcast_to(token[None, :, None], (*x.shape[:2], 1)), x], axis=2)

    def positions(self, spec, x):
        channels, length = x.shape[1:]
        if spec.get("kind") == "sinusoidal":
            angle = np.arange(length) / 10000 ** (np.arange(channels)[:, None] // 2 * 2 / channels)
            return x + np.where(np.arange(channels)[:, None] % 2 == 0, np.sin(angle), np.cos(angle))
        return x + self.param(spec["name"] + ".table", (channels, length))

    def rotary(self, spec, x):
        parts, turned = {"all": (1, 1), "qkv": (3, 2), "kv": (2, 1)}[spec.get("of", "all")]
        d = x.shape[1] // parts // spec["heads"]
        angle = np.arange(x.shape[2]) * spec.get("base", 10000.0) ** (-2 * np.arange(d // 2)[:, None] / d)
        made = []
        for head in range(parts * spec["heads"]):
            low, high = x[:, head * d:head * d + d // 2], x[:, head * d + d // 2:(head + 1) * d]
            if head < turned * spec["heads"]:
                low, high = low * np.cos(angle) - high * np.sin(angle), high * np.cos(angle) + low * np.sin(angle)
            made += [low, high]
        return jnp.concatenate(made, axis=1)

    def attention(self, spec, *inputs):
        q, k, v = jnp.split(inputs[0], 3, axis=1) if len(inputs) == 1 else (inputs[0], *jnp.split(inputs[1], 2, axis=1))
        heads = lambda x: x.reshape(len(x), spec["heads"], -1, x.shape[2])
        q, k, v = heads(q), heads(k), heads(v)
        scores = jnp.einsum("nhci,nhcj->nhij", q, k) / np.sqrt(q.shape[2])
        if spec.get("causal", False):
            scores = jnp.where(np.tri(scores.shape[2], dtype=bool), scores, -jnp.inf)
        y = jnp.einsum("nhij,nhcj->nhci", jax.nn.softmax(scores, axis=-1), v)
        return y.reshape(len(y), -1, y.shape[-1])

    def step(self, spec, x):
        return x[:, :, 0 if spec.get("at", "last") == "first" else -1]

    def multiply(self, _, a, b):
        return a * b

    def slice(self, spec, x):
        return x[:, spec["first"]:spec["end"]]

    def silu(self, _, x):
        return jax.nn.silu(x)

    def gelu_tanh(self, _, x):
        return jax.nn.gelu(x, approximate=True)

    def flatten(self, _, x):
        return x.reshape(len(x), -1)

    def scale(self, _, x, gate):
        return x * gate[:, :, None, None]

    def sigmoid(self, _, x):
        return jax.nn.sigmoid(x)

    def tanh(self, _, x):
        return jnp.tanh(x)

    def selu(self, _, x):
        self.kinks.append(jnp.abs(x).ravel())
        return jax.nn.selu(x)

    def max_pool(self, spec, x):
        kernel = spec["kernel"]
        taps = windows(x, kernel, spec.get("stride", kernel), spec.get("padding", 0), -jnp.inf)
        two = jnp.sort(taps, axis=0)[-2:]
        # Where both are zeros of ReLU no gradient passes either.
        self.kinks.append(jnp.where((two[0] == two[1]) & (two[0] == 0), 1, two[1] - two[0]).ravel())
        return jnp.take_along_axis(taps, jnp.argmax(taps, axis=0)[None], axis=0)[0]

    def average_pool(self, spec, x):
        kernel = spec["kernel"]
        return windows(x, kernel, spec.get("stride", kernel), spec.get("padding", 0), 0).mean(axis=0)

    def resize(self, spec, x):
        shape = (*x.shape[:2], spec["height"], spec["width"])
        return jax.image.resize(x, shape, method="linear", antialias=False)

    def global_average_pool(self, _, x):
        return x.mean(axis=tuple(range(2, x.ndim)))


def of_channels(values, like):
    return values.reshape((1, -1) + (1,) * (like.ndim - 2))


def start(shapes, first):
    made = {}
    for number, (name, shape) in enumerate(shapes.items()):
        shift = 1 if name.endswith("_var") or name.endswith(".weight") and len(shape) == 1 else 0
        made[name] = values(first + number, shape, 1000) + shift
    return made


def case(name, extent, layers):
    # Samples lie innermost, behind the numbers of each.
    samples = values(0, (int(np.prod(extent)), BATCH), 500).T.reshape(BATCH, *extent)[:LIVE]
    d_logits = values(1, (CLASSES, BATCH), 500).T[:LIVE]
    shape_of = Network(layers, None, True)
    shape_of.run(samples)

    def loss_of(params):
        network = Network(layers, params, True)
        logits = network.run(samples)
        kinks = jnp.concatenate(network.kinks) if network.kinks else jnp.ones(1)
        return jnp.sum(logits * d_logits), (logits, network.observed, kinks.min())

    run = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
    for first in range(2, 5000):
        params = start(shape_of.shapes, first)
        (_, (logits, observed, margin)), grads = run(params)
        if margin > KINK_MARGIN:
            break
    else:
        raise SystemExit(f"{name}: finite differences cross a kink whatever the parameters are")
    print(f"{name}: first {first}, margin {float(margin):.5f}")
    after = params | {key: params[key] + rate * (own - params[key]) for key, (own, rate) in observed.items()}
    evaluated = Network(layers, after, False).run(samples)
    listed = lambda array: np.asarray(array).ravel().tolist()
    return {
        "name": name, "extent": extent, "layers": layers, "first": first,
        "logits": listed(logits.T), "evaluated": listed(evaluated.T),
        "gradients": {key: listed(grads[key]) for key in params if key not in observed},
        "statistics": {key: listed(after[key]) for key in observed},
    }


def main():
    content = {"jax": jax.__version__, "cases": [case(*one) for one in CASES]}
    path = pathlib.Path(__file__).parent / "layers.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
