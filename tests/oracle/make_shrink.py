#!/usr/bin/env python3
"""Kernel transformation with its gradients, and the order of channels, by NumPy in f64: `tests/shrink.rs` holds Coppice
against them.

    pip install numpy
    python tests/oracle/make_shrink.py

Eight kernels of 7 x 7, and matrices of 25 x 25 and 9 x 9 for 5 x 5 and 3 x 3. All follow from small integers, exactly in f32:

    weight(i) = ((3 i) mod 7 - 3) / 4
    to_5(i)   = ((5 i) mod 11 - 5) / 8
    to_3(i)   = ((2 i) mod 5 - 2) / 8
    grad(i)   = ((7 i) mod 13 - 6) / 4        the gradient of the kernels of 3 x 3
    importance(i) = ((37 i) mod 53) / 4       of 24 channels, of which 16 and then 8 are in use
"""

import json
import pathlib

import numpy as np

CHANNELS = 8


def numbers(shape, by, of, over):
    i = np.arange(np.prod(shape))
    return (((by * i) % of - of // 2) / over).reshape(shape)


def middle(kernels, size):
    skip = (kernels.shape[1] - size) // 2
    return kernels[:, skip : skip + size, skip : skip + size]


def order(importance, widths):
    """As the code of Cai et al. does it: one sort, with numbers added by range that keep the ranges apart."""
    shifted = np.array(importance, dtype=np.float64)
    for width in sorted(widths, reverse=True)[1:]:
        shifted[width:] -= 1e5
    return np.argsort(-shifted, kind="stable").tolist()


weight = numbers((CHANNELS, 7, 7), 3, 7, 4)
to_5, to_3 = numbers((25, 25), 5, 11, 8), numbers((9, 9), 2, 5, 8)
middle_5 = middle(weight, 5).reshape(CHANNELS, 25)
kernel_5 = middle_5 @ to_5.T
middle_3 = middle(kernel_5.reshape(CHANNELS, 5, 5), 3).reshape(CHANNELS, 9)
kernel_3 = middle_3 @ to_3.T

d_3 = numbers((CHANNELS, 9), 7, 13, 4)
d_to_3 = d_3.T @ middle_3
d_kernel_5 = np.zeros((CHANNELS, 5, 5))
d_kernel_5[:, 1:4, 1:4] = (d_3 @ to_3).reshape(CHANNELS, 3, 3)
d_kernel_5 = d_kernel_5.reshape(CHANNELS, 25)
d_to_5 = d_kernel_5.T @ middle_5
d_weight = np.zeros((CHANNELS, 7, 7))
d_weight[:, 1:6, 1:6] = (d_kernel_5 @ to_5).reshape(CHANNELS, 5, 5)

importance = ((37 * np.arange(24)) % 53 / 4).tolist()
golden = {
    "kernel_5": kernel_5.ravel().tolist(),
    "kernel_3": kernel_3.ravel().tolist(),
    "d_weight": d_weight.ravel().tolist(),
    "d_to_5": d_to_5.ravel().tolist(),
    "d_to_3": d_to_3.ravel().tolist(),
    "orders": [order(importance, widths) for widths in ([24], [24, 16], [24, 16, 8])],
}
path = pathlib.Path(__file__).with_name("shrink.json")
path.write_text(json.dumps(golden) + "\n")
