#!/usr/bin/env python3
"""Golden files of a small network, made by PyTorch: `tests/golden.rs` holds Coppice against them.

    pip install torch numpy
    python tests/oracle/make_golden.py

The network is an MLP 12-16-8-5 with ReLU; the loss is the mean cross-entropy of 16 samples, the same ones at
every step. Inputs, weights and biases follow from small integers alone, so that Rust makes the same numbers,
bit for bit, without Python:

    number(t, i) = (23 i^2 + 7919 i + 757 t) mod 1000 - 500          (integers)
    value(t, i)  = f32(number(t, i)) / f32(divisor)                   (one rounding)

Tensor t = 0 is the inputs, sample by sample (16, 12), divisor 500. t = 1 .. 6 are fc1.weight (16, 12),
fc1.bias, fc2.weight (8, 16), fc2.bias, head.weight (5, 8), head.bias; weights have divisor 1000, biases 5000.
Sample i has label i mod 5. A mask keeps weight i of each of the three matrices if (31 i) mod 10 < 4; pruned
weights are 0 from the start and their gradients are set to 0 at every step, so that they stay 0.
"""

import json
import pathlib

import numpy as np
import torch

WIDTHS = [12, 16, 8, 5]
SAMPLES = 16
STEPS = 10
NAMES = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "head.weight", "head.bias"]
SHAPES = [shape for n, m in zip(WIDTHS, WIDTHS[1:]) for shape in ((m, n), (m,))]
OPTIMIZERS = {
    "sgd-momentum": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4},
    "sgd-nesterov": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    "adam": {"name": "adam", "lr": 1e-2, "weight_decay": 0.0},
}
# Finite differences move a weight by 1/512 either way, and with it no unit by more than that: so far from
# ReLU's kink, the loss is smooth. The numbers in `values` were chosen for this.
KINK_MARGIN = 1 / 128


def values(t, shape, divisor):
    i = np.arange(np.prod(shape), dtype=np.int64)
    number = (23 * i * i + 7919 * i + 757 * t) % 1000 - 500
    return torch.from_numpy((number.astype(np.float32) / np.float32(divisor)).reshape(shape))


def keeps(shape):
    i = torch.arange(shape[0] * shape[1]).reshape(shape)
    return (31 * i) % 10 < 4


def start(masked, dtype):
    """The parameters before the first step, and what masks the gradient of each (None for biases)."""
    params, masks = [], []
    for t, shape in enumerate(SHAPES, start=1):
        value = values(t, shape, 1000 if len(shape) > 1 else 5000)
        mask = keeps(shape) if masked and len(shape) > 1 else None
        masks.append(mask)
        params.append((value if mask is None else value * mask).to(dtype).requires_grad_())
    return params, masks


def logits(params, x):
    """Also the values before ReLU."""
    w1, b1, w2, b2, w3, b3 = params
    first = x @ w1.T + b1
    second = first.relu() @ w2.T + b2
    return second.relu() @ w3.T + b3, torch.cat([first.flatten(), second.flatten()])


def loss_of(params, dtype):
    x = values(0, (SAMPLES, WIDTHS[0]), 500).to(dtype)
    out, before = logits(params, x)
    return torch.nn.functional.cross_entropy(out, torch.arange(SAMPLES) % WIDTHS[-1]), before


def make_optimizer(params, settings):
    settings = dict(settings)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[settings.pop("name")]
    return kind(params, **settings)


def train(settings, masked, dtype):
    params, masks = start(masked, dtype)
    optimizer = make_optimizer(params, settings)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _ = loss_of(params, dtype)
        loss.backward()
        for param, mask in zip(params, masks):
            if mask is not None:
                param.grad *= mask
        optimizer.step()
        losses.append(loss.item())
    final = torch.cat([param.detach().flatten() for param in params]).double()
    for param, mask in zip(params, masks):
        assert mask is None or (param[~mask] == 0).all(), "a pruned weight came back"
    return {"losses": losses, "sum": final.sum().item(), "norm": final.norm().item()}


def training():
    runs = []
    for name, settings in OPTIMIZERS.items():
        for masked in (False, True):
            run = train(settings, masked, torch.float32)
            exact = train(settings, masked, torch.float64)
            # How far single precision alone moves a run: the bounds of tests/golden.rs lie well above it.
            drift = max(abs(a - b) for a, b in zip(run["losses"], exact["losses"]))
            ends = [abs(run[key] - exact[key]) for key in ("sum", "norm")]
            print(f"{name} masked={masked}: {run['losses'][0]:.4f} -> {run['losses'][-1]:.4f},",
                  f"f32 against f64: losses {drift:.1e}, sum {ends[0]:.1e}, norm {ends[1]:.1e}")
            runs.append({"name": name, "masked": masked, "optimizer": settings, **run})
    return {"torch": torch.__version__, "steps": STEPS, "runs": runs}


def gradients():
    params, _ = start(False, torch.float64)
    loss, before = loss_of(params, torch.float64)
    loss.backward()
    closest = before.abs().min().item()
    print(f"the unit closest to ReLU's kink is at {closest:.5f}")
    assert closest > KINK_MARGIN, "choose other numbers: finite differences would cross a kink"
    grads = {name: param.grad.flatten().tolist() for name, param in zip(NAMES, params)}
    return {"torch": torch.__version__, "loss": loss.item(), "gradients": grads}


def main():
    folder = pathlib.Path(__file__).parent
    for name, content in [("training", training()), ("gradients", gradients())]:
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
