#!/usr/bin/env python3
"""Walks of diffGrad with each of its frictions, by NumPy in f64: `tests/optim.rs` holds Coppice against them.

    pip install numpy
    python tests/oracle/make_diffgrad.py

Seven weights make eight updates. Weights and gradients follow from small integers, exactly in f32:

    weight(i)  = ((3 i) mod 7 - 3) / 4
    grad(t, i) = ((7 t + 5 i + t i) mod 11 - 5) / 2,   t = 1 .. 8

A mask keeps the weights 0, 2, 3, 5 and 6; pruned weights are 0 throughout, and do not count.
Mean and deviation are those of |g| over the kept weights, weight decay included; the deviation is divided by their
number, as NumPy's `std` does it.
"""

import json
import pathlib

import numpy as np

WEIGHTS, UPDATES = 7, 8
KEPT = [0, 2, 3, 5, 6]
RATE, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.999, 1e-8


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def friction(version, change, mean, deviation):
    """Dubey et al., 2020: diffGrad and its versions 1 to 5."""
    return [
        lambda: sigmoid(np.abs(change)),
        lambda: sigmoid(change),
        lambda: 9 / (1 + np.exp(-0.5 * np.abs(change))) - 4,
        lambda: sigmoid(deviation * np.abs(change) - mean),
        lambda: sigmoid(deviation**2 * np.abs(change) - mean),
        lambda: sigmoid(np.sqrt(deviation) * np.abs(change) - mean),
    ][version]()


def walk(version, decay, kept):
    """The kept weights after each update."""
    weight = (3.0 * kept % 7 - 3) / 4
    first, second, previous = (np.zeros(len(kept)) for _ in range(3))
    path = []
    for t in range(1, UPDATES + 1):
        grad = ((7 * t + 5 * kept + t * kept) % 11 - 5) / 2 + decay * weight
        first = BETA1 * first + (1 - BETA1) * grad
        second = BETA2 * second + (1 - BETA2) * grad**2
        size = np.abs(grad)
        slow = friction(version, previous - grad, size.mean(), size.std())
        rate = RATE * np.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        weight = weight - rate * slow * first / (np.sqrt(second) + EPSILON)
        previous = grad
        path.append([round(float(w), 10) for w in weight])
    return path


def main():
    walks = []
    for version in range(6):
        for decay in (0.0, 0.1):
            for masked in (False, True):
                kept = np.array(KEPT if masked else range(WEIGHTS))
                path = walk(version, decay, kept)
                walks.append({"version": version, "weight_decay": decay, "masked": masked, "weights": path})
    lines = ",\n".join(" " + json.dumps(one) for one in walks)
    pathlib.Path(__file__).with_name("diffgrad.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
