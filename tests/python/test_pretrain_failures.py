"""What can go wrong for jigsaw-pretrain: exit status 1 or 2, a message that helps, and nothing is lost."""

import json
import shutil
import signal
import struct
import subprocess
import time

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


    def test_full_device(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([support.BIN / self.tool, "--help"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


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

    def test_few_data(self):
        """What is too little to divide, or for a batch, is trained with whole; what was asked for is not passed over."""
        folder = support.scratch()
        done = support.run(*support.toy_arguments(2), "--out", folder / "store", "--jigsaws", 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        few = self.options("--iterations", 1, data=folder / "store")
        few = [option for option in few if option not in ("--held-out", 0.2)]
        done = self.succeed(*few, "--batch", 64)
        self.assertIn("nothing is held out", done.stderr)
        self.assertIn("a batch is larger than the data", done.stderr)
        record = json.loads((self.out / "run.json").read_text())
        self.assertEqual(record["options"]["held-out"], 0)
        self.out = support.scratch() / "run"
        self.refuse(*self.options("--held-out", 0.01, data=folder / "store"), words=["--held-out 0.01", "--held-out 0 "])

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


class BrokenPictures(Failures):
    """Of class folders and of written jigsaws: told before anything is done, or left out, for as long as the run lasts."""

    def setUp(self):
        super().setUp()
        self.pictures = support.scratch() / "classes"
        for i, path in enumerate(sorted((support.toy(40) / "images").iterdir())):
            folder = self.pictures / ("ab"[i % 2])
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
        self.first, self.second = sorted((self.pictures / "a").iterdir())[3:5]
        self.whole = self.first.read_bytes()
        self.first.write_bytes(self.whole[: len(self.whole) // 2])
        self.second.write_bytes(b"")

    def command(self, *more):
        return self.options("--objective", "classify", "--erf-every", 0, *more, data=self.pictures)

    def test_too_many(self):
        message = self.refuse(*self.command(), words=["2 of 40", "--max-bad", self.first])
        self.assertFalse(self.out.exists(), message)
        done = support.run(*self.command(), tool=self.tool)
        self.assertIn(f"broken: {self.second}: ", done.stderr)
        self.first.unlink()
        self.second.unlink()
        self.succeed(*self.command("--iterations", 1))

    def test_left_out(self):
        reference = self.out
        done = self.succeed(*self.command("--max-bad", 5))
        self.assertIn("2 broken pictures are left out", done.stderr)
        listed = (reference / "broken.txt").read_text().splitlines()
        self.assertEqual([line.split("  ")[1].split(":")[0] for line in listed], [str(self.first), str(self.second)])
        self.assertEqual(json.loads((reference / "run.json").read_text())["images_broken"], 2)

        self.out = support.scratch() / "run"
        process = support.start(*self.command("--max-bad", 5, "--checkpoint-every", 1), tool=self.tool)
        while not list((self.out / "checkpoints").glob("*.safetensors")):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.first.write_bytes(self.whole)  # mended, and removed: neither is an obstacle, nor changes the result
        self.second.unlink()
        done = self.succeed(*self.command("--max-bad", 5, "--checkpoint-every", 1))
        self.assertIn("going on after iteration", done.stderr)
        self.assertIn("mended or not", done.stderr)
        for name in ("backbone.safetensors", "broken.txt"):
            self.assertEqual((self.out / name).read_bytes(), (reference / name).read_bytes())
        next((self.pictures / "b").iterdir()).write_bytes(self.whole)  # other data are other data
        (self.out / "DONE").unlink()
        self.refuse(*self.command("--max-bad", 5, "--checkpoint-every", 1), words=["other contents of --data"])

    def test_written_jigsaws(self):
        store = support.scratch() / "store"
        done = support.run(*support.toy_arguments(40), "--out", store, "--template", "64:32", "--jigsaws", 30)
        self.assertEqual(done.returncode, 0, done.stderr)
        first, second = sorted((store / "jigsaws" / "images").rglob("*.jpg"))[4:6]
        first.unlink()
        second.write_bytes(second.read_bytes()[:300])
        self.refuse(*self.options(data=store / "jigsaws"), words=["2 of 30", first])
        self.succeed(*self.options("--max-bad", 7, "--iterations", 1, data=store / "jigsaws"))


class Unset(Failures):
    """No value that can be given means "choose for me", but auto."""

    def record(self, *more):
        self.out = support.scratch() / "run"
        done = self.succeed(*self.options("--iterations", 1, "--erf-every", 0, "--objective", "block", *more))
        return done, json.loads((self.out / "run.json").read_text())

    def test_zero_is_zero(self):
        done, record = self.record("--lr", 0.1, "--lr-start", 0, "--warmup", 1, "--evaluate-every", 0, "--log-every", 0,
                                   "--checkpoint-every", 0, "--checkpoint-minutes", 0)
        self.assertEqual(record["lr_start"], 0)
        self.assertEqual(record["lr"], 0.1)
        self.assertNotIn("held_out", record)
        self.assertNotIn("\niteration ", done.stderr)
        done, record = self.record("--lr", "auto", "--lr-start", "auto", "--warmup", 0)
        self.assertEqual([record["lr"], record["lr_start"], record["warmup"]], [0.8 * 4 / 512, 0.8 * 4 / 512 / 4, 0])
        for option in ("--threads", "--workers", "--iterations"):
            self.refuse(*self.options(option, 0), code=2, words=[option, "auto"])

    def test_no_norm(self):
        self.refuse(*self.options("--norm", "none"), words=["--norm", "resnet18", "gn"])
        self.refuse(*self.options("--norm", "bn", "--arch", "vgg11"), words=["--norm", "vgg11_bn"])
        done, _ = self.record("--norm", "none", "--arch", "vgg11")
        self.assertIn("vgg11, no norm", done.stderr)
        names = json.loads((self.out / "backbone.safetensors").read_bytes()[8:20000].decode("latin-1").split("}}")[0] + "}}")
        self.assertFalse([name for name in names if "running_mean" in name])

    def test_epochs_are_counted_on_all_data(self):
        """What is held out does not make the recipe shorter."""
        done, record = self.record("--iterations", "auto", "--epochs", 1, "--held-out", 0.3, "--batch", 8)
        store = json.loads((self.data / "dataset.json").read_text())
        self.assertAlmostEqual(record["iterations"], store["samples"] / 4 / 8, delta=1.01)
        self.assertAlmostEqual(record["epochs"], 1, delta=0.2)


class Kept(Failures):
    def test_checkpoints_by_time_and_the_curve_of_a_stopped_run(self):
        command = self.options("--iterations", 10000, "--checkpoint-every", 0, "--checkpoint-minutes", 0.0001, "--evaluate-every", 0)
        process = support.start(*command, tool=self.tool)
        while not list((self.out / "checkpoints").glob("*.safetensors")):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(120), 3)
        self.assertIn("<svg", (self.out / "loss.svg").read_text())


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

    def test_nothing_fits(self):
        """Neither with --init-partial does a run begin at random without a word."""
        path = support.scratch() / "weights.safetensors"
        path.write_bytes(safetensors({"trunk.weight": ("F32", [1], bytes(4)), "fc.bias": ("F32", [25], bytes(100))}))
        for more in ([], ["--init-partial"]):
            self.refuse(*self.options("--init", path, *more), words=["nothing for the backbone of resnet18", "trunk.weight", "conv1.weight"])
        path.write_bytes(safetensors({"module.conv1.weight": ("F32", [64, 3, 7, 7], b"\0\0\xc0\x7f" * (64 * 3 * 7 * 7))}))
        self.refuse(*self.options("--init", path, "--init-partial"), words=["finite"])
        path.write_bytes(safetensors({"module.conv1.weight": ("F32", [64, 3, 7, 7], bytes(4 * 64 * 3 * 7 * 7))}))
        self.refuse(*self.options("--init", path), words=["--init-partial", 'behind "module."'])
        self.assertFalse(self.out.exists())

    def test_other_things(self):
        folder = support.scratch()
        for name, content, word in (("a.pth", b"PK\3\4" + bytes(40), "torch.load"), ("b.html", b"<html>", "web page"), ("c", b"", "empty")):
            (folder / name).write_bytes(content)
            self.refuse(*self.options("--init", folder / name), words=["--init", name, word])
        (folder / "backbone.safetensors").write_bytes(b"")
        self.refuse(*self.options("--init", folder), words=["is a folder: give", folder / "backbone.safetensors"])

    def test_backbone_of_an_earlier_run(self):
        self.succeed(*self.options())
        backbone = self.out / "backbone.safetensors"
        for layout in ("timm", "detectron2", "mmdetection"):
            done = self.succeed("--out", self.out, "--export", layout)
            self.assertIn(layout, done.stderr)
            self.assertTrue((self.out / f"backbone.{layout}.safetensors").exists())
        run = self.out
        exported = ["backbone.detectron2.safetensors", "backbone.mmdetection.safetensors"]
        for init in ["backbone.safetensors", "checkpoints/000000006.safetensors", *exported]:
            self.out = support.scratch() / "run"
            done = self.succeed(*self.options("--init", run / init, "--probe"))
            self.assertIn("0 are extra, 0 have another shape", done.stderr)
            old, new = backbone.read_bytes(), (self.out / "backbone.safetensors").read_bytes()
            size = struct.unpack("<Q", old[:8])[0], struct.unpack("<Q", new[:8])[0]
            self.assertEqual(old[8 + size[0] :], new[8 + size[1] :], init)  # a probe leaves the backbone as it is


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
