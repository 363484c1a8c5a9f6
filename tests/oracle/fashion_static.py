"""The recipe `fashion-static-98` in JAX: an independent run of what docs/results.md compares Coppice's accuracy with.

    pip install jax numpy
    python tests/oracle/fashion_static.py FIRST LAST [--draws coppice] [--data DIR]

Trains one network a seed and prints its accuracy on the test images, and the mean. Weights and masks are NumPy's draws,
or, with `--draws coppice`, those of Coppice's seeds; samples come in NumPy's order.
"""

import argparse
import gzip
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = [(512, 784), (512, 512), (10, 512)]
DENSITY = 0.02
BATCH, EPOCHS = 128, 15
RATE, MOMENTUM, DECAY = 0.1, 0.9, 5e-4
MEAN, DEVIATION = 0.2860, 0.3530  # of Fashion-MNIST's pixels, 0 to 1
INIT, MASK = 1, 5  # streams of src/random.rs


def load(folder, part):
    """Images (samples, 784) as bytes, and labels."""
    read = lambda name, header: np.frombuffer(gzip.open(folder / name).read(), np.uint8, offset=header)
    images = read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    return images, read(f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int32)


def erdos_renyi(shapes, density):
    """The density of each layer, in proportion to (outputs + inputs) / (outputs * inputs), at most 1."""
    sizes = [a * b for a, b in shapes]
    raw = [(a + b) / (a * b) for a, b in shapes]
    full = set()
    while True:
        free = [i for i in range(len(shapes)) if i not in full]
        left = density * sum(sizes) - sum(sizes[i] for i in full)
        scale = left / sum(raw[i] * sizes[i] for i in free)
        over = [i for i in free if raw[i] * scale > 1]
        if not over:
            return [1.0 if i in full else raw[i] * scale for i in range(len(shapes))]
        full.add(max(over, key=lambda i: raw[i]))


def units(seed, stream, tensor, n):
    """Numbers in [0, 1) by Philox 4x32-10, as src/random.rs has them."""
    low = np.uint64(0xFFFFFFFF)
    block = np.arange((n + 3) // 4, dtype=np.uint64)
    c = [block, np.full_like(block, tensor), np.zeros_like(block), np.full_like(block, stream)]
    k = [np.uint64(seed), np.uint64(0)]
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(q >> np.uint64(32)) ^ c[1] ^ k[0], q & low, (p >> np.uint64(32)) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return (np.stack(c, 1).reshape(-1)[:n] >> np.uint64(8)).astype(np.float32) / np.float32(1 << 24)


def draw(seed, rng, coppice):
    """Weights with their masks, and biases, of every layer."""
    layers = []
    sizes = [out * inputs for out, inputs in SHAPES]
    counts = [round(density * size) for density, size in zip(erdos_renyi(SHAPES, DENSITY), sizes)]
    counts[0] += round(DENSITY * sum(sizes)) - sum(counts)  # what rounding has left over
    for number, ((out, inputs), size, kept) in enumerate(zip(SHAPES, sizes, counts)):
        bound = 1 / np.sqrt(inputs)
        mask = np.zeros(size, np.float32)
        if coppice:
            weight = (units(seed, INIT, 2 * number, size) * 2 - 1) * np.float32(bound)
            bias = (units(seed, INIT, 2 * number + 1, out) * 2 - 1) * np.float32(bound)
            mask[np.argsort(-units(seed, MASK, 2 * number, size), kind="stable")[:kept]] = 1
        else:
            weight = rng.uniform(-bound, bound, (out, inputs)).astype(np.float32)
            bias = rng.uniform(-bound, bound, (out, 1)).astype(np.float32)
            mask[rng.permutation(size)[:kept]] = 1
        mask = mask.reshape(out, inputs)
        layers.append((weight.reshape(out, inputs) * mask, bias.reshape(out, 1), mask))
    return layers


def train(seed, coppice, train_set, test_set):
    rng = np.random.default_rng(seed)
    layers = draw(seed, rng, coppice)
    masks = [jnp.array(mask) for _, _, mask in layers]
    params = [(jnp.array(weight), jnp.array(bias)) for weight, bias, _ in layers]
    slots = jax.tree.map(jnp.zeros_like, params)

    def logits(params, images):
        h = (images.T.astype(jnp.float32) / 255 - MEAN) / DEVIATION
        for layer, ((weight, bias), mask) in enumerate(zip(params, masks)):
            h = (weight * mask) @ h + bias
            h = jax.nn.relu(h) if layer < 2 else h
        return h

    def loss(params, images, labels):
        likelihood = jax.nn.log_softmax(logits(params, images), 0)
        return -jnp.mean(jnp.take_along_axis(likelihood, labels[None], 0))

    @jax.jit
    def step(params, slots, images, labels, rate):
        grads = jax.grad(loss)(params, images, labels)
        slots = jax.tree.map(lambda v, g, w: MOMENTUM * v + g + DECAY * w, slots, grads, params)
        params = jax.tree.map(lambda w, v: w - rate * v, params, slots)
        return [(weight * mask, bias) for (weight, bias), mask in zip(params, masks)], slots

    images, labels = train_set
    steps = -(-len(images) // BATCH) * EPOCHS
    done = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            rate = RATE / 2 * (1 + np.cos(np.pi * done / steps))
            params, slots = step(params, slots, images[batch], labels[batch], rate)
            done += 1
    answers = np.argmax(np.array(jax.jit(logits)(params, test_set[0])), 0)
    return 100 * float((answers == test_set[1]).mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--draws", choices=["numpy", "coppice"], default="numpy")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    args = parser.parse_args()
    train_set, test_set = load(args.data, "train"), load(args.data, "t10k")
    seeds = range(args.first, args.last + 1)
    found = []
    for seed in seeds:
        found.append(train(seed, args.draws == "coppice", train_set, test_set))
        print(f"seed {seed}: {found[-1]:.2f} %", flush=True)
    print(f"mean {np.mean(found):.2f} %, deviation {np.std(found, ddof=1) if len(found) > 1 else 0:.2f}")


if __name__ == "__main__":
    main()
