"""Two trainings at once on the same processors: how long their steps take, beside one alone.

    python3 bench/two_trainings.py [--arch resnet18] [--batch 4] [--precision f32] [--steps 8] [--repeats 3] [--threads N]

Each is bench_train on all processors. Fair is twice as long. "libgomp's default" is the same with the spinning between a step's
parallel regions that OpenMP does unless it is told otherwise (see nn_wait_briefly in nn/device.h); alone, it shows what waiting
briefly costs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from support import machine, tool

LIBGOMP_DEFAULT = {"GOMP_SPINCOUNT": "300000"}


def steps(arguments, count, settings):
    """Median seconds of a step, the mean over `count` trainings at once."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [tool("bench_train"), arguments.arch, arguments.batch, arguments.precision, arguments.steps, arguments.threads]
    running = [subprocess.Popen([str(word) for word in command], env={**environment, **settings}, stdout=subprocess.PIPE)
               for _ in range(count)]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("bench_train failed")
    return statistics.mean(statistics.median(json.loads(output)["seconds"]) for output in outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    ways = {"ours": {}, "libgomp's default": LIBGOMP_DEFAULT}
    alone, both = ({way: [] for way in ways} for _ in range(2))
    for turn in range(arguments.repeats):
        for way, settings in ways.items():
            alone[way].append(steps(arguments, 1, settings))
            both[way].append(steps(arguments, 2, settings))
            print(f"  {turn + 1}/{arguments.repeats} {way}: {alone[way][-1]:.3f} s a step alone, {both[way][-1]:.3f} s beside another",
                  file=sys.stderr)
    print(f"{machine()}; {arguments.arch} {arguments.precision}, batch {arguments.batch}, {arguments.threads} threads each\n")
    print("| waiting | a step alone | beside another | times as long |\n|---|---|---|---|")
    for way in ways:
        ratio = statistics.median(b / a for a, b in zip(alone[way], both[way]))
        print(f"| {way} | {statistics.median(alone[way]):.3f} s | {statistics.median(both[way]):.3f} s | **{ratio:.1f}** |")


if __name__ == "__main__":
    main()
