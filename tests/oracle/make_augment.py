#!/usr/bin/env python3
"""Golden file of varied pictures, in plain Python with f64 throughout: `tests/augment.rs` holds Coppice against it.

    python tests/oracle/make_augment.py

A picture of sample n is (3, 5, 6) bytes, value i of it (31 i + 17 n + i^2) mod 256. The draws are those of Philox4x32-10
(Salmon et al., 2011) with the key (seed low, seed high) and the counter (block, sample, epoch, 7). A pixel is followed back
step by step: moved, turned, zoomed, mirrored; and then read between its neighbours, outside of the picture as 0.
"""

import json
import math
import pathlib

SEED = (3 << 32) | 11
CHANNELS, HEIGHT, WIDTH = 3, 5, 6
SAMPLES = [0, 3, 4, 9]
EPOCHS = [0, 5]
SCALE = [1 / 64, 1 / 32, 1 / 128]
SHIFT = [-2.0, -4.0, -1.0]
CASES = {
    "moved": {"flip": True, "crop": 1, "shift": 0.2, "cutout": 2},
    "turned": {"flip": True, "rotate": 40.0, "zoom": 0.3},
    "coloured": {"brightness": 0.5, "contrast": 0.75},
    "all": {
        "flip": True, "crop": 2, "shift": 0.4, "rotate": 180.0, "zoom": 0.5, "brightness": 0.3, "contrast": 0.3, "cutout": 3,
    },
}
MASK = 0xFFFFFFFF


def philox(counter, key):
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        x, y = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (y >> 32) ^ b ^ k0, y & MASK, (x >> 32) ^ d ^ k1, x & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [a, b, c, d]


def stored(sample, channel, y, x):
    if not (0 <= y < HEIGHT and 0 <= x < WIDTH):
        return 0
    i = (channel * HEIGHT + y) * WIDTH + x
    return (31 * i + 17 * sample + i * i) % 256


def varied(case, epoch, sample):
    words = [w for block in range(3) for w in philox([block, sample, epoch, 7], [SEED & MASK, SEED >> 32])]
    whole = lambda word, most: (word * (2 * most + 1) >> 32) - most
    even = lambda word: 2 * (word >> 8) / 2**24 - 1
    crop, shift = case.get("crop", 0), case.get("shift", 0)
    share = lambda extent: math.floor(shift * extent + 0.5)
    down = whole(words[1], crop) + whole(words[3], share(HEIGHT))
    across = whole(words[2], crop) + whole(words[4], share(WIDTH))
    angle = math.radians(case.get("rotate", 0)) * even(words[5])
    size = 1 + case.get("zoom", 0) * even(words[6])
    bright = 1 + case.get("brightness", 0) * even(words[7])
    contrast = 1 + case.get("contrast", 0) * even(words[8])
    cutout = case.get("cutout", 0)
    top = (words[9] * HEIGHT >> 32) - cutout // 2
    left = (words[10] * WIDTH >> 32) - cutout // 2
    mirrored = case.get("flip", False) and words[0] >> 31 == 1

    def value(channel, y, x):
        if top <= y < top + cutout and left <= x < left + cutout:
            return 0.0
        # From the centre of the picture, where it stands now.
        v, u = y - down - (HEIGHT - 1) / 2, x - across - (WIDTH - 1) / 2
        u, v = math.cos(angle) * u - math.sin(angle) * v, math.sin(angle) * u + math.cos(angle) * v
        u, v = u / size, v / size
        u = -u if mirrored else u
        v, u = v + (HEIGHT - 1) / 2, u + (WIDTH - 1) / 2
        # Whole pixels may be off by a rounding here.
        v, u = (round(t) if abs(t - round(t)) < 1e-9 else t for t in (v, u))
        y0, x0 = math.floor(v), math.floor(u)
        weights = [(y0 + dy, x0 + dx, abs(1 - dy - v + y0) * abs(1 - dx - u + x0)) for dy in (0, 1) for dx in (0, 1)]
        byte = sum(weight * stored(sample, channel, yy, xx) for yy, xx, weight in weights)
        mean = -SHIFT[channel] / SCALE[channel]
        clamp = lambda t: min(max(t, 0.0), 255.0)
        byte = clamp(mean + (clamp(byte * bright) - mean) * contrast)
        return byte * SCALE[channel] + SHIFT[channel]

    places = ((c, y, x) for c in range(CHANNELS) for y in range(HEIGHT) for x in range(WIDTH))
    return [round(value(*place), 6) for place in places]


cases = []
for name, case in CASES.items():
    for epoch in EPOCHS:
        pictures = [varied(case, epoch, sample) for sample in SAMPLES]
        cases.append({"name": name, "augment": case, "epoch": epoch, "pictures": pictures})
path = pathlib.Path(__file__).with_name("augment.json")
lines = ",\n".join(json.dumps(case) for case in cases)
path.write_text(f'{{"seed": {SEED}, "samples": {json.dumps(SAMPLES)}, "cases": [\n{lines}\n]}}\n')
