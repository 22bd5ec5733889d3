#!/usr/bin/env python3
"""Loading time and memory of a COCO file as large as train2017's: bench/coco_load against pycocotools.

    python3 bench/coco_load.py [--repeats 5] [--images 118000] [--keep FILE]

Writes a random file (118,000 images, 860,000 annotations with polygons, about 450 MB) to a temporary folder, then loads
it with both in turn, each time in a fresh process, and prints medians. Needs pycocotools.
"""
import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile

from support import machine, median_ratio, tool

PYCOCOTOOLS = """
import contextlib, io, resource, sys, time
from pycocotools.coco import COCO
usage = resource.getrusage(resource.RUSAGE_SELF)
before = usage.ru_utime + usage.ru_stime
started = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(sys.argv[1])
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_SELF)
print(seconds, usage.ru_utime + usage.ru_stime - before, usage.ru_maxrss / 1024, len(coco.imgs), len(coco.anns))
"""


def polygon(rng, x, y):
    """Corner counts as in train2017: median about 15, some in the hundreds."""
    corners = max(4, min(300, int(rng.lognormvariate(2.7, 0.75))))
    return ", ".join(f"{x + rng.random() * 200:.2f}, {y + rng.random() * 200:.2f}" for _ in range(corners))


def write_coco(path, images, annotations, rng):
    """The spelling of the published files: json.dump's separators, order of keys as there."""
    polygons = [polygon(rng, rng.random() * 400, rng.random() * 280) for _ in range(20000)]
    ids = rng.sample(range(1, 582000), images)
    with open(path, "w", encoding="ascii") as file:
        file.write('{"info": {"description": "random", "year": 2017}, "licenses": [{"id": 1, "name": "none"}], '
                   '"images": [')
        for i, image in enumerate(ids):
            file.write((", " if i else "") + f'{{"license": {1 + image % 8}, "file_name": "{image:012d}.jpg", '
                       f'"coco_url": "http://images.example.org/train2017/{image:012d}.jpg", '
                       f'"height": 480, "width": 640, '
                       f'"date_captured": "2013-11-14 11:18:45", '
                       f'"flickr_url": "http://farm.example.org/4153/5014840118_{image:08x}_z.jpg", "id": {image}}}')
        file.write('], "annotations": [')
        for i, annotation in enumerate(rng.sample(range(1, 2300000), annotations)):
            if i % 86 == 0:
                counts = ", ".join(str(rng.randrange(1, 400)) for _ in range(200))
                segmentation = f'{{"counts": [{counts}], "size": [480, 640]}}'
            else:
                segmentation = "[" + ", ".join(f"[{polygons[rng.randrange(20000)]}]"
                                               for _ in range(1 if rng.random() < 0.85 else 2)) + "]"
            box = ", ".join(f"{rng.random() * 200:.2f}" for _ in range(4))
            file.write((", " if i else "") + f'{{"segmentation": {segmentation}, "area": {rng.random() * 40000:.4f}, '
                       f'"iscrowd": {int(i % 86 == 0)}, "image_id": {ids[rng.randrange(images)]}, "bbox": [{box}], '
                       f'"category_id": {rng.randrange(1, 81)}, "id": {annotation}}}')
        names = ", ".join(f'{{"supercategory": "thing", "id": {i}, "name": "class {i}"}}' for i in range(1, 81))
        file.write(f'], "categories": [{names}]}}')


def measure(command):
    """(seconds, processor seconds, peak MiB, images, annotations)"""
    fields = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(fields[0]), float(fields[1]), float(fields[2]), int(fields[3]), int(fields[4])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=118000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="use this file, and write it when it is not there")
    options = parser.parse_args()
    annotations = options.images * 860 // 118
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or os.path.join(folder, "instances.json")
        if not os.path.exists(path):
            write_coco(path, options.images, annotations, random.Random(options.seed))
        megabytes = os.path.getsize(path) / 1e6
        print(f"{megabytes:.0f} MB, {options.images} images, {annotations} annotations, {options.repeats} repeats")
        commands = {"jigsaw": [tool("bench_coco_load"), path],
                    "pycocotools": [sys.executable, "-c", PYCOCOTOOLS, path]}
        measure(commands["jigsaw"])  # brings the file into the system's cache
        results = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, command in commands.items():
                results[name].append(measure(command))
    print(machine())
    print(f"{'':12} {'median s':>9} {'min s':>8} {'max s':>8} {'MB/s':>6} {'cpu s':>7} {'MB/cpu s':>9} {'peak MiB':>9}")
    for name, rows in results.items():
        if any(row[3:] != (options.images, annotations) for row in rows):
            sys.exit(f"{name} counted {rows[0][3:]}")
        wall, cpu, peak = ([row[i] for row in rows] for i in range(3))
        print(f"{name:12} {statistics.median(wall):9.3f} {min(wall):8.3f} {max(wall):8.3f} "
              f"{megabytes / statistics.median(wall):6.0f} {statistics.median(cpu):7.3f} "
              f"{megabytes / statistics.median(cpu):9.0f} {max(peak):9.0f}")
    for i, what in enumerate(("time", "processor time")):
        ours, theirs = ([row[i] for row in results[name]] for name in commands)
        print(f"{what}, pycocotools / jigsaw, median of pairs: {median_ratio(ours, theirs):.1f}")


if __name__ == "__main__":
    main()
