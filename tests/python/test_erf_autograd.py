"""Soft labels against the paper's equations in numpy; receptive fields against PyTorch's autograd.

    python3 tests/python/test_erf_autograd.py [FOLDER-OF-THE-TOOLS] [unittest's arguments]

Exits with 77 (skipped) without numpy, torch, torchvision or safetensors.
"""

import subprocess
import sys
import unittest

import support
from network_support import numpy, save_file, settled, torch, torchvision

TEMPLATES = {  # size, stride, regions: x, y, w, h
    "paper": (224, 32, [(0, 0, 64, 64), (64, 0, 160, 64), (0, 64, 64, 160), (64, 64, 160, 160)]),
    "small": (96, 32, [(0, 0, 32, 32), (32, 0, 64, 32), (0, 32, 32, 64), (32, 32, 64, 64)]),
    "halves": (64, 8, [(0, 0, 64, 24), (0, 24, 64, 40)]),
    "one": (32, 16, [(0, 0, 32, 32)]),
}


def erf_run(*arguments):
    done = subprocess.run([support.BIN / "erf_run", *map(str, arguments)], capture_output=True, text=True, timeout=500)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


# ---- soft labels ----


def masks(size, regions):
    masks = numpy.zeros((len(regions), size, size))
    for mask, (x, y, w, h) in zip(masks, regions):
        mask[y : y + h, x : x + w] = 1
    return masks


def direct(field, masks, row, column, stride, tau):
    """Section 3.3: the weights of the label of the cell (row, column), and the share of the field in its own region."""
    total = field.sum()
    own = masks[:, row * stride, column * stride].argmax()
    if total == 0:
        return numpy.eye(len(masks))[own], 1.0
    share = (field * masks[own]).sum() / total
    rest = (field * (1 - masks[own])).sum()
    if rest == 0:
        return numpy.eye(len(masks))[own], share
    weight = max(tau, share)
    label = numpy.array([(1 - weight) * (field * mask).sum() / rest for mask in masks])
    label[own] = weight
    return label, share


def direct_area(field, share=0.9):
    brightest = numpy.sort(field.ravel().astype(numpy.float64))[::-1]
    if brightest.sum() == 0:
        return 0
    return (1 + (numpy.cumsum(brightest) < share * brightest.sum() * (1 - 1e-12)).sum()) / brightest.size


def random_fields(chance, size, stride, regions):
    """A field for each cell: anything from a sharp point to a flat noise, and degenerate ones."""
    side, fields = size // stride, []
    y, x = numpy.mgrid[:size, :size]
    for cell in range(side * side):
        row, column = divmod(cell, side)
        own = next(m for m in masks(size, regions) if m[row * stride, column * stride])
        centre = [chance.uniform(0, size) for _ in range(2)]
        width = size * 10 ** chance.uniform(-1.5, 1)
        noise = numpy.random.default_rng(chance.getrandbits(32)).random((size, size))
        field = 10 ** chance.uniform(-20, 10) * noise * numpy.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / width**2)
        kind = chance.randrange(10)
        if kind == 0:
            field *= 0
        elif kind == 1:
            field *= own
        elif kind == 2:
            field *= 1 - own
        elif kind == 3:
            field = numpy.floor(noise * 4)
        fields.append(field.astype(numpy.float32))
    return numpy.stack(fields)


class SoftLabels(unittest.TestCase):
    def test_equations(self):
        chance, path = support.chance(), support.scratch() / "fields"
        for _ in range(support.scaled(2)):
            for name, (size, stride, regions) in TEMPLATES.items():
                for tau in 0.7, 1, chance.random():
                    with self.subTest(template=name, tau=tau):
                        fields = random_fields(chance, size, stride, regions)
                        fields.tofile(path)
                        rects = [",".join(map(str, region)) for region in regions]
                        lines = erf_run("labels", path, size, stride, repr(tau), *rects).splitlines()
                        found = numpy.array([line.split() for line in lines], dtype=float)
                        self.compare(found, fields, stride, masks(size, regions), tau)

    def compare(self, found, fields, stride, masks, tau):
        side = fields.shape[1] // stride
        self.assertEqual(len(found), side * side)
        for cell, (line, field) in enumerate(zip(found, fields)):
            label, share = direct(field.astype(numpy.float64), masks, *divmod(cell, side), stride, tau)
            numpy.testing.assert_allclose(line[:-2], label, rtol=1e-6, atol=1e-7)
            self.assertLess(abs(line[:-2].sum() - 1), 1e-6)
            self.assertAlmostEqual(line[-1], share, places=12)
            self.assertAlmostEqual(line[-2], direct_area(field), places=12)


# ---- receptive fields ----


def random_model(name):
    """Random weights, and running statistics as no initialiser gives them."""
    model = getattr(torchvision.models, name)()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return model.eval().requires_grad_(False)


def random_problem(arch, count, size):
    return random_model(arch), torch.randn(count, 3, size, size)


def features(model, images):
    x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
    return model.layer4(model.layer3(model.layer2(model.layer1(x))))


def autograd_fields(model, images, together=7):
    """Luo et al.: per cell the gradient of the channels' sum, its absolute values summed over the input's channels and
    averaged over the images; `together` cells at a time, each with a copy of the images."""
    count, channels, size, _ = images.shape
    cells, fields = (size // 32) ** 2, []
    for first in range(0, cells, together):
        some = torch.arange(first, min(first + together, cells))
        copies = images.repeat(len(some), 1, 1, 1).requires_grad_(True)
        output = features(model, copies).sum(1).reshape(len(some), count, cells)
        (gradient,) = torch.autograd.grad(output[torch.arange(len(some)), :, some].sum(), copies)
        fields.append(gradient.abs().sum(1).double().reshape(len(some), count, size, size).mean(1))
    return torch.cat(fields).numpy()


def relative(found, reference):
    """Of each cell: the difference's mass over the field's."""
    return numpy.abs(found - reference).sum((1, 2)) / reference.sum((1, 2))


class Fields(unittest.TestCase):
    def setUp(self):
        self.chance = support.chance()
        torch.manual_seed(self.chance.getrandbits(32))
        self.folder = support.scratch()

    def measure(self, arch, model, images, device, precision, copies):
        """images: NCHW."""
        weights, pixels, out = self.folder / "weights", self.folder / "pixels", self.folder / "out"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
        rows = images.permute(0, 2, 3, 1).contiguous()
        rows = rows.bfloat16().view(torch.int16) if precision == "bf16" else rows
        rows.numpy().tofile(pixels)
        size = images.shape[-1]
        erf_run("measure", arch, weights, pixels, len(images), size, device, precision, copies, out)
        return numpy.fromfile(out, dtype=numpy.float32).reshape(-1, size, size).astype(numpy.float64)

    def check_f32(self, arch, size, count, device, copies):
        model, images = settled(random_problem, arch, count, size)
        error = relative(self.measure(arch, model, images, device, "f32", copies), autograd_fields(model, images))
        print(f"{arch} {size} {device}: median {numpy.median(error):.1e}, largest {error.max():.1e}", file=sys.stderr)
        self.assertLess(error.max(), 1e-5)

    def test_every_cell(self):
        self.check_f32("resnet18", 224 if support.SCALE >= 1 else 96, 1, "cpu", 0)

    def test_sizes_and_copies(self):
        for size, copies in (64, 1), (96, 4), (160, 7):
            with self.subTest(size=size, copies=copies):
                self.check_f32("resnet18", size, 2, "cpu", copies)

    def test_bottlenecks(self):
        self.check_f32("resnet50", 64, 1, "cpu", 0)

    def test_reference_backend(self):
        self.check_f32("resnet18", 64, 1, "ref", 2)

    def test_bf16(self):
        """In bf16, ReLUs near zero change sides, so pixels of a field move by several percent, in PyTorch too: we may
        be half as much again from the f32 field as it is. Sums over regions, and so the labels, hardly move."""
        size, stride, regions = TEMPLATES["small"]
        model, images = random_model("resnet18"), torch.randn(2, 3, size, size)
        images = images.bfloat16().float()
        reference = autograd_fields(model, images)
        found = self.measure("resnet18", model, images, "cpu", "bf16", 0)
        error = relative(found, reference)
        theirs = relative(autograd_fields(model.bfloat16(), images.bfloat16()), reference)
        print(f"bf16: {numpy.median(error):.1e}, PyTorch {numpy.median(theirs):.1e}", file=sys.stderr)
        self.assertLess(numpy.median(error), 1.5 * numpy.median(theirs))
        for cell, (field, exact) in enumerate(zip(found, reference)):
            place = (masks(size, regions), *divmod(cell, size // stride), stride, 0)
            self.assertLess(numpy.abs(direct(field, *place)[0] - direct(exact, *place)[0]).max(), 0.01)


if __name__ == "__main__":
    support.main()
