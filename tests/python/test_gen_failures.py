"""Disks that fill up, folders that cannot be written: exit status 1, a message that helps, nothing that looks finished;
and once there is room, the same command completes the work."""

import os
import shutil
import subprocess

import support

SCENES = support.scaled(60, 30)
NOBODY = 65534


def pages(size):
    return (size + 4095) // 4096 * 4096


class Mounted(support.ToolTest):
    """With a small tmpfs at self.disk, which takes root."""

    @classmethod
    def setUpClass(cls):
        cls.input = support.toy_arguments(SCENES)
        cls.store = support.scratch() / "store"
        done = support.run(*cls.input, "--out", cls.store)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        cls.expected = support.digest(cls.store)

    def setUp(self):
        self.disk = support.scratch()
        self.mount("size=64m")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)

    def mount(self, options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "jigsaw-test", self.disk], capture_output=True)
        if done.returncode != 0:
            self.skipTest("mounting a tmpfs takes root")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.disk], check=True)


class DiskFull(Mounted):
    def strike(self, size, workers):
        """Runs on a disk of `size` bytes; the path that did not fit, or None if all did. Then completes the work."""
        self.remount(f"size={size}")
        out = self.disk / "store"
        done = support.run(*self.input, "--out", out, "--workers", workers)
        message = done.stderr.strip().split("\n")[-1]
        if done.returncode != 0:
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(message, f"^jigsaw-gen: {self.disk}/store\\S*: cannot ")
            self.assertIn("No space left on device; free some space there or choose another folder", message)
            self.assertIn("run the same command again", message)
            self.assert_unfinished(out)
        self.remount("size=64m")
        self.succeed(*self.input, "--out", out)
        self.assert_same_store(out, self.expected)
        shutil.rmtree(out)
        return message.split(": ")[1] if done.returncode != 0 else None

    def test_disks_of_all_sizes(self):
        total = sum(pages(path.stat().st_size) for path in support.files(self.store))
        steps = support.scaled(16, 6)
        struck = []
        for step in range(steps):
            size = pages(4096 + (total - 4096) * step // steps)
            with self.subTest(size=size):
                struck.append(self.strike(size, workers=1 + step % 3))
        self.assertTrue(any(path and path.endswith(".tar") for path in struck), struck)
        self.assertTrue(any(path and "/jigsaws/" in path for path in struck), struck)

    def test_no_room_for_the_index(self):
        first = self.store / "shards" / "000000.tar"
        struck = []
        for more in range(4):  # run.json, the shard, and so many more pages
            size = 4096 + pages(first.stat().st_size) + 4096 * more
            with self.subTest(more=more):
                struck.append(self.strike(size, workers=1))
        self.assertIn(str(self.disk / "store" / "shards" / "000000.idx"), struck)

    def test_no_room_at_the_end(self):
        total = sum(pages(path.stat().st_size) for path in support.files(self.store))
        struck = []
        for less in range(8):
            with self.subTest(less=less):
                struck.append(self.strike(total - 4096 * less, workers=2))
        self.assertIn(str(self.disk / "store" / "jigsaws" / "annotations" / "instances.json"), struck)


class ReadOnly(Mounted):
    def test_a_new_folder(self):
        self.remount("ro")
        words = [self.disk / "new", "cannot create", "Read-only file system", "choose another folder"]
        self.refuse(*self.input, "--out", self.disk / "new", words=words)
        self.assertEqual(list(self.disk.iterdir()), [])

    def test_an_empty_folder(self):
        self.remount("ro")
        words = [self.disk / "run.json", "Read-only file system", "choose another folder"]
        self.refuse(*self.input, "--out", self.disk, words=words)

    def test_an_unfinished_store(self):
        out = self.disk / "store"
        shutil.copytree(self.store, out)
        (out / "DONE").unlink()
        (out / "shards" / "000000.idx").unlink()
        self.remount("ro")
        words = [out / "shards" / "000000.tar", "Read-only file system", "choose another folder"]
        self.refuse(*self.input, "--out", out, words=words)
        self.remount("rw")
        self.succeed(*self.input, "--out", out)
        self.assert_same_store(out, self.expected)

    def test_a_finished_store_can_be_checked_and_is_complete(self):
        out = self.disk / "store"
        shutil.copytree(self.store, out)
        self.remount("ro")
        self.assertIn("is whole", self.succeed("--check", out).stdout)
        self.assertIn("complete already", self.succeed(*self.input, "--out", out).stderr)


class Unwritable(support.ToolTest):
    def setUp(self):
        self.input = support.toy_arguments(SCENES)

    def test_below_a_file(self):
        file = support.scratch() / "file"
        file.write_text("mine")
        for out in file, file / "store", file / "a" / "b":
            with self.subTest(out=out):
                self.refuse(*self.input, "--out", out, words=[file, "Not a directory", "choose another folder"])
        self.assertEqual(file.read_text(), "mine")

    def test_of_another_user(self):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        folder = support.scratch()
        (folder / "empty").mkdir(mode=0o555)
        try:
            support.run("--version", **user)
        except (PermissionError, FileNotFoundError):
            self.skipTest("the tool lies where user nobody has no access")
        for out in folder / "empty", folder / "empty" / "store", folder / "empty" / "a" / "b":
            with self.subTest(out=out):
                self.refuse(*self.input, "--out", out, words=[out.parent, "Permission denied", "choose another folder"], **user)
        self.assertEqual(list((folder / "empty").iterdir()), [])

    def test_the_preview(self):
        """It comes last; what is wrong with it must be told first."""
        out, folder = support.scratch() / "store", support.scratch()
        nowhere = folder / "missing" / "preview.png"
        for words, arguments in (
            ([nowhere, "No such file", "check the path"], [nowhere]),
            ([folder, "not a regular file"], [folder]),
            (["choose a smaller --preview-count"], [folder / "a.png", "--preview-count", 400, "--template", "4096:64"]),
        ):
            with self.subTest(words=words):
                self.refuse(*self.input, "--out", out, "--overwrite", "--preview", *arguments, words=words)
                self.assertEqual([path.name for path in out.iterdir()], ["run.json"])
        self.assertEqual(list(folder.iterdir()), [])
        self.succeed(*self.input, "--out", out, "--overwrite", "--preview", out / "preview.png")
        self.assertIn(str(folder / "b.png"), self.succeed(*self.input, "--out", out, "--preview", folder / "b.png").stderr)


class Toy(support.ToolTest):
    def test_what_others_have_made_stays(self):
        for made in "images/000001.jpg", "annotations/instances.json", "notes.txt":
            folder = support.scratch()
            (folder / made).parent.mkdir(exist_ok=True)
            (folder / made).write_text("mine")
            for more in [], ["--overwrite"], ["--dry-run"]:
                with self.subTest(made=made, more=more):
                    if more == ["--dry-run"]:
                        self.succeed("--toy", 3, "--out", folder, *more)
                    else:
                        words = [folder, "not empty", "choose another folder"]
                        self.refuse("--toy", 3, "--out", folder, *more, words=words)
                    self.assertEqual([(path.name, path.read_text()) for path in support.files(folder)], [(made.split("/")[-1], "mine")])

    def test_dry_run_writes_nothing(self):
        out = support.scratch() / "toy"
        self.assertIn("3 scenes", self.succeed("--toy", 3, "--out", out, "--dry-run").stderr)
        self.assertFalse(out.exists())

    def test_the_same_command_goes_on(self):
        out = support.scratch() / "toy"
        self.succeed("--toy", 6, "--out", out)
        expected, before = support.digest(out), support.status(out)
        self.succeed("--toy", 6, "--out", out)
        self.assertEqual(support.status(out), before)
        (out / "DONE").unlink()
        (out / "images" / "000002.jpg").unlink()
        self.succeed("--toy", 6, "--out", out)
        self.assert_same_store(out, expected)
        self.refuse("--toy", 7, "--out", out, words=["--toy 6", "--toy 7", "--overwrite"])
        self.refuse("--toy", 6, "--seed", 1, "--out", out, words=["--seed 0", "--seed 1"])
        self.succeed("--toy", 3, "--out", out, "--overwrite")
        self.assertEqual(len(list((out / "images").iterdir())), 3)


if __name__ == "__main__":
    support.main()
