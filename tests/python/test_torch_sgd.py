"""SGD against torch.optim.SGD: the way each parameter goes in a few steps, and the losses of twenty.

    python3 tests/python/test_torch_sgd.py FOLDER-OF-THE-TOOLS
"""

import unittest

from network_support import error, nn, ours, prepared, tensors, torch
from support import SEED, main


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


class SgdTest(unittest.TestCase):
    def run_both(self, arch, norm, steps, dtype, seed=SEED, batch=4, size=32, **options):
        net, images, labels = prepared(arch, norm, batch, size, True, seed)
        start = {name: value.clone() for name, value in tensors(net).items()}
        (found,) = ours(net, images, labels, ["--arch", arch, "--norm", norm, *arguments(steps, **options)])
        net = net.to(dtype)
        losses, norms = torch_steps(net, images.to(dtype), labels, steps, **options)
        return found, start, tensors(net), losses, norms

    def strays(self, seed, **options):
        """After three steps: the parameters whose values did not move as far as torch's, within a hundredth of their tensor's
        largest move and the rounding of the values themselves."""
        found, start, end, _, norms = self.run_both("resnet18", "gn", 3, torch.float64, seed, **options)
        names = [] if error(found["norms"], norms) < 1e-3 else ["norms"]
        for name, value in end.items():
            moved, expected = found[f"value:{name}"].double() - start[name].double(), value - start[name].double()
            limit = 0.01 * expected.abs().max() + 4 * 2**-24 * value.abs().max()
            if not (moved - expected).abs().max() <= limit:
                names.append(name)
        return names

    def test_options(self):
        """A ReLU on the edge may switch after a step in one program alone: a few runs in a hundred, but not two in a row."""
        for options in (
            {"lr": 0.01},
            {"lr": 0.01, "momentum": 0.9},
            {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "decay_all": True},
            {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.1, "clip": 0.3},
        ):
            with self.subTest(**options):
                self.assertFalse(self.strays(SEED, **options) and self.strays(SEED + 1, **options))

    def distance(self, seed, arch, norm, batch, size):
        """Between our losses and PyTorch's over twenty steps with momentum and decay."""
        found, _, _, losses, _ = self.run_both(arch, norm, 20, torch.float32, seed, batch, size, lr=0.002, momentum=0.9,
                                               weight_decay=1e-4)
        self.assertLess(float(losses[-1]), 0.9 * float(losses[0]), "nothing was learned")
        return float(((found["losses"].double() - losses) / losses.clamp(min=1)).abs().max())

    def test_losses(self):
        """1e-3 at most, but where a ReLU switches on the way in one program alone: not in each of three runs."""
        for arch, norm, batch, size in (("resnet18", "bn", 16, 64), ("resnet50", "gn", 8, 64), ("vgg11", "none", 4, 32)):
            with self.subTest(arch=arch, norm=norm):
                distances = []
                while len(distances) < 3 and not (distances and distances[-1] < 1e-3):
                    distances.append(self.distance(SEED + len(distances), arch, norm, batch, size))
                    self.assertLess(distances[-1], 1e-2)
                self.assertLess(distances[-1], 1e-3)


if __name__ == "__main__":
    main()
