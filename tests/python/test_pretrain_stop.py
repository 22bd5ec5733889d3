"""jigsaw-pretrain, stopped while it measures or evaluates, leaves at once and goes on to the same bits; a second Ctrl-C does not wait for
anything. The reference backend is slow, so that there is time to interrupt it."""

import json
import signal
import subprocess
import time
import unittest

import support

SLOW = {"device": "ref", "precision": "f32"}
OPTIONS = {"arch": "resnet18", "template": "64:32", "batch": 4, "iterations": 4, "erf-images": 2, "log-every": 2, "evaluate-every": 2,
           "held-out": 0.2, "held-out-images": 8, "threads": 1, "workers": 1}
PLAIN_BUILD = unittest.skipIf(support.SCALE < 1, "the reference backend takes too long under sanitizers")


class Stop(support.ToolTest):
    tool = "jigsaw-pretrain"

    @classmethod
    def setUpClass(cls):
        cls.data = support.store(40)

    def setUp(self):
        self.out = support.scratch() / "run"

    def command(self, **more):
        options = {"data": self.data, "out": self.out, **OPTIONS, **{name.replace("_", "-"): value for name, value in more.items()}}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def lines(self, out=None):
        path = (out or self.out) / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []

    def wait_for(self, process, seen):
        while not seen():
            self.assertIsNone(process.poll())
            time.sleep(0.01)

    def begin_and_stop(self, command, seen, *signals):
        """The exit status after these signals, given when `seen`, in two tenths of a second."""
        process = support.start(*command, tool=self.tool)
        try:
            self.wait_for(process, seen)
            for number in signals:
                process.send_signal(number)
                time.sleep(0.2)
            return process.wait(120)
        finally:
            process.kill()
            process.wait()

    def names(self, out=None):
        return [sorted(set(line) - {"seconds", "images_per_second", "data_wait"}) for line in self.lines(out)]

    def checkpoints(self):
        return sorted(path.name for path in (self.out / "checkpoints").glob("*"))

    @PLAIN_BUILD
    def test_first_measurement(self):
        """Nothing has been done yet, and nothing is left."""
        seen = lambda: (self.out / "log.jsonl").exists()
        self.assertEqual(self.begin_and_stop(self.command(**SLOW, erf_every=2, erf_images=30), seen, signal.SIGINT), 3)
        self.assertEqual((self.lines(), self.checkpoints()), ([], []))
        self.assertFalse((self.out / "erf").exists())

    def test_later(self):
        """Stopped between the line of iteration 2 and what follows from it; then while evaluating; and yet the same run."""
        command = self.command(erf_every=2)
        self.succeed(*command)
        reference, self.out = self.out, support.scratch() / "run"
        for name in ("loss", "erf/area_0"):
            stopped = self.begin_and_stop(self.command(erf_every=2), lambda: any(name in line for line in self.lines()[1:]), signal.SIGTERM)
            self.assertIn(stopped, (0, 3))
        self.succeed(*self.command(erf_every=2))
        self.assertEqual(self.names(), self.names(reference))
        for name in ("backbone.safetensors", "erf/region-0.png", "erf/000000002.png", "checkpoints/000000004.safetensors"):
            self.assertEqual((self.out / name).read_bytes(), (reference / name).read_bytes(), name)
        mine, theirs = (json.loads((run / "run.json").read_text()) for run in (self.out, reference))
        for fact in ("held_out", "erf_area", "erf_inside", "flops"):
            self.assertEqual(mine[fact], theirs[fact], fact)

    @PLAIN_BUILD
    def test_measurement_of_a_run(self):
        """What is due stays due: the checkpoint is of iteration 2, whose fields are measured when the run goes on."""
        options = {**SLOW, "iterations": 2, "batch": 2, "erf_every": 2, "erf_images": 4}
        seen = lambda: any("loss" in line for line in self.lines())
        self.assertEqual(self.begin_and_stop(self.command(**options), seen, signal.SIGINT), 3)
        self.assertEqual(self.checkpoints(), ["000000002.safetensors"])
        self.assertEqual(len([names for names in self.names() if "erf/area_0" in names]), 1)  # the one before training
        self.succeed(*self.command(**options))
        self.assertEqual(len([names for names in self.names() if "erf/area_0" in names]), 2)
        self.assertEqual(len([names for names in self.names() if "held_out/loss" in names]), 1)

    @PLAIN_BUILD
    def test_second_time(self):
        """Once more while a step takes its time: the process ends without a checkpoint."""
        command = self.command(**SLOW, batch=12, objective="block", erf_every=0)
        process = subprocess.Popen([support.BIN / self.tool, *map(str, command)], stderr=subprocess.PIPE, text=True)
        try:
            for word in ("memory", "Ctrl-C again ends at once"):
                while word not in (line := process.stderr.readline()):
                    self.assertTrue(line, f"no line has {word}")
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(120), 3)
        finally:
            process.kill()
            process.communicate()
        self.assertEqual(self.checkpoints(), [])

    def test_echo(self):
        """timeout(1) signals the process and its group; SIGTERM may come as often as it likes."""
        process = support.start(*self.command(iterations=2000, erf_every=5000, log_every=1), tool=self.tool)
        self.wait_for(process, lambda: any("loss" in line for line in self.lines()))
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            process.send_signal(number)
        self.assertEqual(process.wait(120), 3)
        self.assertEqual(len(self.checkpoints()), 1)

    def test_how_often(self):
        """As often as in the paper, where that takes no more than a tenth of the computing."""
        for iterations, images, every in ((64, 1, 5), (64000, 8, 5000), (100, 1, 8), (100, 8, 26)):
            command = self.command(out=support.scratch() / "run", iterations=iterations, erf_images=images)
            process = subprocess.Popen([support.BIN / self.tool, *map(str, command)], stderr=subprocess.PIPE, text=True)
            text = ""
            while "network" not in text and (line := process.stderr.readline()):
                text += line
            process.kill()
            process.communicate()
            self.assertIn(f"receptive fields every {every} iterations on {images} images", text)


if __name__ == "__main__":
    support.main()
