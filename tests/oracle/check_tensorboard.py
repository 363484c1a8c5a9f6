"""Reads the event files of a run with TensorBoard's own reader, and holds them against what the run wrote itself.

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
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
lines = lambda name: [json.loads(line) for line in (run / name).read_text().splitlines()]
every = {"scalars": 0, "histograms": 0, "images": 0}
events = EventAccumulator(str(run), size_guidance=every)
events.Reload()

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
found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
for tag in sorted(wanted.keys() | found.keys()):
    want, have = wanted.get(tag, []), found.get(tag, [])
    if [step for step, _ in want] != [step for step, _ in have]:
        faults.append(f"{tag}: steps {[step for step, _ in have]}, not {[step for step, _ in want]}")
    elif any(np.float32(a) != np.float32(b) for (_, a), (_, b) in zip(want, have)):
        faults.append(f"{tag}: values {have}, not {want}")

counted = 0
for tag in events.Tags()["histograms"]:
    name = tag.removeprefix("weights/")
    points = events.Histograms(tag)
    counted += len(points)
    if evaluated and [point.step for point in points] != sorted(evaluated):
        faults.append(f"{tag}: steps {[point.step for point in points]}, not {sorted(evaluated)}")
    for point in points:
        value = point.histogram_value
        kept = [layer["kept"] for line in updates if line["step"] < point.step for layer in line["layers"] if layer["name"] == name]
        if sum(value.bucket) != value.num or (kept and value.num != kept[-1]):
            faults.append(f"{tag}, step {point.step}: {value.num} values, not {kept[-1:]}")

pictures = 0
for tag in events.Tags()["images"]:
    for picture in events.Images(tag):
        image = Image.open(io.BytesIO(picture.encoded_image_string))
        image.load()
        pictures += 1
        if image.size != (picture.width, picture.height):
            faults.append(f"{tag}, step {picture.step}: {image.size}, not {picture.width} x {picture.height}")

points = sum(len(points) for points in found.values())
files = len(list(run.glob("events.out.tfevents.*")))
print(f"{files} files: {len(found)} tags of {points} figures, {counted} histograms, {pictures} pictures")
if faults or not (points and counted):
    sys.exit("\n".join(faults) or "there are no figures, or no histograms")
