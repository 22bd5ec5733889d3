"""jigsaw-gen against (a) a Pillow program that does the same in as many processes, and (b) the limit: libjpeg-turbo reading
the coefficients of every source image once. Alternating, in one run, on real COCO images (if present) and on toy data.

    python3 bench/gen.py [--repeats 5] [--workers 1] [--images 2000]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from support import BIN, DATA, HERE, alternate, machine, median_ratio, tool

COCO = os.path.join(DATA, "coco128")


def coco_repeated(folder, images):
    """The images of coco128, with all their boxes, under new ids until there are `images` of them."""
    with open(os.path.join(COCO, "annotations", "instances_train2017.json")) as f:
        data = json.load(f)
    repeated = {"categories": data["categories"], "images": [], "annotations": []}
    by_image = {}
    for annotation in data["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    while len(repeated["images"]) < images:
        image = dict(data["images"][len(repeated["images"]) % len(data["images"])])
        for annotation in by_image.get(image["id"], []):
            repeated["annotations"].append(
                {
                    "id": len(repeated["annotations"]) + 1,
                    "image_id": len(repeated["images"]) + 1,
                    "category_id": annotation["category_id"],
                    "bbox": annotation["bbox"],
                    "iscrowd": annotation.get("iscrowd", 0),
                }
            )
        image["id"] = len(repeated["images"]) + 1
        repeated["images"].append(image)
    path = os.path.join(folder, "coco.json")
    with open(path, "w") as f:
        json.dump(repeated, f)
    return path, os.path.join(COCO, "train2017")


def toy(folder, images):
    out = os.path.join(folder, "toy")
    subprocess.run([tool("jigsaw-gen"), "--toy", str(images), "--out", out, "--quiet"], check=True)
    return os.path.join(out, "annotations", "instances.json"), os.path.join(out, "images")


def run_ours(annotations, pictures, out, workers):
    shutil.rmtree(out, ignore_errors=True)
    started = time.monotonic()
    subprocess.run(
        [tool("jigsaw-gen"), "--annotations", annotations, "--images", pictures, "--out", out, "--jigsaws", "0",
         "--workers", str(workers), "--quiet"],
        check=True,
    )
    return time.monotonic() - started


def run_pillow(annotations, pictures, out, workers, counts):
    shutil.rmtree(out, ignore_errors=True)
    line = subprocess.run(
        [sys.executable, os.path.join(HERE, "gen_pillow.py"), annotations, pictures, out, str(workers)],
        check=True, capture_output=True, text=True,
    ).stdout.split()
    counts.append(int(line[1]))
    return float(line[0])


def run_limit(paths, workers):
    out = subprocess.run([tool("bench_entropy"), str(workers)], input=paths, check=True, capture_output=True, text=True)
    return float(out.stdout)


def compare(title, annotations, pictures, scratch, workers, repeats):
    with open(annotations) as f:
        names = [image["file_name"] for image in json.load(f)["images"]]
    paths = "".join(os.path.join(pictures, name) + "\n" for name in names)
    out, counts = os.path.join(scratch, "out"), []
    seconds = alternate(
        repeats,
        {
            "jigsaw-gen": lambda: run_ours(annotations, pictures, out, workers),
            "pillow": lambda: run_pillow(annotations, pictures, os.path.join(scratch, "pillow"), workers, counts),
            "limit": lambda: run_limit(paths, workers),
        },
    )
    with open(os.path.join(out, "dataset.json")) as f:
        samples = json.load(f)["samples"]
    ours = sorted(seconds["jigsaw-gen"])[repeats // 2]
    pillow = sorted(seconds["pillow"])[repeats // 2]
    limit = sorted(seconds["limit"])[repeats // 2]
    per_crop = median_ratio(seconds["jigsaw-gen"], seconds["pillow"]) * samples / counts[0]
    of_limit = median_ratio(seconds["jigsaw-gen"], seconds["limit"])
    print(f"\n{title}: {len(names)} images, {workers} worker(s), medians of {repeats}")
    print("| | img/s | crops/s | ratio |")
    print("|---|---|---|---|")
    print(f"| jigsaw-gen (whole process) | {len(names) / ours:.0f} | {samples / ours:.0f} | |")
    print(f"| (a) Pillow, {workers} process(es) | {len(names) / pillow:.0f} | {counts[0] / pillow:.0f} "
          f"| we are {per_crop:.2f} x as fast (target 1.35) |")
    print(f"| (b) coefficients only, libjpeg-turbo | {len(names) / limit:.0f} | | we reach {100 * of_limit:.0f} % "
          f"(target 70 %) |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--images", type=int, default=2000)
    arguments = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, {machine()}, tools in {os.path.relpath(BIN)}")
    with tempfile.TemporaryDirectory(prefix="jigsaw-bench-") as scratch:
        if os.path.isdir(COCO):
            annotations, pictures = coco_repeated(scratch, arguments.images)
            compare("COCO", annotations, pictures, scratch, arguments.workers, arguments.repeats)
        annotations, pictures = toy(scratch, arguments.images)
        compare("toy scenes", annotations, pictures, scratch, arguments.workers, arguments.repeats)


if __name__ == "__main__":
    main()
