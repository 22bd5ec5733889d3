"""Training steps of ResNet-50 and ResNet-18 at 224 x 224: ours against the newest PyTorch, and against their convolutions alone.

    python3 bench/train.py [--python PYTHON-WITH-TORCH] [--repeats 3] [--steps 5] [--batch 16] [--threads 2] [--arch resnet50 ...]

PyTorch runs eagerly and compiled, channels_last, bf16 by autocast; its best result counts. Without --python a virtual environment with
the newest PyTorch is made in build/torch (several GB). The limit is bench_conv's: each convolution alone, with the fastest of oneDNN's
implementations; below it is what their multiply-adds would take from registers.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys

from support import HERE, ROOT, machine, tool


def newest_torch():
    folder = os.path.join(ROOT, "build", "torch")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(os.path.join(folder, "complete")):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "torchvision"], check=True)
        open(os.path.join(folder, "complete"), "w").close()
    return python


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"  {command[0]} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def limits(precision, arguments):
    """Milliseconds of all convolutions alone, each with the fastest of oneDNN's implementations, and of their arithmetic, by
    network."""
    out = subprocess.run([tool("bench_conv"), "--precision", precision, "--batch", str(arguments.batch), "--threads",
                          str(arguments.threads)], check=True, capture_output=True, text=True).stdout
    sums = re.findall(r"^ResNet-(\d+) \w+ all .*limit\s+([\d.]+) ms", out, re.M)
    arithmetic = dict(re.findall(r"^ResNet-(\d+) \w+ arithmetic\s+([\d.]+) ms", out, re.M))
    return {"resnet" + depth: (float(value), float(arithmetic.get(depth, "nan"))) for depth, value in sums}


def contest(arch, precision, python, arguments):
    size = [arch, arguments.batch, precision, arguments.steps, arguments.threads]
    contestants = {"jigsaw": [tool("bench_train"), *size]}
    for mode in "eager", "compile":
        contestants["torch " + mode] = [python, os.path.join(HERE, "train_torch.py"), *size, mode]
    results = {name: [] for name in contestants}
    for turn in range(arguments.repeats):
        for name, command in contestants.items():
            result = run(command)
            if result:
                results[name].append(result)
                print(f"  {turn + 1}/{arguments.repeats} {arch} {precision} {name}: {min(result['seconds']):.3f} s a step, "
                      f"{result['peak_mib']} MiB", file=sys.stderr)
    return results


def show(arch, precision, results, limit, arguments):
    medians = {name: [statistics.median(result["seconds"]) for result in runs] for name, runs in results.items() if runs}
    best = min((name for name in medians if name != "jigsaw"), key=lambda name: statistics.median(medians[name]))
    ratio = statistics.median(t / o for o, t in zip(medians["jigsaw"], medians[best]))
    ours = statistics.median(medians["jigsaw"])
    memory = {name: max(result["peak_mib"] for result in runs) for name, runs in results.items() if runs}
    rates = ", ".join(f"{name} {arguments.batch / statistics.median(seconds):.2f}" for name, seconds in medians.items())
    parts = " | ".join(f"{100 * part / (1e3 * ours):.0f} %" for part in limit)
    print(f"| {arch} {precision} | {rates} | **{ratio:.2f} x** {best} | {parts} | "
          f"{memory['jigsaw']} of {memory[best]} MiB, {100 * memory['jigsaw'] / memory[best]:.0f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--arch", nargs="+", choices=["resnet50", "resnet18"], default=["resnet50", "resnet18"])
    parser.add_argument("--precision", nargs="+", default=["bf16", "f32"])
    arguments = parser.parse_args()
    python = arguments.python or newest_torch()
    print(machine())
    print("\n| | img/s | against PyTorch's best | of the convolutions alone | of arithmetic | peak memory |\n|---|---|---|---|---|---|")
    for precision in arguments.precision:
        limit = limits(precision, arguments)
        for arch in arguments.arch:
            show(arch, precision, contest(arch, precision, python, arguments), limit[arch], arguments)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
