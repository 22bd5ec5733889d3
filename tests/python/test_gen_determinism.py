"""The same command gives the same bytes, however it gets there: any number of workers, killed at any moment, resumed."""

import functools
import hashlib
import shutil
import signal
import struct
import subprocess
import sys
import time

import support

SCENES = support.scaled(300, 40)
KILLS = support.scaled(50, 5)


@functools.cache
def reference():
    """An uninterrupted run: the store, its digest, and how long it took."""
    folder = support.scratch() / "store"
    started = time.monotonic()
    done = support.run(*support.toy_arguments(SCENES), "--out", folder, "--workers", 2)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return folder, support.digest(folder), time.monotonic() - started


class Reference(support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.input = support.toy_arguments(SCENES)
        cls.folder, cls.expected, cls.seconds = reference()

    def make(self, *more, out=None):
        out = out or support.scratch() / "store"
        self.succeed(*self.input, "--out", out, *more)
        return out


class Workers(Reference):
    def test_any_number_of_workers_gives_the_same_bytes(self):
        for workers in 1, 7:
            with self.subTest(workers=workers):
                self.assert_same_store(self.make("--workers", workers), self.expected)

    def test_another_seed_gives_other_samples_and_jigsaws(self):
        other = support.digest(self.make("--seed", 1))
        same = {path for path in other if other[path] == self.expected.get(path)}
        self.assertEqual(same, {"DONE"})

    def test_a_store_passes_its_check(self):
        done = self.succeed("--check", self.folder)
        self.assertIn("is whole", done.stdout)


class Again(Reference):
    def test_a_finished_store_is_left_alone(self):
        before = support.status(self.folder)
        done = self.succeed(*self.input, "--out", self.folder)
        self.assertIn("complete already", done.stderr)
        self.assertEqual(support.status(self.folder), before)

    def test_another_seed_in_the_same_folder_is_refused(self):
        before = support.status(self.folder)
        words = ["--seed 0", "--seed 1", "--overwrite", self.folder]
        self.refuse(*self.input, "--out", self.folder, "--seed", 1, words=words)
        self.assertEqual(support.status(self.folder), before)

    def test_other_annotations_in_the_same_folder_are_refused(self):
        other = support.toy_arguments(5)
        message = self.refuse(*other, "--out", self.folder, words=["--annotations", "--overwrite", self.folder])
        self.assertNotIn("--annotations-xxh128", message)

    def test_a_folder_with_other_things_is_refused(self):
        out = support.scratch()
        (out / "shards").mkdir()
        (out / "shards" / "mine.txt").write_text("mine")
        for more in [], ["--overwrite"]:
            with self.subTest(more=more):
                self.refuse(*self.input, "--out", out, *more, words=[out, "not empty", "choose another folder"])
                self.assertEqual([path.name for path in support.files(out)], ["mine.txt"])

    def test_the_work_of_another_tool_is_not_overwritten(self):
        out = support.scratch()
        (out / "run.json").write_text('{"tool": "jigsaw-pretrain", "version": "0.1.0", "wall_seconds": 1}\n')
        (out / "DONE").write_text("")
        for more in [], ["--overwrite"]:
            with self.subTest(more=more):
                self.refuse(*self.input, "--out", out, *more, words=[out, "jigsaw-gen", "choose another folder"])
                self.assertEqual(sorted(path.name for path in support.files(out)), ["DONE", "run.json"])

    def test_overwrite_begins_anew(self):
        out = self.make("--seed", 1)
        self.make("--overwrite", out=out)
        self.assert_same_store(out, self.expected)

    def test_overwrite_killed_while_it_removes_can_be_repeated(self):
        out = self.make("--seed", 1)
        (out / "DONE").unlink()  # the first to go; run.json is the last
        (out / "dataset.json").unlink()
        self.make("--overwrite", out=out)
        self.assert_same_store(out, self.expected)

    def test_two_runs_at_once_are_refused(self):
        out = support.scratch() / "store"
        first = support.start(*self.input, "--out", out)
        try:
            while not (out / "run.json").exists():
                time.sleep(0.001)
            first.send_signal(signal.SIGSTOP)
            for more in [], ["--overwrite"]:
                self.refuse(*self.input, "--out", out, *more, words=[out, "another run"])
            first.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait(), 0)
        finally:
            first.kill()
            first.wait()
        self.assert_same_store(out, self.expected)


class Killed(Reference):
    """SIGKILL, the one signal that leaves a program no last word."""

    def setUp(self):
        self.chance = support.chance()
        self.real = 0  # kills that came before the end

    def run_until(self, out, seconds):
        """Whether the run was still going when it was killed."""
        process = support.start(*self.input, "--out", out, "--workers", self.chance.choice([1, 2, 3]), "--quiet")
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait() == -signal.SIGKILL
        self.assertEqual(process.returncode, 0)
        return False

    def inspect(self, out):
        """What a killed run left must be right as far as it goes."""
        if (out / "DONE").exists():  # the kill came between the last write and the exit
            self.assert_same_store(out, self.expected)
            return
        for path in out.rglob("*"):
            name = str(path.relative_to(out))
            if not path.is_file() or ".tmp" in name or name == "run.json":
                continue
            self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), self.expected[name], name)
        for index in out.glob("shards/*.idx"):
            magic, _, _, size = struct.unpack("<8sQQQ", index.read_bytes()[:32])
            self.assertEqual(magic, b"JIGIDX2\n")
            self.assertEqual(index.with_suffix(".tar").stat().st_size, size)
        if out.exists():
            self.refuse("--check", out, words=[out, "not a finished sample store"])

    def test_killed_runs_go_on_where_they_were(self):
        attempts = 0
        while self.real < KILLS:
            out = support.scratch() / "store"
            spent = 0.0
            while self.real < KILLS and spent < self.seconds and self.chance.random() < 0.7:
                attempts += 1
                self.assertLess(attempts, 10 * KILLS, "the run is too short to be killed")
                seconds = self.chance.uniform(0, self.seconds - spent)  # what is about left of the work
                spent += seconds
                if self.run_until(out, seconds):
                    self.real += 1
                    with self.subTest(kill=self.real, seconds=seconds):
                        self.inspect(out)
            self.succeed(*self.input, "--out", out, "--workers", self.chance.choice([1, 2, 3]))
            self.assert_same_store(out, self.expected)
            shutil.rmtree(out)
        print(f"{self.real} kills in {attempts} attempts", end=" ... ", file=sys.stderr)


if __name__ == "__main__":
    support.main()
