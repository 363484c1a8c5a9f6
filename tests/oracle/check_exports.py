"""Opens what `coppice export` wrote by other libraries, and compares it with the safetensors export of the same run.

    pip install numpy scipy safetensors
    coppice export RUN --to safetensors w.safetensors
    coppice export RUN --to csr w-csr           # and: --to bitmask w-bitmask, --to 2:4 w-24.safetensors
    python tests/oracle/check_exports.py w.safetensors --csr w-csr --bitmask w-bitmask --two-four w-24.safetensors

Every number has to be the same in bits, but for the sign of zeros. `bitmask` is read as `BitmaskTensor.decompress` of
compressed-tensors 0.12 does it, `2:4` by the description in docs/guide/export.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.sparse
from safetensors.numpy import load_file


def of_csr(folder):
    for path in folder.glob("*.npy"):
        yield path.stem, np.load(path)
    for path in folder.glob("*.npz"):
        matrix = scipy.sparse.load_npz(path)
        assert matrix.format == "csr" and matrix.has_canonical_format, path
        assert matrix.nnz == np.count_nonzero(matrix.data), f"{path} stores zeros"
        yield path.stem, matrix.toarray().reshape(np.load(path)["kernel"])


def of_bitmask(folder):
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "compressed-tensors"
    assert config["sparsity_config"]["format"] == "sparse-bitmask"
    for layer in config["sparsity_config"]["targets"]:
        values, bits, offsets, shape = (
            tensors.pop(f"{layer}.{what}") for what in ("compressed", "bitmask", "row_offsets", "shape")
        )
        flags = np.unpackbits(bits, axis=-1, count=shape[-1], bitorder="little").reshape(shape).astype(bool)
        counts = flags.reshape(-1, shape[-1]).sum(axis=-1)
        assert (offsets == np.cumsum(counts) - counts).all(), layer
        dense = np.zeros(shape, values.dtype)
        dense[flags] = values
        yield f"{layer}.weight", dense
    yield from tensors.items()


def of_two_four(path):
    tensors = load_file(path)
    for name in [name.removesuffix(".meta") for name in tensors if name.endswith(".meta")]:
        values, meta, shape = (tensors.pop(f"{name}.{what}") for what in ("values", "meta", "shape"))
        groups = values.shape[-1] // 2
        bits = meta[..., np.arange(groups) // 8] >> (4 * (np.arange(groups) % 8)).astype(np.uint32)
        places = np.stack([bits & 3, bits >> 2 & 3], axis=-1)
        assert (places[..., 0] < places[..., 1]).all(), name
        dense = np.zeros((*values.shape[:-1], groups, 4), values.dtype)
        np.put_along_axis(dense, places.astype(np.int64), values.reshape(*places.shape), axis=-1)
        rows = dense.reshape(*values.shape[:-1], 4 * groups)
        assert not rows[..., shape[1] :].any(), name
        # (out, height, width, in) as (out, in, height, width).
        yield name, np.moveaxis(rows[..., : shape[1]], -1, 1)
    yield from tensors.items()


def compare(form, tensors, want):
    got = dict(tensors)
    assert got.keys() == want.keys(), (form, got.keys() ^ want.keys())
    for name, array in want.items():
        assert got[name].shape == array.shape, (form, name, got[name].shape, array.shape)
        assert got[name].dtype == array.dtype, (form, name, got[name].dtype, array.dtype)
        assert (got[name] == array).all(), (form, name)
    print(f"{form}: {len(got)} tensors are the same")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("dense", type=Path)
    readers = {"csr": of_csr, "bitmask": of_bitmask, "two-four": of_two_four}
    for form in readers:
        arguments.add_argument(f"--{form}", type=Path)
    given = vars(arguments.parse_args())
    want = {name: array for name, array in load_file(given["dense"]).items() if "num_batches_tracked" not in name}
    for form, read in readers.items():
        path = given[form.replace("-", "_")]
        if path is not None:
            compare(form, read(path), want)


main()
