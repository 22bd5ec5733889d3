"""jigsaw-pretrain, killed at any moment and started again, ends with the bits of an uninterrupted run; so it does with any number of
loader workers. A signal leaves a checkpoint. Damaged checkpoints are passed by."""

import json
import signal
import subprocess
import time

import support

ITERATIONS = 12
KILLS = support.scaled(30, 3)
# A network as of old at the smallest canvas: 64 x 64 has four cells.
OPTIONS = ["--arch", "resnet18", "--template", "64:32", "--batch", 4, "--iterations", ITERATIONS, "--checkpoint-every", 3,
           "--erf-every", ITERATIONS // 3, "--erf-images", 2, "--evaluate-every", ITERATIONS // 2, "--held-out-images", 8, "--held-out", 0.2, "--log-every", 4]


class Exact(support.ToolTest):
    tool = "jigsaw-pretrain"

    @classmethod
    def setUpClass(cls):
        cls.data = support.store(40)
        cls.reference = support.scratch() / "reference"
        started = time.monotonic()
        done = support.run(*cls.command(cls.reference), tool=cls.tool)
        cls.seconds = time.monotonic() - started
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    @classmethod
    def command(cls, out, *more):
        return ["--data", cls.data, "--out", out, *OPTIONS, *more]

    def log(self, run):
        """Lines without what depends on the clock, once each: what was not checkpointed is done, and told, again."""
        clocks = ("seconds", "images_per_second", "data_wait")
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        return [{name: value for name, value in line.items() if name not in clocks} for line in lines]

    def assert_same_run(self, out):
        self.assertTrue((out / "DONE").exists())
        for name in ("backbone.safetensors", "erf/region-0.png", f"checkpoints/{ITERATIONS:09d}.safetensors"):
            self.assertEqual((out / name).read_bytes(), (self.reference / name).read_bytes(), name)
        self.assertEqual(self.log(out), self.log(self.reference))
        mine, theirs = (json.loads((run / "run.json").read_text()) for run in (out, self.reference))
        for fact in ("held_out", "erf_area", "iterations", "training_flops", "backbone-xxh128"):
            self.assertEqual(mine[fact], theirs[fact], fact)

    def test_killed_again_and_again(self):
        chance = support.chance()
        killed, out = 0, support.scratch() / "run"
        while killed < KILLS:
            process = support.start(*self.command(out), tool=self.tool)
            try:
                process.wait(chance.uniform(0, 0.7) * self.seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                continue
            self.assertEqual(process.returncode, 0)
            self.assert_same_run(out)
            out = support.scratch() / "run"  # it got through: begin another
        self.succeed(*self.command(out))
        self.assert_same_run(out)

    def test_workers(self):
        for workers in (1, 4):
            out = support.scratch() / "run"
            self.succeed(*self.command(out, "--workers", workers))
            self.assert_same_run(out)

    def test_signals_leave_a_checkpoint(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            out = support.scratch() / "run"
            command = self.command(out, "--checkpoint-every", 1000)
            process = support.start(*command, tool=self.tool)
            while not (out / "log.jsonl").exists() or b"loss" not in (out / "log.jsonl").read_bytes():
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            process.send_signal(number)
            self.assertEqual(process.wait(60), 3)
            self.assertEqual(len(list((out / "checkpoints").glob("*.safetensors"))), 1)
            self.assertFalse((out / "DONE").exists())
            self.succeed(*command)
            self.assert_same_run(out)

    def test_damaged_checkpoints(self):
        out = support.scratch() / "run"
        self.succeed(*self.command(out))
        (out / "DONE").unlink()
        newest = out / "checkpoints" / f"{ITERATIONS:09d}.safetensors"
        content = bytearray(newest.read_bytes())
        content[support.chance().randrange(len(content))] ^= 0x10
        newest.write_bytes(content)
        done = self.succeed(*self.command(out))
        self.assertIn(newest.name, done.stderr)
        self.assertIn(f"going on after iteration {ITERATIONS - 3}", done.stderr)
        self.assert_same_run(out)
        (out / "DONE").unlink()
        for path in (out / "checkpoints").iterdir():
            path.write_bytes(path.read_bytes()[:100])
        before = support.digest(out)
        message = self.refuse(*self.command(out), words=[path.name for path in (out / "checkpoints").iterdir()] + ["--overwrite"])
        self.assertEqual(support.digest(out), before, message)
        self.succeed(*self.command(out, "--overwrite"))
        self.assert_same_run(out)

    def test_a_job_that_overwrites_comes_to_its_end(self):
        """Such a job is stopped and started again with the same command."""
        out = support.scratch() / "run"
        self.succeed(*self.command(out, "--iterations", 1))
        process = support.start(*self.command(out, "--overwrite"), tool=self.tool)
        while not (out / "checkpoints" / "000000003.safetensors").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.kill()
        process.wait()
        done = self.succeed(*self.command(out, "--overwrite"))
        self.assertIn("going on after iteration", done.stderr)
        self.assert_same_run(out)
        before = support.status(out)
        self.assertIn("complete already", self.succeed(*self.command(out, "--overwrite")).stderr)
        self.assertEqual(support.status(out), before)

    def test_another_processor(self):
        """Bits repeat on the same device only: a run that moves says so, and keeps what it ran on."""
        out = support.scratch() / "run"
        process = support.start(*self.command(out, "--threads", 2), tool=self.tool)
        while not (out / "checkpoints").exists() or not list((out / "checkpoints").glob("*.safetensors")):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 3)
        done = self.succeed(*self.command(out, "--threads", 1))
        self.assertRegex(done.stderr, "may differ.*2 threads.*1 thread")
        attempts = json.loads((out / "run.json").read_text())["attempts"]
        self.assertEqual([attempt["threads"] for attempt in attempts], [2, 1])
        self.assertEqual(attempts[0]["from_iteration"], 0)
        self.assertGreater(attempts[1]["from_iteration"], 0)
        for attempt in attempts:
            self.assertIn("oneDNN", attempt["device"])
            self.assertTrue(attempt["processor"] and attempt["started_at"] and attempt["seconds"] > 0)

    def test_complete_already(self):
        before = support.status(self.reference)
        done = self.succeed(*self.command(self.reference))
        self.assertIn("complete already", done.stderr)
        self.assertEqual(support.status(self.reference), before)


if __name__ == "__main__":
    support.main()
