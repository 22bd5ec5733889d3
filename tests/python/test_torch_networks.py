"""Every backbone against torchvision's: the same weights, the same pictures; outputs, losses, the gradient of every parameter
and running statistics. And bf16 against our own float32.

    python3 tests/python/test_torch_networks.py FOLDER-OF-THE-TOOLS [unittest's arguments]

JIGSAW_TEST_SCALE below 1 leaves most backbones out; from 2 on, batches and pictures are larger.
"""

import unittest

from network_support import RESNETS, VGGS, error, ours, prepared, theirs, torch
from support import SCALE, SEED, main

OUTPUTS, GRADIENTS = 1e-5, 1e-4  # how far float32 may be off, relative to a tensor's largest magnitude
COUNT, SIZE = (8, 96) if SCALE >= 2 else (4, 64)


def size_of(arch, norm):
    """Batch norm needs some cells in the last maps; VGG's are twice as large before the last pool."""
    return SIZE if norm == "bn" and not arch.startswith("vgg") else SIZE // 2


def reference_of(name, reference):
    """What a difference is measured by. A bias before batch norm has gradient 0 but for rounding: its weight's gradient."""
    weight = name.removesuffix("bias") + "weight"
    tiny = weight in reference and reference[name].abs().max() < 1e-4 * reference[weight].abs().max()
    return reference[weight] if tiny else reference[name]


def errors(found, reference):
    """{name: error} of what the reference has, but for parameters, which nothing changes."""
    return {
        name: error(found[name], value, reference_of(name, reference))
        for name, value in reference.items()
        if not name.startswith("value:") or "running" in name
    }


def bound(name):
    return GRADIENTS if name.startswith("gradient:") else OUTPUTS


class NetworksTest(unittest.TestCase):
    def compare(self, arch, norm, *arguments, training=True):
        net, images, labels = prepared(arch, norm, COUNT, size_of(arch, norm), training, SEED)
        mode = "--training" if training else "--no-training"
        (found,) = ours(net, images, labels, ["--arch", arch, "--norm", norm, mode, *arguments])
        reference = theirs(net, images, labels)
        unknown = set(found) ^ {*reference, "losses"}
        self.assertFalse({name for name in unknown if not (norm == "frozen" and name.endswith("num_batches_tracked"))})
        for name, value in reference.items():
            if name.endswith("num_batches_tracked"):
                self.assertEqual(float(found[name]), float(value), name)
        self.assertFalse({name: e for name, e in errors(found, reference).items() if not e <= bound(name)})

    def compare_all(self, cases, **keywords):
        for arch, norm in cases:
            with self.subTest(arch=arch, norm=norm):
                self.compare(arch, norm, **keywords)

    def test_resnets(self):
        archs = RESNETS if SCALE >= 1 else ["resnet18", "resnet50"]
        self.compare_all((arch, norm) for arch in archs for norm in ("bn", "gn"))

    def test_vggs(self):
        archs = list(VGGS) if SCALE >= 1 else ["vgg11"]
        self.compare_all((arch, "none") for arch in archs)
        self.compare_all((f"{arch}_bn", norm) for arch in archs for norm in ("bn", "gn"))

    def test_frozen_norms(self):
        self.compare_all((arch, "frozen") for arch in ("resnet18", "resnet50", "vgg11_bn"))

    def test_inference(self):
        """Batch norm by running statistics, whose gradients are wanted all the same."""
        self.compare_all(((arch, "bn") for arch in ("resnet18", "resnet50", "vgg11_bn")), training=False)

    def test_reference_backend(self):
        for norm in ("bn", "gn") if SCALE >= 1 else ("bn",):
            with self.subTest(norm=norm):
                self.compare("resnet18", norm, "--device", "ref")


class Bf16Test(unittest.TestCase):
    """A value rounded to bf16 is off by 2^-9 relative at most, by 2^-9 / sqrt(3) as a root mean square. Along a path such
    errors add up like random steps. A layer rounds four times: its input, its weights, and before and after its norm. So L
    layers make e = sqrt(4 L) 2^-9 / sqrt(3). Of that 0.6 to 1.8 times was seen, since batch norm over a few pictures
    magnifies: 3 times are allowed. A part e of the ReLUs switches in each layer, and with them that part of the gradient's
    energy: a gradient is off by a small multiple of sqrt(e), up to 2.4 in ResNets, and up to 5.6 in VGGs, whose pools switch
    as well: 4 and 8 are allowed."""

    DEPTHS = {"resnet18": (5, 9, 13, 17, 18), "resnet50": (10, 22, 40, 49, 50), "vgg11_bn": (2, 4, 6, 8, 9)}

    @staticmethod
    def distance(found, expected):
        return float((found - expected).norm() / expected.norm())

    def compare(self, arch, norm):
        net, images, labels = prepared(arch, norm, COUNT, size_of(arch, norm), True, SEED)
        arguments = ["--arch", arch, "--norm", norm, "--training"]
        single, half = ours(net, images, labels, arguments, [*arguments, "--precision", "bf16"])
        for name, depth in zip(("C2", "C3", "C4", "C5", "logits"), self.DEPTHS[arch]):
            expected = (4 * depth) ** 0.5 * 2**-9 / 3**0.5
            self.assertLess(self.distance(half[name], single[name]), 3 * expected, name)
            self.assertGreater(self.distance(half[name], single[name]), 1e-4, "this was not bf16")
        self.assertLess(abs(float(half["loss"] - single["loss"])), 3 * expected * float(single["logits"].abs().max()))
        multiple = 8 if arch.startswith("vgg") else 4
        for name, value in single.items():
            if name.startswith("gradient:") and value is reference_of(name, single):
                self.assertLess(self.distance(half[name], value), multiple * expected**0.5, name)

    def test_bf16(self):
        for arch, norm in (("resnet18", "bn"), ("resnet18", "gn"), ("resnet50", "bn"), ("vgg11_bn", "bn")):
            with self.subTest(arch=arch, norm=norm):
                self.compare(arch, norm)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
