"""Whether pre-training learns: each objective trains a network on jigsaws; what it knows of held-out ones, how far its cells see, and
what a linear classifier can do with its features, against the same network untrained.

    python3 bench/learn.py [--scenes 2000] [--iterations 300] [--batch 32] [--lr 0.025] [--arch resnet18] [--out build/learn]
                           [--only toy|groceries]

Everything is kept in --out, and a run that is there already is not done again. Prints docs/RESULTS.md's tables.

The linear probe is the objective `block` with a frozen backbone; of two learning rates the better counts, for each backbone.
The untrained backbone is the initial one after 50 iterations at a learning rate of 1e-9: its weights are random, but its
batch norms have the statistics of the data, without which its features would be out of all proportion.
"""

import argparse
import json
import os
import subprocess
import sys

from support import BIN, DATA, ROOT, machine, tool

OBJECTIVES = ("global", "block", "erf", "global-long")  # long: twice the iterations
LONGER = 2
HELD_OUT = 0.1
PROBE_LRS = (0.05, 0.5)


def run(*command):
    print("$", " ".join(os.path.relpath(c, ROOT) if str(c).startswith(ROOT) else str(c) for c in command), file=sys.stderr)
    subprocess.run([str(c) for c in command], check=True)


def record(folder):
    with open(os.path.join(folder, "run.json")) as f:
        return json.load(f)


def initial(folder):
    """What was measured before the first iteration."""
    with open(os.path.join(folder, "log.jsonl")) as f:
        first = json.loads(f.readline())
    return {name: [first[f"erf/{kind}_{region}"] for region in range(4)]
            for name, kind in (("erf_area", "area"), ("erf_inside", "inside"))}


def make_store(options, out):
    store = os.path.join(out, "store")
    if not os.path.exists(os.path.join(store, "DONE")):
        run(tool("jigsaw-gen"), *options, "--out", store, "--jigsaws", 0, "--quiet")
    return store


def pretrain(store, out, *options):
    run(tool("jigsaw-pretrain"), "--data", store, "--out", out, *options, "--evaluate-every", 1000000)  # and at the end
    return record(out)


def percent(value):
    return f"{100 * value:.1f} %"


def learn(title, store, out, arguments):
    size = ["--arch", arguments.arch, "--batch", arguments.batch, "--held-out", HELD_OUT]
    rows, probes = [], []
    untrained = os.path.join(out, "untrained")
    pretrain(store, untrained, *size, "--lr", 1e-9, "--iterations", 50, "--objective", "block", "--erf-every", 0)
    probes.append(("untrained", probe(store, out, untrained, size, arguments)))
    for objective in OBJECTIVES:
        folder = os.path.join(out, objective)
        iterations = arguments.iterations * (LONGER if objective.endswith("-long") else 1)
        facts = pretrain(store, folder, *size, "--lr", arguments.lr, "--objective", objective.removesuffix("-long"),
                         "--iterations", iterations)
        held_out, counts = facts["held_out"], facts["held_out"]["class_count"]
        majority = max(counts.values()) / max(1, sum(counts.values()))
        rows.append((objective, facts, held_out, majority))
        probes.append((objective, probe(store, out, folder, size, arguments)))
    show(title, initial(os.path.join(out, OBJECTIVES[0])), rows, probes)


def probe(store, out, trained, size, arguments):
    """Held-out accuracy of a linear classifier of regions on frozen features."""
    best = 0
    for lr in PROBE_LRS:
        facts = pretrain(store, os.path.join(out, f"probe-{os.path.basename(trained)}-{lr}"), *size, "--probe", "--objective",
                         "block", "--init", os.path.join(trained, "backbone.safetensors"), "--lr", lr, "--erf-every", 0,
                         "--iterations", arguments.probe_iterations)
        best = max(best, facts["held_out"]["accuracy"])
    return best


def fields(facts):
    return " | ".join(", ".join(percent(value) for value in facts[name]) for name in ("erf_area", "erf_inside"))


def show(title, untrained, rows, probes):
    print(f"\n### {title}\n")
    print("| objective | held-out accuracy | largest class | seconds | receptive field: 90 % of the mass, regions 0 to 3 | mass inside its region |")
    print("|---|---|---|---|---|---|")
    print(f"| untrained | | | | {fields(untrained)} |")
    for objective, facts, held_out, majority in rows:
        print(f"| {objective} | {percent(held_out['accuracy'])} | {percent(majority)} | {facts['device_seconds']:.0f} | {fields(facts)} |")
    print("\n| features | linear probe, held-out accuracy |\n|---|---|")
    for name, accuracy in probes:
        print(f"| {name} | {percent(accuracy)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.025)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--probe-iterations", type=int, default=100)
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
