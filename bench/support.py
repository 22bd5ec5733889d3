"""What the benchmark drivers share: where things are, what machine this is, medians side by side."""

import os
import platform
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("JIGSAW_BIN", os.path.join(ROOT, "build", "bin"))
DATA = os.environ.get("JIGSAW_TEST_DATA", os.path.join(os.path.dirname(ROOT), "shared", "data"))
HERE = os.path.dirname(os.path.abspath(__file__))


def tool(name):
    return os.path.join(BIN, name)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    libjpeg = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libjpeg62-turbo"], capture_output=True,
                             text=True).stdout
    return f"{model}, {os.cpu_count()} processors, Python {platform.python_version()}, libjpeg-turbo {libjpeg}"


def alternate(repeats, contestants):
    """Runs each contestant (name -> function returning seconds) in turn, `repeats` times; all seconds by name."""
    seconds = {name: [] for name in contestants}
    for turn in range(repeats):
        for name, run in contestants.items():
            seconds[name].append(run())
            print(f"  {turn + 1}/{repeats} {name}: {seconds[name][-1]:.2f} s", file=sys.stderr)
    return seconds


def median_ratio(ours, theirs):
    """How many times as fast ours is, pair by pair: robust where the machine's speed drifts."""
    return statistics.median(t / o for o, t in zip(ours, theirs))
