"""Loads what `coppice export` wrote into PyTorch's own networks, and hands weights of PyTorch to Coppice.

    apt-get install python3-torch python3-torchvision, or pip install torch torchvision; pip install safetensors
    python tests/oracle/check_torch.py --coppice target/release/coppice --work FOLDER

For each network below: a run of a few steps on `fashion-mini`, exported as safetensors, is read by `load_state_dict`, which
is strict; and a fresh network of PyTorch, its running statistics moved, is judged by `coppice eval FILE --recipe`. Loss and
accuracy on the 500 test images have to agree, both ways: the loss to 1e-5.
"""

import argparse
import gzip
import json
import struct
import subprocess
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
MEAN, DEVIATION = 0.2860, 0.3530  # src/data/fashion.rs


def read(part):
    with gzip.open(ROOT / f"assets/data/fashion-mini-{part}.idx.gz") as file:
        extents = struct.unpack(">" + "I" * (rank := file.read(4)[3]), file.read(4 * rank))
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).reshape(extents)


def resnet18():
    net = torchvision.models.resnet18(num_classes=10)
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)  # grey pictures
    return net


def resnet50():
    net = torchvision.models.resnet50(num_classes=10)
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return net


def mobilenet_v2():
    net = torchvision.models.mobilenet_v2(num_classes=10)
    net.features[0][0] = nn.Conv2d(1, 32, 3, 1, 1, bias=False)  # a first stride of 1, as for all small pictures
    return net


class Named(nn.Sequential):
    """`nn.Sequential` of layers with names: ReLU and pooling have no weights, so that their names are free."""

    def __init__(self, *layers):
        super().__init__()
        for number, layer in enumerate(layers):
            name, layer = layer if isinstance(layer, tuple) else (f"plain{number}", layer)
            self.add_module(name, layer)


def cnn():
    return Named(
        *(("conv1", nn.Conv2d(1, 32, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2)),
        *(("conv2", nn.Conv2d(32, 64, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(("fc1", nn.Linear(3136, 128)), nn.ReLU(), ("head", nn.Linear(128, 10))),
    )


def lenet5():
    return Named(
        *(("conv1", nn.Conv2d(1, 6, 5, padding=2)), nn.ReLU(), nn.MaxPool2d(2)),
        *(("conv2", nn.Conv2d(6, 16, 5)), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(("fc1", nn.Linear(400, 120)), nn.ReLU(), ("fc2", nn.Linear(120, 84)), nn.ReLU()),
        ("head", nn.Linear(84, 10)),
    )


def numbered():
    """A plain `nn.Sequential`: Coppice takes its layers in their order."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


RECIPE = """
[run]
steps = 4
batch = 64
[data]
name = "fashion-mini"
validation = 0.0
[model]
{model}
[optim]
name = "sgd"
lr = 0.01
momentum = 0.9
"""

# Name, PyTorch's network, Coppice's, and whether its export has PyTorch's names.
NETWORKS = [
    ("resnet18", resnet18, 'preset = "resnet18"', True),
    ("resnet50", resnet50, 'preset = "resnet50"', True),
    ("mobilenet-v2", mobilenet_v2, 'preset = "mobilenet-v2"', True),
    ("cnn", cnn, 'preset = "cnn"', True),
    ("lenet5", lenet5, 'preset = "lenet5"', True),
    ("mlp", numbered, 'preset = "mlp"\nhidden = [64]', False),
]


def judged(net):
    """Loss and share of right answers on the test images."""
    images, labels = read("test-images"), read("test-labels").long()
    x = ((images.float() / 255 - MEAN) / DEVIATION).unsqueeze(1)
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(batch) for batch in x.split(100)]).double()
    return nn.functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--coppice", default="coppice")
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--only", help="one network")
    given = arguments.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)

    def coppice(*words):
        done = subprocess.run([given.coppice, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stderr}"
        return done.stdout

    def agree(name, way, torch_has, text):
        own = json.loads(text.splitlines()[-1])
        loss, accuracy = own["test_loss"], own["test_accuracy"]
        print(f"{name:12} {way:3}: loss {torch_has[0]:.7f} there, {loss:.7f} here; accuracy {torch_has[1]:.3f}, {accuracy:.3f}")
        assert abs(loss - torch_has[0]) <= 1e-5 * max(1, torch_has[0]), f"{name} {way}"
        assert abs(accuracy - torch_has[1]) < 1e-9, f"{name} {way}"

    for name, make, model, same_names in NETWORKS:
        if given.only not in (None, name):
            continue
        run, recipe = given.work / name, given.work / f"{name}.toml"
        recipe.write_text(RECIPE.format(model=model))
        coppice("train", recipe, "--out", run, "-q")
        torch.manual_seed(0)
        if same_names:
            file = given.work / f"{name}.safetensors"
            coppice("export", run, "--to", "safetensors", file)
            net = make()
            net.load_state_dict(load_file(file))
            agree(name, "out", judged(net), coppice("eval", run, "--json"))
        net = make()
        # Statistics that are none of the first ones.
        net.train()
        with torch.no_grad():
            net(torch.randn(64, 1, 28, 28))
        theirs = given.work / f"{name}-torch.safetensors"
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, theirs)
        agree(name, "in", judged(net), coppice("eval", theirs, "--recipe", recipe, "--json"))


main()
