"""Weight files against Python's safetensors, torchvision and timm, both ways.

    python3 tests/python/test_weight_files.py FOLDER-OF-THE-TOOLS [unittest's arguments]

Exits with 77 (skipped) without numpy and safetensors; what needs torch, torchvision or timm is skipped without them.
"""

import contextlib
import json
import math
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    import safetensors
    import safetensors.numpy
except ImportError:
    print("numpy or safetensors is missing: skipped")
    sys.exit(77)
try:
    import safetensors.torch
    import torch
    import torchvision
except ImportError:
    torch = torchvision = None
try:
    import timm
except ImportError:
    timm = None

BIN = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else "build/bin"
SEED = int(os.environ.get("JIGSAW_TEST_SEED") or random.randrange(1 << 30))
SCALE = float(os.environ.get("JIGSAW_TEST_SCALE") or 1)
NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
               "BOOL": "?"}
NEEDS_TORCH = unittest.skipUnless(torch, "torch or torchvision is missing")
NEEDS_TIMM = unittest.skipUnless(torch and timm, "torch or timm is missing")


def dump(*arguments):
    done = subprocess.run([os.path.join(BIN, "weights_dump"), *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return done.stdout.decode()


class FileTest(unittest.TestCase):
    def setUp(self):
        self.chance = random.Random(SEED)
        numpy.random.seed(SEED % 2**32)
        folder = tempfile.TemporaryDirectory(prefix="jigsaw-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)


class FormatTest(FileTest):
    def random_tensors(self):
        tensors = {}
        for index in range(self.chance.randrange(1, 14)):
            name, numpy_type = self.chance.choice(list(NUMPY_TYPES.items()))
            shape = [self.chance.randrange(0 if self.chance.random() < 0.1 else 1, 5)
                     for _ in range(self.chance.randrange(5))]
            values = numpy.asarray(numpy.random.standard_normal(shape) * 50).astype(numpy_type)
            tensors[f"layer.{index}.{name.lower()}" + self.chance.choice(["", "é", '"', "\\", " "])] = values
        return tensors

    def assert_read(self, path, tensors, metadata):
        """What we print of a file is what Python holds."""
        found, notes = {}, {}
        for line in dump("print", path).split("\n"):
            fields = line.split("\t")
            if fields[0] == "note":
                notes[fields[1]] = fields[2]
            elif fields[0] == "tensor":
                shape = [int(extent) for extent in fields[3].split(",") if extent]
                values = [float(value) for value in fields[4].split(",") if value]
                found[fields[1]] = (fields[2], shape, numpy.array(values, dtype=numpy.float32))
        self.assertEqual(notes, metadata or {})
        self.assertEqual(sorted(found), sorted(tensors))
        for name, values in tensors.items():
            dtype, shape, floats = found[name]
            self.assertEqual(NUMPY_TYPES[dtype].strip("<"), values.dtype.str.strip("<|").replace("b1", "?"))
            self.assertEqual(shape, list(values.shape))
            numpy.testing.assert_array_equal(floats, values.astype(numpy.float32).ravel())

    def test_both_ways(self):
        for _ in range(max(4, int(25 * SCALE))):
            tensors = self.random_tensors()
            metadata = self.chance.choice([None, {"format": "pt"}, {"a": "", "ü": 'x"\\', "n": "1"}])
            safetensors.numpy.save_file(tensors, self.path("theirs"), metadata=metadata)
            self.assert_read(self.path("theirs"), tensors, metadata)
            dump("copy", self.path("theirs"), self.path("ours"))
            with safetensors.safe_open(self.path("ours"), "np") as file:
                self.assertEqual(file.metadata(), metadata)
                self.assertEqual(sorted(file.keys()), sorted(tensors))
                for name, values in tensors.items():
                    found = file.get_tensor(name)
                    self.assertEqual((found.dtype, found.shape), (values.dtype, values.shape))
                    self.assertEqual(found.tobytes(), values.tobytes())

    @NEEDS_TORCH
    def test_half_types(self):
        tensors = {"half": torch.randn(3, 5).half(), "brain": torch.randn(7).bfloat16(), "scalar": torch.tensor(5)}
        safetensors.torch.save_file(tensors, self.path("theirs"))
        dump("copy", self.path("theirs"), self.path("ours"))
        ours = safetensors.torch.load_file(self.path("ours"))
        for name, values in tensors.items():
            self.assertTrue(torch.equal(ours[name], values) and ours[name].dtype == values.dtype)
        for line in dump("print", self.path("ours")).split("\n"):
            if line:
                _, name, _, _, floats = line.split("\t")
                floats = numpy.array([float(value) for value in floats.split(",")], dtype=numpy.float32)
                numpy.testing.assert_array_equal(floats, tensors[name].float().flatten().numpy())

    def damaged(self, text):
        """A header changed here and there, or where it matters."""
        kind = self.chance.randrange(4)
        if kind == 0:
            digits = [match.span() for match in re.finditer(r"\d+", text)]
            begin, end = self.chance.choice(digits)
            number = self.chance.choice(["0", "1", "2", "4", "8", "24", "1.0", "-0", "1e0", "99", "18446744073709551615",
                                         "9223372036854775807", "4611686018427387904", "null", '"1"', "[]", "01"])
            return text[:begin] + number + text[end:]
        if kind == 1:
            words = re.findall(r'"\w*"|[\[\]{},:]', text)
            return text.replace(self.chance.choice(words), self.chance.choice(words), self.chance.randrange(1, 3))
        for _ in range(self.chance.randrange(1, 4)):
            at = self.chance.randrange(len(text))
            text = text[:at] + self.chance.choice('{}[]",:019.-eE\\u \n\tFIé') + text[at + self.chance.randrange(2):]
        return text

    @staticmethod
    def seen_by_us(path):
        lines = [line.split("\t") for line in re.findall("^tensor\t.*$", dump("print", path), re.M)]
        return {name: (dtype, [int(extent) for extent in shape.split(",") if extent]) for _, name, dtype, shape, _ in lines}

    def test_no_less_strict(self):
        """What we accept the reference accepts, and sees the same in it."""
        count = max(200, int(3000 * SCALE))
        header = {"__metadata__": {"k": "v"}, "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                  "c": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
                  "d": {"dtype": "U8", "shape": [4, 0], "data_offsets": [32, 32]}}
        text, files = json.dumps(header), []
        for index in range(count):
            changed = self.damaged(text).encode()
            data = struct.pack("<Q", len(changed)) + changed + bytes(32)
            files.append(data)
            with open(self.path(f"{index:05}"), "wb") as file:
                file.write(data)
        verdicts = []
        for begin in range(0, count, 500):
            verdicts += dump("check", *(self.path(f"{i:05}") for i in range(begin, min(count, begin + 500)))).split("\n")[:-1]
        self.assertEqual(len(verdicts), count)
        ours = theirs = 0
        for index, (data, verdict) in enumerate(zip(files, verdicts)):
            try:
                seen = {name: (entry["dtype"], entry["shape"]) for name, entry in safetensors.deserialize(data)}
            except Exception:
                seen = None
            ours += verdict == "ok"
            theirs += seen is not None
            if verdict == "ok":
                self.assertIsNotNone(seen, data)
                if index % 4 == 0:
                    self.assertEqual(self.seen_by_us(self.path(f"{index:05}")), seen, data)
        print(f"of {count} damaged headers we accept {ours}, the reference {theirs}", file=sys.stderr)
        self.assertGreater(ours, 0)
        self.assertGreater(count - theirs, count // 2)


def expected_name(layout, name, group_norm):
    """The same translation once more, as its projects describe it."""
    if layout == "mmdetection":
        if group_norm:
            name = re.sub(r"\bbn(\d)\.", r"gn\1.", name)
        return "backbone." + name
    if layout == "detectron2":
        name = name if name.startswith("layer") else "stem." + name
        name = re.sub(r"^layer(\d)", lambda match: f"res{int(match[1]) + 1}", name)
        name = re.sub(r"bn(\d)", r"conv\1.norm", name)
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        return "backbone.bottom_up." + name
    return name


@contextlib.contextmanager
def uninitialised():
    """Models are made without the time that random initial values take."""
    makers = {name: getattr(torch.nn.init, name) for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_"}
    for name in makers:
        setattr(torch.nn.init, name, lambda values, *_, **__: values)
    try:
        yield
    finally:
        for name, maker in makers.items():
            setattr(torch.nn.init, name, maker)


@NEEDS_TORCH
class LayoutTest(FileTest):
    def model(self, arch, **options):
        """A model whose values are all random; of VGG's huge classifier only a token."""
        torch.manual_seed(SEED)
        with uninitialised():
            model = getattr(torchvision.models, arch)(**options)
        if hasattr(model, "classifier"):
            model.classifier = torch.nn.Linear(1, 1)
        state = {name: torch.rand(values.shape) * 0.1 + 0.01 if values.is_floating_point() else torch.randint(99, values.shape)
                 for name, values in model.state_dict().items()}
        model.load_state_dict(state)
        return model.eval()

    def export(self, model, arch, layout, classifier, dtype=None):
        """The model's weights through our library: (report, exported tensors)."""
        state = {name: values.to(dtype) if dtype and values.is_floating_point() else values.clone()
                 for name, values in model.state_dict().items()}
        safetensors.torch.save_file(state, self.path("theirs"))
        with open(self.path("parameters"), "w") as file:
            for name, values in state.items():
                if not name.startswith(classifier) or name == "fc.bias":
                    print(name, *values.shape, file=file)
        out = self.path("ours")
        report = dump("load", self.path("parameters"), self.path("theirs"), arch, layout, classifier, out)
        with safetensors.safe_open(out, "pt") as file:
            self.assertEqual(file.metadata(), {"arch": "any", "note": '"ü"\n'})
        return report, safetensors.torch.load_file(out)

    def assert_loads(self, make, exported, reference, classifier):
        """The exported weights fill all of the model but its classifier, and it computes the same features."""
        with uninitialised():
            model = make()
        with torch.no_grad():
            for values in model.state_dict().values():
                values.fill_(math.nan if values.is_floating_point() else -1)  # what is not filled shows
        missing, unexpected = model.load_state_dict(exported, strict=False)
        self.assertEqual(unexpected, [])
        self.assertTrue(missing and all(name.startswith(classifier) for name in missing), missing)
        images = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            self.assertTrue(torch.equal(self.features(model.eval(), images), self.features(reference, images)))

    @staticmethod
    def features(model, images):
        if hasattr(model, "features"):
            return model.features(images)
        stem = model.maxpool(torch.relu(model.bn1(model.conv1(images))))
        return model.layer4(model.layer3(model.layer2(model.layer1(stem))))

    def test_torchvision(self):
        for arch, classifier in (("resnet18", "fc."), ("resnet50", "fc."), ("vgg11_bn", "classifier.")):
            model = self.model(arch)
            report, exported = self.export(model, arch, "torchvision", classifier)
            extra = 1 if arch.startswith("res") else 2
            self.assertIn(f" 0 are missing, {extra} are extra, 0 have another shape", report)
            for name, values in exported.items():
                self.assertEqual(values.dtype, model.state_dict()[name].dtype)
                self.assertTrue(torch.equal(values, model.state_dict()[name]))
            self.assert_loads(getattr(torchvision.models, arch), exported, model, classifier)

    @NEEDS_TIMM
    def test_timm(self):
        for arch, classifier in (("resnet18", "fc."), ("resnet50", "fc."), ("vgg11_bn", "classifier.")):
            model = self.model(arch)
            _, exported = self.export(model, arch, "timm", classifier)
            self.assert_loads(lambda name=arch: timm.create_model(name), exported, model, ("fc.", "pre_logits.", "head."))

    @NEEDS_TIMM
    def test_timm_names(self):
        """Whatever we can export to timm has the same names and shapes there."""
        for arch in ("resnet34", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
                     "wide_resnet50_2", "vgg11", "vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg16_bn", "vgg19_bn"):
            with uninitialised():
                ours = getattr(torchvision.models, arch)(weights=None, **({} if arch[0] != "v" else {"init_weights": False}))
                theirs = timm.create_model(arch).state_dict()
            for name, values in ours.state_dict().items():
                if not name.startswith("classifier."):
                    self.assertEqual(theirs[name].shape, values.shape, f"{arch}: {name}")

    def test_other_layouts(self):
        group = {"norm_layer": lambda channels: torch.nn.GroupNorm(32, channels)}
        for arch, options in (("resnet18", {}), ("resnet50", {}), ("resnet18", group)):
            model = self.model(arch, **options)
            for layout in ("detectron2", "mmdetection"):
                _, exported = self.export(model, arch, layout, "fc.")
                expected = {expected_name(layout, name, bool(options)): values
                            for name, values in model.state_dict().items() if not name.startswith("fc.")}
                self.assertEqual(sorted(exported), sorted(expected))
                for name, values in expected.items():
                    self.assertTrue(torch.equal(exported[name], values), name)

    def test_types(self):
        model = self.model("resnet18")
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            report, exported = self.export(model, "resnet18", "torchvision", "fc.", dtype)
            self.assertIn("121 tensors matched", report)
            for name, values in exported.items():
                self.assertTrue(torch.equal(values, model.state_dict()[name].to(dtype).to(values.dtype)), name)

    def test_unknown(self):
        vgg = self.model("vgg11_bn")
        with self.assertRaisesRegex(RuntimeError, "'detectron2' has no vgg11_bn"):
            self.export(vgg, "vgg11_bn", "detectron2", "classifier.")
        resnet = self.model("resnet18")
        with self.assertRaisesRegex(RuntimeError, "'mmdetection' has no wide_resnet50_2"):
            self.export(resnet, "wide_resnet50_2", "mmdetection", "fc.")
        with self.assertRaisesRegex(RuntimeError, "fc.weight has no place in the layout 'detectron2'"):
            self.export(resnet, "resnet18", "detectron2", "nothing.")


class ForeignTest(FileTest):
    """What is no safetensors file is recognised; the line that is told makes one of it."""

    def refusal(self, name):
        with open(self.path("parameters"), "w") as file:
            print("conv1.weight 2 3\nbn1.bias 4", file=file)
        with self.assertRaises(RuntimeError) as caught:
            dump("load", self.path("parameters"), self.path(name), "resnet18", "torchvision", "fc.", self.path("out"))
        return str(caught.exception).strip()

    def check(self, name, tensors):
        message = self.refusal(name)
        self.assertIn(name.split("'")[0], message)
        self.assertNotIn("\n", message)
        line = message[message.index("python3 "):].replace("python3", sys.executable, 1)
        done = subprocess.run(line, shell=True, cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stderr}")
        made = self.path(name.rsplit(".", 1)[0] + ".safetensors")
        report = dump("load", self.path("parameters"), made, "resnet18", "torchvision", "fc.", self.path("out"))
        self.assertIn("2 tensors matched, 0 are missing", report)
        found = safetensors.numpy.load_file(self.path("out"))
        self.assertEqual(sorted(found), sorted(tensors))
        for key, values in tensors.items():
            numpy.testing.assert_array_equal(found[key], values)

    def tensors(self):
        return {"conv1.weight": numpy.random.random((2, 3)).astype("f4"), "bn1.bias": numpy.random.random(4).astype("f4")}

    def test_numpy(self):
        tensors = self.tensors()
        numpy.savez(self.path("some weights.npz"), **tensors)
        self.check("some weights.npz", tensors)
        for protocol in range(2, 6):
            with open(self.path("model.pkl"), "wb") as file:
                pickle.dump({"model": tensors, "__author__": "x"}, file, protocol=protocol)
            self.check("model.pkl", tensors)

    @NEEDS_TORCH
    def test_torch(self):
        tensors = self.tensors()
        state = {name: torch.from_numpy(values) for name, values in tensors.items()}
        for wrap in (lambda state: state, lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": state}):
            for new in (True, False):
                torch.save(wrap(state), self.path("it's.pth"), _use_new_zipfile_serialization=new)
                self.check("it's.pth", tensors)


if __name__ == "__main__":
    print(f"seed {SEED} (JIGSAW_TEST_SEED repeats it)", file=sys.stderr)
    unittest.main(verbosity=2)
