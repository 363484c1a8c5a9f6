#!/usr/bin/env python3
"""Golden file of the activations, made by JAX in double precision: `tests/golden.rs` holds Coppice against it.

    pip install jax numpy
    python tests/oracle/make_activations.py

Points are exact in float32 and lie on no kink.
"""

import json
import pathlib

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

FUNCTIONS = {
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "tanh": jax.numpy.tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
}
POINTS = (np.arange(-40, 41) / 4 + 1 / 32).tolist()

golden = {"points": POINTS, "functions": {}}
for name, function in FUNCTIONS.items():
    golden["functions"][name] = {
        "values": [float(function(x)) for x in POINTS],
        "slopes": [float(jax.grad(function)(x)) for x in POINTS],
    }
path = pathlib.Path(__file__).parent / "activations.json"
path.write_text(json.dumps(golden) + "\n")
