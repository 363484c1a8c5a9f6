"""The recipe `shakespeare-gpt` in PyTorch: an independent run of what docs/results.md compares Coppice's loss with.

    pip install torch numpy
    python tests/oracle/shakespeare_gpt.py TEXT FIRST LAST [--steps 600] [--windows random|once|apart]

Trains one dense network a seed on the first nine tenths of a file, byte by byte, and prints its loss on every window of
the last tenth, in nats a byte. Windows: `random` begin anywhere; `once` follow one another, each is read once an epoch, as
in Coppice; `apart` are those, and each begins up to 127 bytes later.
"""

import argparse
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, WIDTH, HEADS, CONTEXT, HIDDEN = 4, 128, 4, 128, 512
BATCH, RATE, DECAY = 32, 1e-3, 0.1


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        samples, steps, _ = x.shape
        q, k, v = (
            part.view(samples, steps, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in self.qkv(self.before(x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.narrow(F.gelu(self.wide(self.between(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(256, WIDTH)
        self.positions = nn.Parameter(torch.empty(CONTEXT, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256, bias=False)
        for name, param in self.named_parameters():
            if param.dim() > 1:
                ends_branch = name.endswith(("out.weight", "narrow.weight"))
                nn.init.normal_(param, std=0.02 / (math.sqrt(2 * LAYERS) if ends_branch else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(param)

    def forward(self, tokens):
        return self.head(self.norm(self.blocks(self.embed(tokens) + self.positions[: tokens.shape[1]])))


def read(text, begins):
    """What the network reads of windows, and the byte after each."""
    rows = torch.stack([text[begin : begin + CONTEXT + 1] for begin in begins]).long()
    return rows[:, :-1], rows[:, 1:]


def loss(net, text, begins, reduction="mean"):
    tokens, labels = read(text, begins)
    return F.cross_entropy(net(tokens).flatten(0, 1), labels.flatten(), reduction=reduction)


def begins(windows, length, steps):
    """Of each step, where its windows begin."""
    count = (length - 1) // CONTEXT - 1
    if windows == "random":
        return [torch.randint(length - CONTEXT, (BATCH,)) for _ in range(steps)]
    epochs = -(-steps * BATCH // count)
    order = torch.cat([torch.randperm(count) for _ in range(epochs)]) * CONTEXT
    if windows == "apart":
        order = order + torch.randint(CONTEXT, order.shape)
    return order[: steps * BATCH].split(BATCH)


def run(train, test, seed, steps, windows):
    torch.manual_seed(seed)
    net = Gpt()
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for batch in begins(windows, len(train), steps):
        optimizer.zero_grad()
        loss(net, train, batch).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        every = torch.arange((len(test) - 1) // CONTEXT) * CONTEXT
        total = sum(loss(net, test, part, "sum").item() for part in every.split(BATCH))
    return total / (len(every) * CONTEXT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--windows", choices=["random", "once", "apart"], default="once")
    args = parser.parse_args()
    text = torch.frombuffer(bytearray(args.text.read_bytes()), dtype=torch.uint8)
    train, test = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    losses = []
    for seed in range(args.first, args.last + 1):
        losses.append(run(train, test, seed, args.steps, args.windows))
        print(f"seed {seed}: {losses[-1]:.4f}", flush=True)
    print(f"mean of {len(losses)}: {sum(losses) / len(losses):.4f}")


if __name__ == "__main__":
    main()
