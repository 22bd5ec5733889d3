"""What can go wrong for jigsaw-pretrain: exit status 1 or 2, a message that helps, and nothing is lost."""

import json
import shutil
import struct
import subprocess

import support

OPTIONS = ["--arch", "resnet18", "--template", "64:32", "--batch", 4, "--iterations", 6, "--checkpoint-every", 2, "--erf-images",
           2, "--held-out-images", 8, "--held-out", 0.2, "--log-every", 1]


def safetensors(tensors):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Failures(support.ToolTest):
    tool = "jigsaw-pretrain"

    @classmethod
    def setUpClass(cls):
        cls.data = support.store(40)

    def setUp(self):
        self.out = support.scratch() / "run"

    def options(self, *more, data=None):
        return ["--data", data or self.data, "--out", self.out, *OPTIONS, *more]

    def copy_of_data(self):
        folder = support.scratch() / "store"
        shutil.copytree(self.data, folder)
        return folder


class Usage(Failures):
    def test_unknown_and_bad_options(self):
        for arguments, word in (
            (["--iteration", 5], "--iteration"),
            (["--arch", "resnet19"], "resnet18"),
            (["--objective", "best"], "--objective"),
            (["--batch", 0], "--batch"),
            (["--batch", "many"], "--batch"),
            (["--template", "64"], "--template"),
            (["--erf-every", 0], "--erf-every"),
            (["--tau", 2], "--tau"),
            (["--export", "keras"], "detectron2"),
            (["stray"], "stray"),
        ):
            with self.subTest(arguments=arguments):
                self.refuse(*self.options(*arguments), code=2, words=[word])
                self.assertFalse(self.out.exists())

    def test_data_and_out_are_needed(self):
        self.refuse("--out", self.out, code=2, words=["--data"])
        self.refuse("--data", self.data, code=2, words=["--out"])

    def test_help(self):
        done = self.succeed("--help")
        for option in ("--objective", "--erf-every", "--precision", "erf|block|global|classify"):
            self.assertIn(option, done.stdout)


class Data(Failures):
    def test_no_store(self):
        nowhere = support.scratch() / "nowhere"
        self.refuse(*self.options(data=nowhere), words=[nowhere])
        empty = support.scratch()
        self.refuse(*self.options(data=empty), words=[empty])

    def test_unfinished_store(self):
        folder = self.copy_of_data()
        (folder / "DONE").unlink()
        self.refuse(*self.options(data=folder), words=[folder])

    def test_batch_larger_than_the_data(self):
        self.refuse(*self.options("--batch", 5000), words=["--batch 5000", "larger than the data"])

    def test_template_off_the_grid(self):
        self.refuse(*self.options("--template", "64:20"), words=["64:20", "32"])
        self.refuse(*self.options("--template", "80:32"), words=["80 x 80", "32"])

    def test_one_class(self):
        folder = support.scratch() / "classes"
        for i in range(4):
            (folder / "only").mkdir(parents=True, exist_ok=True)
            shutil.copy(next((support.toy(40) / "images").iterdir()), folder / "only" / f"{i}.jpg")
        self.refuse(*self.options("--objective", "classify", data=folder), words=["class"])

    def test_corrupt_shard(self):
        folder = self.copy_of_data()
        for shard in (folder / "shards").glob("*.tar"):
            content = bytearray(shard.read_bytes())
            for i in range(2000, len(content), 40):
                content[i] = 0x55
            shard.write_bytes(content)
        message = self.refuse(*self.options(data=folder))
        self.assertRegex(message, "--check.*sample [0-9]+: JPEG")
        shard.write_bytes(b"")
        self.refuse(*self.options(data=folder, *["--seed", 1]))

    def test_other_data_in_the_same_run(self):
        self.succeed(*self.options())
        (self.out / "DONE").unlink()
        self.refuse(*self.options(data=support.store(41)), words=["--data", "--overwrite"])
        self.refuse(*self.options("--lr", 0.5), words=["--lr", "--overwrite"])
        self.succeed(*self.options(data=support.store(41), *["--overwrite"]))

    def test_a_run_keeps_its_options_and_its_length(self):
        """The message says how to go on from its weights; it can be followed."""
        self.succeed(*self.options())
        checkpoint = self.out / "checkpoints" / "000000006.safetensors"
        self.refuse(*self.options("--batch", 8), words=["--batch 4", "--batch 8", f"--init {checkpoint} --out"])
        self.refuse(*self.options("--iterations", 9), words=["--iterations 6", "--iterations 9", f"--init {checkpoint} --out"])
        run, self.out = self.out, support.scratch() / "run"
        done = self.succeed(*self.options("--iterations", 2, "--init", checkpoint))
        self.assertIn("0 are missing", done.stderr)
        (self.out / "DONE").unlink()
        self.refuse(*self.options("--iterations", 2), words=["with --init, not without --init"])
        self.refuse(*self.options("--iterations", 2, "--init", run / "backbone.safetensors"), words=["other contents of --init"])

    def test_folder_of_other_things(self):
        self.out.mkdir()
        (self.out / "thesis.txt").write_text("mine")
        self.refuse(*self.options(), words=["thesis.txt"])
        self.assertEqual((self.out / "thesis.txt").read_text(), "mine")


class Numbers(Failures):
    def test_loss_that_is_no_number(self):
        self.succeed(*self.options("--iterations", 2, "--lr", 1e-3))
        out = self.out
        self.out = support.scratch() / "run"
        message = self.refuse(*self.options("--lr", 1e6, "--warmup", 0, "--iterations", 50, "--precision", "f32"))
        self.assertRegex(message, "iteration [0-9]+")
        self.assertRegex(message, "--out ANOTHER.*--lr")
        checkpoints = sorted((self.out / "checkpoints").glob("*.safetensors"))
        if checkpoints:
            self.assertIn(f"--init {checkpoints[-1]}", message)
        for checkpoint in (self.out / "checkpoints").glob("*.safetensors"):
            self.assertNotIn(b"NaN", checkpoint.read_bytes()[:100000])
        self.assertFalse((self.out / "DONE").exists())
        self.assertTrue((out / "DONE").exists())


class Init(Failures):
    def test_hostile_files(self):
        path = support.scratch() / "weights.safetensors"
        weight = ("F32", [64, 3, 7, 7], bytes(64 * 3 * 7 * 7 * 4))
        for content, words in (
            (b"", []),
            (b"\xff" * 8, ["header"]),
            (struct.pack("<Q", 10) + b"{", []),
            (struct.pack("<Q", 2) + b"[]", []),
            (safetensors({"conv1.weight": ("F32", [64, 3, 7], weight[2])}), ["conv1.weight"]),
            (safetensors({"conv1.weight": ("F32", [2**40, 2**40, 2**40], weight[2])}), ["conv1.weight"]),
        ):
            path.write_bytes(content)
            with self.subTest(content=content[:40]):
                self.refuse(*self.options("--init", path), words=[path, *words])

    def test_weights_that_do_not_fit(self):
        path = support.scratch() / "weights.safetensors"
        path.write_bytes(safetensors({
            "conv1.weight": ("F32", [64, 3, 7, 7], bytes(64 * 3 * 7 * 7 * 4)),
            "bn1.weight": ("F32", [32], bytes(128)),
            "other": ("F32", [1], bytes(4)),
        }))
        done = support.run(*self.options("--init", path), tool=self.tool)
        self.assertEqual(done.returncode, 1)
        for word in ("--init-partial", "missing", "layer1.0.conv1.weight", "other", "bn1.weight"):
            self.assertIn(word, done.stderr)
        shutil.rmtree(self.out, ignore_errors=True)
        self.succeed(*self.options("--init", path, "--init-partial"))

    def test_backbone_of_an_earlier_run(self):
        self.succeed(*self.options())
        backbone = self.out / "backbone.safetensors"
        for layout in ("timm", "detectron2", "mmdetection"):
            done = self.succeed("--out", self.out, "--export", layout)
            self.assertIn(layout, done.stderr)
            self.assertTrue((self.out / f"backbone.{layout}.safetensors").exists())
        self.out = support.scratch() / "run"
        self.succeed(*self.options("--init", backbone, "--probe"))
        old, new = backbone.read_bytes(), (self.out / "backbone.safetensors").read_bytes()
        size = struct.unpack("<Q", old[:8])[0], struct.unpack("<Q", new[:8])[0]
        self.assertEqual(old[8 + size[0] :], new[8 + size[1] :])  # a probe leaves the backbone as it is


class DiskFull(Failures):
    def test_full_disk_keeps_the_last_checkpoint(self):
        disk = support.scratch()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "jigsaw-test", disk], capture_output=True).returncode:
            self.skipTest("mounting a tmpfs takes root")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        reference = self.out
        self.succeed(*self.options())
        self.out = disk / "run"
        # a checkpoint of resnet18 takes 90 MB: there is room for one and a half
        subprocess.run(["mount", "-o", "remount,size=140m", disk], check=True)
        message = self.refuse(*self.options())
        self.assertIn("No space left on device", message)
        self.assertEqual(len(list((self.out / "checkpoints").glob("*.safetensors"))), 1)
        subprocess.run(["mount", "-o", "remount,size=400m", disk], check=True)
        done = self.succeed(*self.options())
        self.assertIn("going on after iteration 2", done.stderr)
        self.assertEqual((self.out / "backbone.safetensors").read_bytes(), (reference / "backbone.safetensors").read_bytes())


if __name__ == "__main__":
    support.main()
