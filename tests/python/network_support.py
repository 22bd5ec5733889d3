"""What the comparisons with PyTorch share: torchvision's networks, their parameters as files, and tests/network_run.c.

Needs torch, torchvision and safetensors; without them a test is skipped (exit status 77).
"""

import itertools
import os
import shutil
import subprocess
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # tests run beside each other; read when torch is imported

from support import BIN, SEED, SKIPPED, scratch

try:
    import numpy
    import torch
    import torchvision
    from safetensors.torch import load_file, save_file
    from torch import nn
    from torchvision.models import resnet, vgg
    from torchvision.ops import FrozenBatchNorm2d
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(SKIPPED)

CLASSES = 10
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"]
RESNETS += ["resnext101_64x4d", "wide_resnet50_2"]
VGGS = {"vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}
NORMS = {"bn": nn.BatchNorm2d, "gn": lambda channels: nn.GroupNorm(32, channels), "frozen": FrozenBatchNorm2d}


def program(*arguments):
    """Runs network_run to its end."""
    done = subprocess.run([BIN / "network_run", *map(str, arguments)], capture_output=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"network_run {' '.join(map(str, arguments))}: {done.stderr.decode()}")


class Vgg(nn.Module):
    """The features of torchvision's VGG, begun as there, with our small classifier."""

    def __init__(self, arch, norm):
        super().__init__()
        layers = vgg.make_layers(vgg.cfgs[VGGS[arch.removesuffix("_bn")]], batch_norm=arch.endswith("_bn"))
        if norm not in ("none", "bn"):
            layers = [NORMS[norm](layer.num_features) if isinstance(layer, nn.BatchNorm2d) else layer for layer in layers]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, CLASSES)

    def forward(self, x):
        outputs = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                outputs.append(x)
        return [*outputs[1:], self.classifier(x.mean((2, 3)))]


class ResNet(nn.Module):
    """torchvision's ResNet, with what its stages give."""

    def __init__(self, arch, norm):
        super().__init__()
        self.net = getattr(resnet, arch)(num_classes=CLASSES, norm_layer=NORMS[norm])

    def forward(self, x):
        net, outputs = self.net, []
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = layer(x)
            outputs.append(x)
        return [*outputs, net.fc(net.avgpool(x).flatten(1))]


def network(arch, norm):
    return Vgg(arch, norm) if arch.startswith("vgg") else ResNet(arch, norm)


def tensors(net):
    """Parameters and buffers by torchvision's names."""
    return {name.removeprefix("net."): value for name, value in net.state_dict().items()}


def gradients(net):
    return {name.removeprefix("net."): p.grad for name, p in net.named_parameters() if p.requires_grad}


def is_norm(module):
    return isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, FrozenBatchNorm2d))


def randomise(net, generator, calm):
    """Norms as training may leave them. Batch norm over few pictures magnifies the rounding of what comes before it, so that
    float32 would not suffice through fifty of them. So the last one of a residual block is small; and where they shall be
    `calm`, VGGs, which have no residuals, get ReLUs that let most of it pass."""
    bottleneck = isinstance(net, ResNet) and isinstance(net.net.layer1[0], resnet.Bottleneck)
    last = "bn3.weight" if bottleneck else "bn2.weight"
    for name, value in net.state_dict().items():
        if value.dim() == 1:
            random = torch.rand(value.shape, generator=generator)
            if name.endswith(("running_mean", "bias")):
                value.copy_(0.2 * random - 0.1)
            else:
                value.copy_(0.01 + 0.05 * random if name.endswith(last) and "layer" in name else 0.5 + random)
    if calm and isinstance(net, Vgg):
        for layer in net.features:
            if isinstance(layer, nn.BatchNorm2d):
                layer.bias.data.mul_(10).add_(1)  # 0 to 2


def thin_out(net, generator):
    """Leaves VGGs with batch norm an eighth of their weights, for sums with less rounding."""
    for before, layer in itertools.pairwise(net.features if isinstance(net, Vgg) else ()):
        if isinstance(layer, nn.BatchNorm2d) and before.in_channels > 3:
            before.weight.data *= torch.rand(before.weight.shape, generator=generator) < 1 / 8


class NearTie(Exception):
    """A choice that the noise of float32 may turn."""


class Settler:
    """Makes gradients comparable. Where a ReLU's input, or the lead of a pool's winner, is as small as the noise of float32,
    two right programs may choose differently, and gradients jump. So one pass through the network moves biases to where
    zero falls into a gap of each ReLU's inputs, by channel, and ends at a choice that is too near even then."""

    def __init__(self, net):
        self.bias, self.depth, self.hooks = None, 0, []
        plain = not any(is_norm(module) for module in net.modules())
        for name, module in net.named_modules():
            if "downsample" not in name and (is_norm(module) or plain and isinstance(module, nn.Conv2d)):
                self.hooks.append(module.register_forward_hook(self.remember))
            if isinstance(module, nn.ReLU):
                self.hooks.append(module.register_forward_pre_hook(self.shift))
            if isinstance(module, nn.MaxPool2d):
                self.hooks.append(module.register_forward_pre_hook(self.measure_pool))

    def remember(self, module, inputs, output):
        self.bias = module.bias.data
        self.depth += 1

    def check(self, margin):
        """Gives up where the margin of a choice, in units of a channel's deviation, is too small."""
        if not margin > 3e-6:
            raise NearTie

    def shift(self, module, inputs):
        z, zero = inputs[0], torch.zeros(())
        values = z.transpose(0, 1).flatten(1).sort(1).values
        deviation = values.std(1, unbiased=False, keepdim=True).clamp(min=1e-3)
        middle = (values[:, 1:] + values[:, :-1]) / 2
        gap = torch.where(middle.abs() <= deviation / 2, values[:, 1:] - values[:, :-1], zero)
        best = gap.argmax(1, keepdim=True)
        shift = torch.where(gap.gather(1, best) > 0, -middle.gather(1, best), zero)[:, 0]
        self.bias += shift
        z = z + shift[:, None, None]
        self.check(float((z.abs().amin((0, 2, 3)) / deviation[:, 0]).min()) / 30)  # deeper, so noisier
        return (z,)

    def measure_pool(self, pool, inputs):
        x = inputs[0]
        windows = nn.functional.unfold(x.flatten(0, 1)[:, None], pool.kernel_size, 1, pool.padding, pool.stride)
        best = windows.topk(2, 1).values
        lead = (best[:, 0] - best[:, 1])[best[:, 0] > 0]
        self.check(float(lead.min() / x.std()) / self.depth)  # each layer adds noise

    def close(self):
        for hook in self.hooks:
            hook.remove()


def settle(net, images):
    """Whether every choice is clear of the noise, once biases have moved."""
    settler = Settler(net)
    try:
        with torch.no_grad():
            net(images)
    except NearTie:
        return False
    finally:
        settler.close()
    return True


def batch(count, size, generator):
    """Pictures that differ as wholes: batch norm over few nearly equal ones would magnify rounding errors."""
    blocks = torch.randn((count, 3, 4, 4), generator=generator)
    images = nn.functional.interpolate(blocks, size=(size, size), mode="bilinear") + torch.randn((count, 3, size, size), generator=generator) / 2
    return images, torch.randint(0, CLASSES, (count,), generator=generator)


def settled(make, *arguments):
    """The first of the networks, with images, that make() gives on which every choice is clear of the noise after settling."""
    for _ in range(60):
        made = make(*arguments)
        if settle(*made[:2]):
            return made
    raise RuntimeError(f"{make.__name__}: near ties in each of 60 attempts")


def random_problem(net, count, size, generator, calm):
    """The network with random norms and biases, images, labels."""
    randomise(net, generator, calm)
    return net, *batch(count, size, generator)


def prepared(arch, norm, count, size, training, seed):
    """A network with random parameters, and a batch on which its gradients can be compared."""
    generator = torch.manual_seed(seed)  # the one that layers are initialised with
    net = network(arch, norm).train(training)
    if training:
        thin_out(net, generator)
    return settled(random_problem, net, count, size, generator, training)


def ours(net, images, labels, *variants):
    """What network_run finds for each of the variants, which are lists of arguments; maps as torch has them."""
    folder, found = scratch(), []
    weights, data, out = (folder / f"{name}.safetensors" for name in ("weights", "data", "out"))
    save_file({name: value.clone().contiguous() for name, value in tensors(net).items()}, weights)
    save_file({"images": images.permute(0, 2, 3, 1).contiguous(), "labels": labels.int()}, data)
    for arguments in variants:
        program("--weights", weights, "--data", data, "--out", out, *arguments)
        values = load_file(out)
        maps = {name: values[name].permute(0, 3, 1, 2) for name in ("C2", "C3", "C4", "C5")}
        found.append({**values, **maps})
        out.unlink()  # large networks, in memory
    shutil.rmtree(folder)
    return found


def theirs(net, images, labels):
    """The same of PyTorch, in the network's own precision, with the statistics after the pass."""
    net.zero_grad()
    outputs = net(images)
    loss = nn.functional.cross_entropy(outputs[-1], labels)
    loss.backward()
    found = dict(zip(("C2", "C3", "C4", "C5", "logits"), (output.detach() for output in outputs)), loss=loss.detach())
    found.update({f"gradient:{name}": value.clone() for name, value in gradients(net).items()})
    found.update({f"value:{name}": value.clone() for name, value in tensors(net).items()})
    return found


def error(found, expected, scale=None):
    """The largest difference, relative to the largest magnitude."""
    scale = expected if scale is None else scale
    return float((found.double().flatten() - expected.double().flatten()).abs().max() / scale.double().abs().max())
