"""Whether pre-training learns: each objective trains a network on jigsaws; what it knows of held-out ones, how far its cells see, and
what a linear classifier can do with its features, against the same network untrained.

    python3 bench/learn.py [--data VOC-OR-COCO ...] [--scenes 2000] [--iterations 600] [--arch resnet18] [--out build/learn]

Everything is kept in --out, and a run that is there already is not done again. Prints docs/RESULTS.md's tables.
"""

import argparse
import json
import os
import subprocess
import sys

from support import BIN, DATA, ROOT, machine, tool

OBJECTIVES = ("global", "block", "erf")


def run(*command):
    print("$", " ".join(os.path.relpath(c, ROOT) if str(c).startswith(ROOT) else str(c) for c in command), file=sys.stderr)
    subprocess.run([str(c) for c in command], check=True)


def record(folder):
    with open(os.path.join(folder, "run.json")) as f:
        return json.load(f)


def make_store(options, out):
    store = os.path.join(out, "store")
    if not os.path.exists(os.path.join(store, "DONE")):
        run(tool("jigsaw-gen"), *options, "--out", store, "--jigsaws", 0, "--quiet")
    return store


def pretrain(store, out, *options):
    run(tool("jigsaw-pretrain"), "--data", store, "--out", out, *options)
    return record(out)


def percent(value):
    return f"{100 * value:.1f} %"


def learn(title, store, out, arguments):
    size = ["--arch", arguments.arch, "--batch", arguments.batch, "--lr", arguments.lr, "--erf-every", 100000]
    rows, probes = [], []
    for objective in OBJECTIVES:
        folder = os.path.join(out, objective)
        facts = pretrain(store, folder, *size, "--objective", objective, "--iterations", arguments.iterations)
        held_out, counts = facts["held_out"], facts["held_out"]["class_count"]
        majority = max(counts.values()) / max(1, sum(counts.values()))
        rows.append((objective, facts, held_out, majority))
        probes.append((objective, probe(store, os.path.join(out, "probe-" + objective), arguments,
                                        "--init", os.path.join(folder, "backbone.safetensors"))))
    probes.insert(0, ("untrained", probe(store, os.path.join(out, "probe-untrained"), arguments)))
    show(title, rows, probes)


def probe(store, out, arguments, *options):
    """Held-out accuracy of a linear classifier of regions on frozen features, made with another seed's jigsaws."""
    facts = pretrain(store, out, "--arch", arguments.arch, "--batch", arguments.batch, "--objective", "block", "--probe",
                     "--erf-every", 0, "--lr", arguments.probe_lr, "--lr-start", arguments.probe_lr, "--iterations",
                     arguments.probe_iterations, *options)
    return facts["held_out"]["accuracy"]


def show(title, rows, probes):
    print(f"\n### {title}\n")
    print("| objective | held-out accuracy | largest class | seconds | receptive field: 90 % of the mass, regions 0 to 3 | mass inside its region |")
    print("|---|---|---|---|---|---|")
    for objective, facts, held_out, majority in rows:
        areas = ", ".join(percent(value) for value in facts["erf_area"])
        inside = ", ".join(percent(value) for value in facts["erf_inside"])
        print(f"| {objective} | {percent(held_out['accuracy'])} | {percent(majority)} | {facts['device_seconds']:.0f} | {areas} | {inside} |")
    print("\n| features | linear probe, held-out accuracy |\n|---|---|")
    for name, accuracy in probes:
        print(f"| {name} | {percent(accuracy)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--probe-lr", type=float, default=0.05)
    parser.add_argument("--probe-iterations", type=int, default=150)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "learn"))
    parser.add_argument("--only", choices=("toy", "groceries"))
    arguments = parser.parse_args()
    print(machine())
    if arguments.only != "groceries":
        out = os.path.join(arguments.out, "toy")
        os.makedirs(out, exist_ok=True)
        scenes = os.path.join(out, "scenes")
        if not os.path.exists(os.path.join(scenes, "annotations")):
            run(tool("jigsaw-gen"), "--toy", arguments.scenes, "--out", scenes, "--quiet")
        store = make_store(["--annotations", os.path.join(scenes, "annotations", "instances.json"), "--images",
                            os.path.join(scenes, "images")], out)
        learn(f"{arguments.scenes} built-in scenes", store, out, arguments)
    groceries = os.path.join(DATA, "groceries")
    if arguments.only != "toy" and os.path.isdir(groceries):
        out = os.path.join(arguments.out, "groceries")
        os.makedirs(out, exist_ok=True)
        store = make_store(["--annotations", groceries], out)
        learn("groceries (PASCAL VOC)", store, out, arguments)


if __name__ == "__main__":
    main()
