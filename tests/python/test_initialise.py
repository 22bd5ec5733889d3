"""Initial values of parameters: every bit against the description at the top of nn/initialise.c, written again in numpy, and
their distributions against torch.nn.init's.

    python3 tests/python/test_initialise.py FOLDER-OF-THE-TOOLS
"""

import math
import unittest

from network_support import CLASSES, load_file, network, numpy, program, tensors, torch
from support import SEED, main, scratch

WORD = 2**64 - 1


def xxh64(data):
    """XXH64 of seed 0, from its specification."""
    p1, p2, p3, p4, p5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & WORD

    def lane(sum_, word):
        return rotate((sum_ + word * p2) & WORD, 31) * p1 & WORD

    at, size = 0, len(data)
    if size >= 32:
        sums = [(p1 + p2) & WORD, p2, 0, -p1 & WORD]
        for at in range(0, size - 31, 32):
            sums = [lane(s, int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")) for i, s in enumerate(sums)]
        at += 32
        value = sum(rotate(s, bits) for s, bits in zip(sums, (1, 7, 12, 18))) & WORD
        for s in sums:
            value = ((value ^ lane(0, s)) * p1 + p4) & WORD
    else:
        value = p5
    value = (value + size) & WORD
    while at + 8 <= size:
        value = (rotate(value ^ lane(0, int.from_bytes(data[at : at + 8], "little")), 27) * p1 + p4) & WORD
        at += 8
    if at + 4 <= size:
        value = (rotate(value ^ int.from_bytes(data[at : at + 4], "little") * p1 & WORD, 23) * p2 + p3) & WORD
        at += 4
    for byte in data[at:]:
        value = rotate(value ^ byte * p5 & WORD, 11) * p1 & WORD
    for shift, prime in ((33, p2), (29, p3), (32, 1)):
        value = (value ^ value >> shift) * prime & WORD
    return value


def philox(seed, purpose, index, blocks):
    """Philox4x32-10 for counters (0 .. blocks - 1, purpose, index), as one row of words."""
    low, half = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)
    counter = [numpy.arange(blocks, dtype=numpy.uint64)]
    counter += [numpy.full(blocks, word, numpy.uint64) for word in (purpose << 24, index & 0xFFFFFFFF, index >> 32)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = counter[0] * numpy.uint64(0xD2511F53), counter[2] * numpy.uint64(0xCD9E8D57)
        counter = [b >> half ^ counter[1] ^ numpy.uint64(key[0]), b & low, a >> half ^ counter[3] ^ numpy.uint64(key[1]), a & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return numpy.stack(counter, 1).reshape(-1)


def uniforms(seed, name, count):
    words = philox(seed, 6, xxh64(name.encode()), (count + 1) // 2)
    high, low = words[0::2] >> numpy.uint64(5), words[1::2] >> numpy.uint64(6)
    return ((high << numpy.uint64(26)) + low).astype(numpy.float64) * 2.0**-53


def uniform(seed, name, count, bound):
    return (bound * (2 * uniforms(seed, name, count)[:count] - 1)).astype(numpy.float32)


def normal(seed, name, count, deviation):
    """Python's logarithm, sine and cosine are the C library's; numpy's own may differ in a double's last bits."""
    u = uniforms(seed, name, count).tolist()
    values = []
    for a, b in zip(u[0::2], u[1::2]):
        scale, angle = deviation * math.sqrt(-2 * math.log(1 - a)), 6.283185307179586 * b
        values += [scale * math.cos(angle), scale * math.sin(angle)]
    return numpy.array(values[:count], numpy.float64).astype(numpy.float32)


class InitialiseTest(unittest.TestCase):
    def values(self, seed, *arguments):
        out = scratch() / "values.safetensors"
        program("--seed", seed, "--out", out, *arguments)
        return {name.removeprefix("value:"): value.numpy() for name, value in load_file(out).items()}

    def check(self, values, name, expected):
        found = values[name].reshape(-1)
        wrong = int((found.view(numpy.uint32) != expected.view(numpy.uint32)).sum())
        self.assertEqual(wrong, 0, f"seed {SEED}: {wrong} of {found.size} values of {name} differ")

    def test_xxh64(self):
        """The published answers for the empty string and one that takes every path."""
        self.assertEqual(xxh64(b""), 0xEF46DB3751D8E999)
        self.assertEqual(xxh64(b"abc"), 0x44BC2CF5AD770999)
        self.assertEqual(xxh64(b"Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1)

    def test_every_bit(self):
        """The seeds have bits above the 32nd. Equal bits: see normal(); a C library of another machine could at most
        differ in a float's last bit, and then in a few of a billion values."""
        seed = SEED << 20 ^ 0x5EED
        values = self.values(seed, "--arch", "resnet18")
        for name, value in values.items():
            if value.ndim == 4 and value.size < 200000:
                fan_out = value.shape[0] * value.shape[2] * value.shape[3]
                self.check(values, name, normal(seed, name, value.size, math.sqrt(2 / fan_out)))
        self.check(values, "fc.weight", uniform(seed, "fc.weight", 512 * CLASSES, 1 / math.sqrt(512)))
        self.check(values, "fc.bias", uniform(seed, "fc.bias", CLASSES, 1 / math.sqrt(512)))
        for kind, expected in (("normal", normal(seed, "fc.weight", 5120, 0.01)), ("uniform", uniform(seed, "fc.weight", 5120, 0.05))):
            self.check(self.values(seed, "--arch", "resnet18", "--classifier", kind), "fc.weight", expected)

    def test_distributions(self):
        """Name by name as torchvision begins: shapes; bounds; mean and deviation within 5 of their own deviations."""
        for arch, norm in (("resnet50", "bn"), ("resnext50_32x4d", "gn"), ("vgg11_bn", "bn")):
            values = self.values(SEED, "--arch", arch, "--norm", norm)
            theirs = tensors(network(arch, norm))
            self.assertEqual(sorted(values), sorted(theirs))
            for name, value in values.items():
                value, other = torch.from_numpy(value).double(), theirs[name].double()
                self.assertEqual(value.shape, other.shape, name)
                if other.numel() < 100:
                    continue
                if other.std() == 0:
                    self.assertTrue(torch.equal(value, other), name)
                    continue
                spread = 5 * other.std() / math.sqrt(other.numel())
                self.assertLess(abs(value.mean() - other.mean()), 2 * spread, name)
                self.assertLess(abs(value.std() - other.std()), 2 * spread, name)
                if name.endswith(("fc.weight", "classifier.weight")):
                    bound = 1 / math.sqrt(value.shape[1])
                    self.assertLessEqual(value.abs().max(), bound)
                    self.assertGreater(value.abs().max(), 0.99 * bound)
                    self.assertLessEqual(other.abs().max(), bound)

    def test_zero_init_residual(self):
        values = self.values(SEED, "--arch", "resnet50", "--zero-init-residual")
        for name, value in values.items():
            if name.endswith("bn3.weight"):
                self.assertTrue((value == 0).all(), name)
            elif "bn" in name and name.endswith("weight"):
                self.assertTrue((value == 1).all(), name)

    def test_names_and_seeds_matter(self):
        first, again, other = (self.values(seed, "--arch", "resnet18") for seed in (SEED, SEED, SEED + 1))
        self.assertTrue(all((first[name] == again[name]).all() for name in first))
        self.assertFalse((first["conv1.weight"] == other["conv1.weight"]).any())
        self.assertFalse((first["layer1.0.conv1.weight"] == first["layer1.0.conv2.weight"]).any())


if __name__ == "__main__":
    main()
