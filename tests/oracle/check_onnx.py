"""Holds ONNX exports against ONNX Runtime and ONNX's own checker.

    pip install onnx onnxruntime numpy
    mkdir FOLDER
    COPPICE_ONNX_OUT=FOLDER cargo test --test onnx
    python tests/oracle/check_onnx.py FOLDER

The test leaves, for every network that it exports, NAME.onnx and NAME.json: an input, and what the network answers to it.
Each file is checked with shape inference, run as it is (no optimisation) and optimised, for all samples at once and for one
alone, and compared. The exit code is 1 if one differs by more than BOUND of the largest number of an output.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

BOUND = 1e-5


def difference(session, known, samples):
    """The largest difference for the first samples, of the largest number of each output."""
    values = numpy.array(known["input"], known["dtype"]).reshape(known["shape"])
    outputs = session.run(None, {session.get_inputs()[0].name: values[:samples]})
    assert len(outputs) == len(known["outputs"])
    worst = 0.0
    for own, wanted in zip(outputs, known["outputs"]):
        wanted = numpy.array(wanted, numpy.float32).reshape(len(values), *own.shape[1:])
        apart = numpy.abs(own - wanted[:samples]).max() / numpy.abs(wanted).max()
        worst = max(worst, apart) if apart == apart else numpy.inf
    return worst


def main(folder):
    files = sorted(pathlib.Path(folder).glob("*.onnx"))
    if not files:
        sys.exit(f"there are no exports in {folder}")
    wrong = 0
    for file in files:
        model = onnx.load(file)
        # Shape inference calls the type of a sparse initializer another one, which no operator takes.
        onnx.checker.check_model(model, full_check=not model.graph.sparse_initializer)
        known = json.loads(file.with_suffix(".json").read_text())
        worst = 0.0
        for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            worst = max(worst, *(difference(session, known, samples) for samples in (1, known["shape"][0])))
        wrong += not worst <= BOUND
        print(f"{file.stem:32} {worst:.1e}{'' if worst <= BOUND else '  WRONG'}")
    print(f"{len(files)} files, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main(sys.argv[1])
