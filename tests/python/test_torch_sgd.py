"""SGD against torch.optim.SGD: the way each parameter goes in a few steps, and the losses of twenty.

    python3 tests/python/test_torch_sgd.py FOLDER-OF-THE-TOOLS [unittest's arguments]

JIGSAW_TEST_SCALE below 1 leaves most options and networks out.
"""

import copy
import functools
import unittest

from network_support import error, nn, ours, prepared, tensors, torch
from support import SCALE, SEED, main

OPTIONS = (
    {"lr": 0.01},
    {"lr": 0.01, "momentum": 0.9},
    {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "decay_all": True},
    {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.1, "clip": 0.3},
)
NETWORKS = (("resnet18", "bn", 64, 0.01), ("vgg11", "none", 32, 0.0003))  # size, learning rate
OFF = 1e-7  # relative rounding of float32


def torch_steps(net, images, labels, steps, lr, momentum=0.0, nesterov=False, weight_decay=0.0, decay_all=False, clip=0.0):
    """The losses before, between and after the steps, and the norms of the gradients."""
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": weights}, {"params": others, "weight_decay": weight_decay if decay_all else 0}]
    sgd = torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    losses, norms = [], []
    for step in range(steps + 1):
        loss = nn.functional.cross_entropy(net(images)[-1], labels)
        losses.append(float(loss.detach()))
        if step < steps:
            sgd.zero_grad()
            loss.backward()
            norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), clip or float("inf"))))
            sgd.step()
    return torch.tensor(losses), torch.tensor(norms)


def arguments(steps, **options):
    words = ["--training", "--steps", steps]
    for name, value in options.items():
        name = f"--{name.replace('_', '-')}"
        words += [name] if value is True else [name, value]
    return words


def run(net, images, labels, steps, off=0.0, **options):
    """Where torch's SGD takes a copy of the network whose weights begin off by that part of them: how far each moved, the
    losses and the norms of the gradients."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        for value in net.parameters():
            value *= 1 + off * torch.randn(value.shape)
    start = {name: value.clone() for name, value in tensors(net).items()}
    losses, norms = torch_steps(net, images, labels, steps, **options)
    return {name: value - start[name] for name, value in tensors(net).items()}, losses, norms


def strays(moves, expected, part, net):
    """The parameters that moved otherwise than by that part of their tensor's largest move, and the rounding of a value."""
    rounding = {name: 4 * 2**-24 * value.abs().max() for name, value in tensors(net).items()}
    return [name for name, move in expected.items() if not (moves[name] - move).abs().max() <= part * move.abs().max() + rounding[name]]


@functools.cache
def problem(arch, norm, size, attempt):
    return prepared(arch, norm, 4, size, True, SEED + attempt)


def problems(arch, norm, size):
    """Random networks and batches, to take the first on which torch's SGD hardly notices that every weight begins off by the
    rounding of float32: else a ReLU on the edge may switch on the way, in one program alone, and part two right ways."""
    for attempt in range(40):
        yield problem(arch, norm, size, attempt)
    raise RuntimeError(f"{arch} {norm}: 40 networks, and none is calm")


class SgdTest(unittest.TestCase):
    def compare_moves(self, **options):
        """Of three steps, with float64's."""
        for net, images, labels in problems("resnet18", "gn", 32):
            wide = copy.deepcopy(net).double(), images.double(), labels
            expected, _, norms = run(*wide, 3, **options)
            if not strays(run(*wide, 3, off=OFF, **options)[0], expected, 0.001, net):
                break
        (found,) = ours(net, images, labels, ["--arch", "resnet18", "--norm", "gn", *arguments(3, **options)])
        moves = {name: found[f"value:{name}"].double() - value for name, value in tensors(net).items()}
        self.assertFalse(strays(moves, expected, 0.01, net))
        self.assertLess(error(found["norms"], norms), 1e-3)

    def test_options(self):
        for options in OPTIONS if SCALE >= 1 else OPTIONS[-1:]:
            with self.subTest(**options):
                self.compare_moves(**options)

    def compare_losses(self, arch, norm, size, lr):
        options = {"lr": lr, "momentum": 0.9, "weight_decay": 1e-4}
        for problem in problems(arch, norm, size):
            losses = run(*problem, 20, **options)[1]
            if all((run(*problem, 20, off=OFF, **options)[1] - losses).abs().max() < 1e-4 for _ in range(2)):
                break
        self.assertLess(float(losses[-1]), 0.95 * float(losses[0]), "nothing was learned")
        (found,) = ours(*problem, ["--arch", arch, "--norm", norm, *arguments(20, **options)])
        self.assertLess(float((found["losses"] - losses).abs().max()), 1e-3)

    def test_losses(self):
        for arch, norm, size, lr in NETWORKS if SCALE >= 1 else NETWORKS[-1:]:
            with self.subTest(arch=arch, norm=norm):
                self.compare_losses(arch, norm, size, lr)


if __name__ == "__main__":
    main()
