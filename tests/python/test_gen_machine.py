"""What the machine does says nothing about the pictures: out of descriptors, memory or permissions, a run ends with a
message, and the same command goes on. And what else lies about on machines: FIFOs, full devices, names with controls."""

import json
import os
import resource
import shutil
import subprocess

import support

SCENES = 40
NOBODY = 65534


def limited(which, amount):
    """For preexec_fn: the tool may have no more than this."""

    def apply():
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (amount, hard))

    return apply


class Machine(support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.input = support.toy_arguments(SCENES)
        cls.expected = support.digest(support.store(SCENES))

    def strike(self, which, amount, words, workers=2):
        """Runs under a limit. True if it fails, which may only be in the machine's name; then completes the work."""
        out = support.scratch() / "store"
        done = support.run(*self.input, "--out", out, "--jigsaws", 0, "--workers", workers, preexec_fn=limited(which, amount))
        if done.returncode == 0:
            self.assert_same_store(out, self.expected)
            return False
        self.assertEqual(done.returncode, 1, done.stderr)
        message = done.stderr.strip().split("\n")[-1]
        self.assertTrue(any(word in message for word in words), message)
        self.assertNotIn("broken", message)
        if ".jpg" in message:
            self.assertIn("no fault of the picture", message)
            self.assertIn("the same command takes the work up again", message)
        self.succeed(*self.input, "--out", out, "--jigsaws", 0)
        self.assert_same_store(out, self.expected)
        return ".jpg" in message

    def test_descriptors(self):
        """One after the other, whatever opens fails for want of them: the pictures, too."""
        struck = [self.strike(resource.RLIMIT_NOFILE, amount, ["Too many open files"]) for amount in range(4, 12)]
        self.assertIn(True, struck)

    def test_memory(self):
        probe = support.run("--version", preexec_fn=limited(resource.RLIMIT_AS, 100 << 20))
        if probe.returncode != 0:
            self.skipTest("sanitizers take terabytes of addresses")
        for megabytes in range(6, 60, 3):
            with self.subTest(megabytes=megabytes):
                out = support.scratch() / "store"
                done = support.run(
                    *self.input, "--out", out, "--jigsaws", 0, "--workers", 1, preexec_fn=limited(resource.RLIMIT_AS, megabytes << 20)
                )
                if done.returncode == 127:
                    continue  # not even the libraries fit
                if done.returncode == 0:
                    self.assert_same_store(out, self.expected)
                    break
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("memory", done.stderr)
                self.assertNotIn("broken", done.stderr)
                self.succeed(*self.input, "--out", out, "--jigsaws", 0)
                self.assert_same_store(out, self.expected)

    def test_permissions(self):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        folder = support.scratch()
        folder.chmod(0o777)
        images = folder / "images"
        shutil.copytree(support.toy(SCENES) / "images", images)
        picture = sorted(images.iterdir())[7]
        picture.chmod(0)
        try:
            support.run("--version", **user)
        except (PermissionError, FileNotFoundError):
            self.skipTest("the tool lies where user nobody has no access")
        arguments = [*self.input[:2], "--images", images, "--out", folder / "store", "--jigsaws", 0, "--max-bad", 100]
        self.refuse(*arguments, words=[picture, "Permission denied", "no fault of the picture"], **user)
        picture.chmod(0o644)
        self.succeed(*arguments, **user)
        self.assert_same_store(folder / "store", self.expected)


class OddFiles(support.ToolTest):
    def setUp(self):
        self.folder = support.scratch()
        self.images = self.folder / "images"
        shutil.copytree(support.toy(SCENES) / "images", self.images)
        self.picture = sorted(self.images.iterdir())[3]
        self.annotations = support.toy(SCENES) / "annotations" / "instances.json"

    def test_a_fifo_among_the_pictures(self):
        self.picture.unlink()
        os.mkfifo(self.picture)
        arguments = ["--annotations", self.annotations, "--images", self.images, "--max-bad", 10]
        for more in ["--dry-run"], ["--out", self.folder / "store", "--jigsaws", 0]:
            done = self.succeed(*arguments, *more, timeout=60)
            self.assertIn(f"{self.picture}: not a regular file", done.stdout)

    def test_a_fifo_for_annotations(self):
        fifo = self.folder / "instances.json"
        os.mkfifo(fifo)
        self.refuse("--annotations", fifo, "--images", self.images, "--dry-run", words=[fifo], timeout=60)

    def test_controls_never_reach_the_terminal(self):
        evil = "\u009b31mred\u202egpj.\u2066x\u0085\x1b]0;title\x07.jpg"
        self.picture.rename(self.images / evil)
        document = json.loads(self.annotations.read_text())
        document["images"][3]["file_name"] = evil
        document["categories"][0]["name"] = "cat\u009b\u202e"
        (self.images / evil).write_bytes(b"no picture")
        annotations = self.folder / "\u009bx.json"
        annotations.write_text(json.dumps(document))
        out = self.folder / "store\u0090"
        arguments = ["--annotations", annotations, "--images", self.images, "--max-bad", 10, "--out", out]
        outputs = [self.succeed(*arguments), self.succeed(*arguments), self.succeed("--check", out)]
        outputs.append(support.run(*arguments, "--seed", 3))
        outputs.append(support.run("--annotations", out, "--out", out))
        self.assertIn("not a picture", outputs[0].stdout)
        for done in outputs:
            for letter in done.stdout + done.stderr:
                self.assertFalse(0x7F <= ord(letter) < 0xA0 or ord(letter) < 0x20 and letter != "\n", repr(done))
                self.assertNotIn(letter, "\u202e\u2066")

    def test_output_that_gets_nowhere(self):
        with open("/dev/full", "w") as full:
            for arguments in (
                ["--help"],
                ["--version"],
                ["--annotations", self.annotations, "--images", self.images, "--dry-run"],
                ["--check", support.store(SCENES)],
            ):
                for tool in ("jigsaw-gen", "jigsaw-pretrain") if len(arguments) == 1 else ("jigsaw-gen",):
                    with self.subTest(arguments=arguments, tool=tool):
                        command = [support.BIN / tool, *map(str, arguments)]
                        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
                        self.assertEqual(done.returncode, 1, done.stderr)
                        self.assertIn("standard output: not all could be written", done.stderr)
        closed = lambda: os.close(1)
        done = subprocess.run([support.BIN / "jigsaw-gen", "--version"], preexec_fn=closed, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        out = self.folder / "store"
        arguments = ["--annotations", self.annotations, "--images", self.images, "--out", out, "--quiet", "--jigsaws", 0]
        done = subprocess.run([support.BIN / "jigsaw-gen", *map(str, arguments)], preexec_fn=closed)
        self.assertEqual(done.returncode, 0)  # nothing was to be printed


if __name__ == "__main__":
    support.main()
