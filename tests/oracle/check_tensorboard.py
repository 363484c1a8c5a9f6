"""Reads the event files of a run with the reader that TensorBoard itself uses, and holds them against what the run wrote itself.

    pip install tensorboard pillow
    python tests/oracle/check_tensorboard.py runs/NAME

For runs trained with `[log] tensorboard = true` from their start. Steps must be those of metrics.jsonl and
masks/updates.jsonl, none twice, however often the run was stopped; values must agree as f32; a histogram counts as many
weights as the last mask update kept; every picture must be one.
"""

import io
import json
import pathlib
import sys

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator, STORE_EVERYTHING_SIZE_GUIDANCE
from tensorboard.util.tensor_util import make_ndarray

run = pathlib.Path(sys.argv[1])
lines = lambda name: [json.loads(line) for line in (run / name).read_text().splitlines()]
events = EventAccumulator(str(run), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE)
events.Reload()


def shown(plugin):
    """By tag, the steps and arrays that one of TensorBoard's pages shows."""
    points = lambda tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
    return {tag: points(tag) for tag in events.PluginTagToContent(plugin)}


# What is expected: by tag, step and value.
wanted = {}
note = lambda tag, step, value: wanted.setdefault(tag, []).append((step, value))
evaluated = set()
for line in lines("metrics.jsonl"):
    step = line["step"]
    if line["kind"] == "train":
        for tag, key in [("loss/train", "train_loss"), ("accuracy/train", "train_accuracy"), ("learning_rate",) * 2]:
            note(tag, step, line[key])
    elif line["kind"] == "evaluation":
        part = line["part"]
        note(f"loss/{part}", step, line["loss"])
        note(f"accuracy/{part}", step, line["accuracy"])
        if part == "validation" and line["language"]:
            note("perplexity/validation", step, line["language"]["perplexity"])
    # Weights are shown where something is measured: on the validation part, or gradients alone.
    if line["kind"] == "gradients" or line.get("part") == "validation":
        evaluated.add(step)
updates = lines("masks/updates.jsonl")
for line in updates:
    # An update comes before its step; its figures stand at the step done.
    for layer in line["layers"] + [dict(line, name="all")]:
        name = layer["name"].removesuffix(".weight")
        note(f"sparsity/{name}", line["step"] + 1, 1 - layer["kept"] / layer["total"])
        note(f"kept/{name}", line["step"] + 1, layer["kept"])

report = run / "report.json"
if not (report.is_file() and json.loads(report.read_text())["done"]):
    wanted = {tag: points for tag, points in wanted.items() if not tag.endswith("/test")}

faults = []
found = {tag: [(step, value.item()) for step, value in points] for tag, points in shown("scalars").items()}
for tag in sorted(wanted.keys() | found.keys()):
    want, have = wanted.get(tag, []), found.get(tag, [])
    if [step for step, _ in want] != [step for step, _ in have]:
        faults.append(f"{tag}: steps {[step for step, _ in have]}, not {[step for step, _ in want]}")
    elif any(np.float32(a) != np.float32(b) for (_, a), (_, b) in zip(want, have)):
        faults.append(f"{tag}: values {have}, not {want}")

counted = 0
for tag, points in shown("histograms").items():
    name = tag.removeprefix("weights/")
    counted += len(points)
    if evaluated and [step for step, _ in points] != sorted(evaluated):
        faults.append(f"{tag}: steps {[step for step, _ in points]}, not {sorted(evaluated)}")
    for at, buckets in points:
        # A row is a bucket: left, right, count.
        values = buckets[:, 2].sum(dtype=np.float64)
        kept = [layer["kept"] for line in updates if line["step"] < at for layer in line["layers"] if layer["name"] == name]
        if not values or (kept and values != kept[-1]):
            faults.append(f"{tag}, step {at}: {values} values, not {kept[-1:]}")

pictures = 0
for tag, points in shown("images").items():
    for step, (width, height, png) in points:
        image = Image.open(io.BytesIO(png))
        image.load()
        pictures += 1
        if image.size != (int(width), int(height)):
            faults.append(f"{tag}, step {step}: {image.size}, not {width} x {height}")

points = sum(len(points) for points in found.values())
files = len(list(run.glob("events.out.tfevents.*")))
print(f"{files} files: {len(found)} tags of {points} figures, {counted} histograms, {pictures} pictures")
if faults or not (points and counted):
    sys.exit("\n".join(faults) or "there are no figures, or no histograms")
