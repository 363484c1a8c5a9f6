#!/usr/bin/env python3
"""Golden files of networks of text, made by JAX in double precision: `tests/golden/presets.rs` and `tests/golden.rs` hold
Coppice against them.

    pip install jax numpy
    python tests/oracle/make_text.py

`text.json`: ten steps of the presets `gpt` (its head its own, or the embedding's), `lstm-lm`, `seq2seq` (of one layer, or of
two) and `transformer`, in the format of `presets.json`, and from the same formulas. `tied.json`: as `graph.json`, of a network whose head shares the weight of an
embedding with a row of padding.

Tokens are hashed numbers times the vocabulary, rounded down. A row has one token more than the network reads: the label of
each step is the token after it. Each step takes the next `live` rows of the order:

    gpt      rows begin one after another, `reads` tokens apart; row 7 k + 3 of them all is the one of place k
    lstm-lm  streams: step k takes row k of each stream, and goes on from the state that step k - 1 has left
    seq2seq  rows of their own, in the order of `gpt`; the first steps are the source, labels count from the last of them on,
             but where they are 0; likewise for `transformer`

The optimizers are PyTorch's AdamW, without decay of what has one dimension, Adam, and SGD with momentum. Where there is a `clip`, gradients are
scaled by min(1, clip / (norm + 1e-6)) first, as by `clip_grad_norm_`.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from make_presets import distance, first, hashed, keeps, summary

EPSILON, STEPS = 1e-5, 10


def token(t, n, vocabulary):
    return np.floor((hashed(t, n) + 0.5) * vocabulary).astype(np.int64)


class Net:
    """Layers by name over (samples, steps, channels). Without parameters they are declared as they are met."""

    def __init__(self, p, number=0, state=None):
        self.p, self.number, self.declares = {} if p is None else p, number, p is None
        self.state, self.left = state or {}, {}

    def param(self, name, *shape):
        if self.declares and name not in self.p:
            self.p[name] = first(self.number + len(self.p), shape, name)
        return self.p[name]

    def embed(self, name, tokens, vocabulary, width, padding=None):
        table = self.param(name + ".weight", vocabulary, width)
        if padding is not None:
            table = jnp.concatenate([table[:padding], jax.lax.stop_gradient(table[padding : padding + 1]), table[padding + 1 :]])
        return table[tokens]

    def dense(self, name, x, out, bias=True):
        y = x @ self.param(name + ".weight", out, x.shape[-1]).T
        return y + self.param(name + ".bias", out) if bias else y

    def layer_norm(self, name, x):
        weight, bias = self.param(name + ".weight", x.shape[-1]), self.param(name + ".bias", x.shape[-1])
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias

    def attend(self, q, k, v, heads, causal=False, lengths=None):
        def apart(x):
            return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

        q, k, v = apart(q), apart(k), apart(v)
        scores = q @ k.transpose(0, 1, 3, 2) / q.shape[-1] ** 0.5
        if causal:
            scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
        if lengths is not None:
            there = (jnp.arange(k.shape[2]) < lengths[:, None])[:, None, None]
            # Of a sample without keys nothing is left.
            scores = jnp.where(there | (lengths == 0)[:, None, None, None], scores, -jnp.inf)
            v = jnp.where(there.transpose(0, 1, 3, 2), v, 0.0)
        y = jax.nn.softmax(scores, -1) @ v
        return y.transpose(0, 2, 1, 3).reshape(len(y), y.shape[2], -1)

    def lstm(self, name, x, units, reverse=False, carry=False, begin=None, lengths=None):
        """The last state is in `left`."""
        x = self.dense(name + "_in", x, 4 * units)
        weight = self.param(name + ".weight", 4 * units, units)
        nothing = jnp.zeros((len(x), units), x.dtype)
        h, c = self.state.get(name, (nothing, nothing)) if carry else begin or (nothing, nothing)
        made, steps = {}, range(x.shape[1])
        for step in reversed(steps) if reverse else steps:
            i, f, g, o = jnp.split(x[:, step] + h @ weight.T, 4, axis=1)
            next_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            next_h = jax.nn.sigmoid(o) * jnp.tanh(next_c)
            there = True if lengths is None else (step < lengths)[:, None]
            h, c = jnp.where(there, next_h, h), jnp.where(there, next_c, c)
            made[step] = h
        self.left[name] = (h, c)
        return jnp.stack([made[step] for step in steps], axis=1)


def gpt(net, tokens, vocabulary, tied=False):
    """Two blocks of two heads."""
    width, heads, hidden = 16, 2, 24
    x = net.embed("embed", tokens, vocabulary, width)
    x = x + net.param("positions.table", width, x.shape[1]).T
    for number in range(2):
        name = f"blocks.{number}."
        qkv = net.dense(name + "attn_qkv", net.layer_norm(name + "norm1", x), 3 * width)
        x = x + net.dense(name + "attn_out", net.attend(*jnp.split(qkv, 3, -1), heads, True), width)
        y = jax.nn.gelu(net.dense(name + "ff1", net.layer_norm(name + "norm2", x), hidden), approximate=False)
        x = x + net.dense(name + "ff2", y, width)
    x = net.layer_norm("norm", x)
    return x @ net.p["embed.weight"].T if tied else net.dense("head", x, vocabulary, bias=False)


def lstm_lm(net, tokens, vocabulary):
    x = net.embed("embed", tokens, vocabulary, 12)
    for number in range(2):
        x = net.lstm(f"lstm{number}", x, 8, carry=True)
    return net.dense("head", x, vocabulary)


def source_lengths(tokens, source):
    return jnp.max(jnp.where(tokens[:, :source] != 0, jnp.arange(1, source + 1), 0), axis=1)


def seq2seq(net, tokens, vocabulary, layers=1):
    """Two heads."""
    units, source = 8, 5
    lengths = source_lengths(tokens, source)
    x = net.embed("embed", tokens, vocabulary, 12)
    encoded, decoded, begins = x[:, :source], x[:, source:], []
    for number in [""] + list(range(1, layers)):
        ahead = net.lstm(f"encoder{number}", encoded, units, lengths=lengths)
        back = net.lstm(f"encoder{number}_back", encoded, units, reverse=True, lengths=lengths)
        encoded = jnp.concatenate([ahead, back], -1)
        ends = net.left[f"encoder{number}"], net.left[f"encoder{number}_back"]
        begins.append((number, tuple(jnp.concatenate(pair, -1) for pair in zip(*ends))))
    for number, begin in begins:
        decoded = net.lstm(f"decoder{number}", decoded, 2 * units, begin=begin)
    query, memory = net.dense("query", decoded, 2 * units), net.dense("memory", encoded, 4 * units)
    context = net.attend(query, *jnp.split(memory, 2, -1), 2, lengths=lengths)
    y = jnp.tanh(net.dense("mix", jnp.concatenate([decoded, context], -1), 2 * units))
    return net.dense("head", y, vocabulary)


def transformer(net, tokens, vocabulary):
    """Two blocks of two heads on each side."""
    width, heads, hidden, source = 16, 2, 24, 5
    lengths = source_lengths(tokens, source)

    def attend_itself(name, x, **which):
        qkv = net.dense(name + "attn_qkv", net.layer_norm(name + "norm1", x), 3 * width)
        return x + net.dense(name + "attn_out", net.attend(*jnp.split(qkv, 3, -1), heads, **which), width)

    def attend(name, x, memory):
        q = net.dense(name + "cross_q", net.layer_norm(name + "cross_norm", x), width)
        kv = net.dense(name + "cross_kv", memory, 2 * width)
        return x + net.dense(name + "cross_out", net.attend(q, *jnp.split(kv, 2, -1), heads, lengths=lengths), width)

    def feed_forward(name, x):
        y = jax.nn.gelu(net.dense(name + "ff1", net.layer_norm(name + "norm2", x), hidden), approximate=False)
        return x + net.dense(name + "ff2", y, width)

    embedded = net.embed("embed", tokens, vocabulary, width)
    x = embedded[:, :source]
    x = x + net.param("source_positions.table", width, x.shape[1]).T
    for number in range(2):
        x = attend_itself(f"encoder.{number}.", x, lengths=lengths)
        x = feed_forward(f"encoder.{number}.", x)
    memory = net.layer_norm("encoder_norm", x)
    x = embedded[:, source:]
    x = x + net.param("target_positions.table", width, x.shape[1]).T
    for number in range(2):
        x = attend_itself(f"decoder.{number}.", x, causal=True)
        x = attend(f"decoder.{number}.", x, memory)
        x = feed_forward(f"decoder.{number}.", x)
    return net.dense("head", net.layer_norm("decoder_norm", x), vocabulary, bias=False)


ADAMW = {"name": "adamw", "lr": 0.01, "beta1": 0.9, "beta2": 0.98, "epsilon": EPSILON, "weight_decay": 0.1, "decay": "matrices"}
ADAM = {"name": "adam", "lr": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": EPSILON, "weight_decay": 0.0}

# Under clipping Adam would hide a wrong factor: its steps are as large whatever the gradients are multiplied by.
SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}

# Network; vocabulary, tokens of a row that are read, steps that nobody is asked for, label that does not count, tokens from
# row to row; samples of a step; optimizer.
PAIRS = {"vocabulary": 11, "reads": 9, "skips": 5, "padding": 0, "every": 10, "live": 7, "streams": False}
GPT = {"preset": "gpt", "vocabulary": 11, "reads": 8, "skips": 0, "padding": None, "every": 8, "live": 6, "streams": False}
PRESETS = [
    ("gpt", gpt, {**GPT, "tied": False}, ADAMW, None),
    ("gpt, tied, clipped", lambda *a: gpt(*a, tied=True), {**GPT, "tied": True}, SGD, 1.0),
    ("lstm-lm", lstm_lm,
     {"preset": "lstm-lm", "vocabulary": 11, "reads": 7, "skips": 0, "padding": None, "every": 7, "live": 5, "streams": True},
     ADAM, None),
    ("seq2seq", seq2seq, {"preset": "seq2seq", **PAIRS}, ADAM, None),
    ("seq2seq, two layers", lambda *a: seq2seq(*a, layers=2), {"preset": "seq2seq", "layers": 2, **PAIRS}, ADAM, None),
    ("transformer", transformer, {"preset": "transformer", **PAIRS}, ADAMW, None),
]


def batches(shape, number, steps=STEPS):
    """Of each step what is read and the labels, both (samples, steps); a label that does not count is -1."""
    live, reads, every = shape["live"], shape["reads"], shape["every"]
    rows = live * steps
    stream = token(number, (rows - 1) * every + reads + 1, shape["vocabulary"])
    for step in range(steps):
        places = step * live + np.arange(live)
        order = places % live * steps + places // live if shape["streams"] else (7 * places + 3) % rows
        at = order[:, None] * every + np.arange(reads)
        labels = stream[at + 1][:, shape["skips"] :]
        yield stream[at], np.where(labels == shape["padding"], -1, labels) if shape["padding"] is not None else labels


def mean_loss(logits, labels):
    own = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(labels, 0)[..., None], -1)[..., 0]
    return -jnp.where(labels >= 0, own, 0.0).sum() / (labels >= 0).sum()


def loss_of(network, vocabulary):
    def loss(p, tokens, labels, state):
        net = Net(p, state=state)
        return mean_loss(network(net, tokens, vocabulary), labels), net.left

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def update(settings, t, values, slots, grads):
    """Step number t."""
    for name, g in grads.items():
        if settings["name"] == "sgd":
            slots[name] = settings["momentum"] * slots.get(name, 0.0) + g
            values[name] = values[name] - settings["lr"] * slots[name]
            continue
        decay = settings["weight_decay"] if values[name].ndim > 1 or settings.get("decay") != "matrices" else 0.0
        m, v = slots.get(name, (0.0, 0.0))
        if settings["name"] == "adamw":
            values[name] = values[name] * (1 - settings["lr"] * decay)
        else:
            g = g + decay * values[name]
        m = settings["beta1"] * m + (1 - settings["beta1"]) * g
        v = settings["beta2"] * v + (1 - settings["beta2"]) * g**2
        slots[name] = (m, v)
        m, v = m / (1 - settings["beta1"] ** t), v / (1 - settings["beta2"] ** t)
        values[name] = values[name] - settings["lr"] * m / (jnp.sqrt(v) + settings["epsilon"])


def is_masked(name):
    return name.endswith(".weight") and not name.startswith("embed") and "norm" not in name


class Run:
    def __init__(self, network, shape, settings, clip, number, masked, dtype=jnp.float64, nudge=0.0):
        self.number, loss_and_grads = number, loss_of(network, shape["vocabulary"])
        net = Net(None, number + 1)
        network(net, np.zeros((shape["live"], shape["reads"]), np.int64), shape["vocabulary"])
        masks = {n: keeps(v.shape) if masked and is_masked(n) else np.ones(v.shape) for n, v in net.p.items()}
        random = np.random.default_rng(1)
        params = {n: jnp.asarray(v * masks[n] * (1 + nudge * random.uniform(-1, 1, v.shape)), dtype) for n, v in net.p.items()}
        slots, state, self.losses, self.norms = {}, {}, [], []
        for t, (tokens, labels) in enumerate(batches(shape, number), 1):
            (loss, state), grads = loss_and_grads(params, tokens, labels, state)
            self.losses.append(float(loss))
            grads = {n: grads[n] * jnp.asarray(masks[n], dtype) for n in params}
            if t == 1:
                self.grads = {n: np.asarray(g) for n, g in grads.items()}
            norm = jnp.sqrt(sum((g**2).sum() for g in grads.values()))
            self.norms.append(float(norm))
            if clip is not None:
                factor = jnp.minimum(1.0, clip / (norm + 1e-6))
                grads = {n: g * factor for n, g in grads.items()}
            update(settings, t, params, slots, grads)
            params = {n: v * jnp.asarray(masks[n], dtype) for n, v in params.items()}
        self.final = {n: np.asarray(v, np.float64) for n, v in params.items()}

    def content(self):
        def of(values):
            return {name: summary(self.number + 1 + t, values[name]) for t, name in enumerate(self.final)}

        return {"losses": self.losses, "gradients": of(self.grads), "parameters": of(self.final), "statistics": {}}


def text():
    runs = []
    for at, (name, network, shape, settings, clip) in enumerate(PRESETS):
        if clip is not None:
            settings = {**settings, "clip": clip}
        for masked in (False, True):
            own = (network, shape, settings, clip, 2000 + 1000 * at, masked)
            run = Run(*own)
            print(f"{name}, masked {masked}: losses {run.losses[0]:.4f} .. {run.losses[-1]:.4f}, "
                  f"norms {min(run.norms):.2f} .. {max(run.norms):.2f}")
            print("  in f32:", distance(run, Run(*own, dtype=jnp.float32)))
            print("  nudged:", distance(run, Run(*own, nudge=1e-7)))
            for key, by in [("lr", 1.001), ("momentum", 0.999), ("beta1", 0.99), ("beta2", 0.99), ("weight_decay", 1.1), ("clip", 0.999)]:
                if settings.get(key):
                    other = {**settings, key: settings[key] * by}
                    moved = Run(network, shape, other, other.get("clip"), *own[4:]).losses
                    print(f"  {key} times {by}: losses {max(abs(a - b) for a, b in zip(run.losses, moved)):.1e}")
            runs.append({"name": name, "number": run.number, "masked": masked, **shape, "optimizer": settings, **run.content()})
    return {"jax": jax.__version__, "runs": runs}


TIED = {"vocabulary": 7, "reads": 6, "skips": 0, "padding": None, "every": 6, "live": 8, "streams": False}
PADDING, TIED_NUMBER = 3, 800

def tied_network(net, tokens, vocabulary):
    x = jnp.tanh(net.dense("mid", net.embed("embed", tokens, vocabulary, 8, PADDING), 8))
    return x @ net.p["embed.weight"].T


def tied():
    loss_and_grads, runs = loss_of(tied_network, TIED["vocabulary"]), []
    for masked in (False, True):
        net = Net(None, TIED_NUMBER + 1)
        tied_network(net, np.zeros((8, 6), np.int64), TIED["vocabulary"])
        masks = {n: keeps(v.shape) if masked and n == "mid.weight" else np.ones(v.shape) for n, v in net.p.items()}
        params = {n: jnp.asarray(v * masks[n]) for n, v in net.p.items()}
        speed, losses = {}, []
        for step, (tokens, labels) in enumerate(batches(TIED, TIED_NUMBER)):
            (loss, _), grads = loss_and_grads(params, tokens, labels, {})
            losses.append(float(loss))
            if step == 0 and not masked:
                gradients = {n: np.asarray(grads[n]).ravel().tolist() for n in params}
                assert (tokens == PADDING).any() and (labels == PADDING).any()
            for n in params:
                speed[n] = SGD["momentum"] * speed.get(n, 0.0) + grads[n] * masks[n]
                params[n] = params[n] - SGD["lr"] * speed[n]
        final = np.concatenate([np.asarray(value).ravel() for value in params.values()])
        runs.append({"masked": masked, "losses": losses, "sum": float(final.sum()), "norm": float(np.linalg.norm(final))})
    return {"jax": jax.__version__, "optimizer": SGD, "runs": runs, "gradients": gradients}


def main():
    folder = pathlib.Path(__file__).parent
    for name, content in [("text", text()), ("tied", tied())]:
        short = json.loads(json.dumps(content), parse_float=lambda number: float(f"{float(number):.9g}"))
        text_of = json.dumps(short, separators=(",", ":")).replace('],"', '],\n"')
        (folder / f"{name}.json").write_text(text_of + "\n")


if __name__ == "__main__":
    main()
