"""Jigsaws a second and core: ours against Pillow code that does the same tiles, and against decoding the same crops alone.

    python3 bench/assemble.py [--repeats 5] [--jigsaws 1000]
"""

import argparse
import io
import os
import subprocess
import tempfile
import time

from PIL import Image

from gen import COCO, coco_repeated, toy
from support import alternate, machine, median_ratio, tool


def read_plan(store, jigsaws):
    out = subprocess.run([tool("bench_assemble"), "plan", store, str(jigsaws)], check=True, capture_output=True,
                         text=True).stdout
    return [[int(value) for value in line.split()] for line in out.splitlines()]


def run_pillow(store, plan):
    """Decode, cut the exact rectangle, resize, crop, flip, paste: the same work from the same bytes."""
    shards = {}
    for tile in plan:
        if tile[1] not in shards:
            with open(os.path.join(store, "shards", f"{tile[1]:06d}.tar"), "rb") as f:
                shards[tile[1]] = f.read()
    started = time.monotonic()
    canvas, current = None, None
    for jigsaw, shard, offset, size, x, y, w, h, sw, sh, cx, cy, flip, px, py, pw, ph in plan:
        if jigsaw != current:
            canvas, current = Image.new("RGB", (224, 224)), jigsaw
        image = Image.open(io.BytesIO(shards[shard][offset : offset + size])).convert("RGB")
        image = image.crop((x, y, x + w, y + h)).resize((sw, sh), Image.BILINEAR)
        image = image.crop((cx, cy, cx + pw, cy + ph))
        if flip:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        canvas.paste(image, (px, py))
    return time.monotonic() - started


def run_c(mode, store, jigsaws):
    return float(subprocess.run([tool("bench_assemble"), mode, store, str(jigsaws)], check=True, capture_output=True,
                                text=True).stdout)


def compare(title, annotations, pictures, scratch, jigsaws, repeats):
    store = os.path.join(scratch, "store-" + title.split()[0])
    subprocess.run([tool("jigsaw-gen"), "--annotations", annotations, "--images", pictures, "--out", store, "--jigsaws",
                    "0", "--quiet"], check=True)
    plan = read_plan(store, jigsaws)
    seconds = alternate(
        repeats,
        {
            "assembler": lambda: run_c("render", store, jigsaws),
            "pillow": lambda: run_pillow(store, plan),
            "decode": lambda: run_c("decode", store, jigsaws),
        },
    )
    rate = {name: jigsaws / sorted(values)[repeats // 2] for name, values in seconds.items()}
    print(f"\n{title}: {jigsaws} jigsaws, one core, medians of {repeats}")
    print("| | jigsaws/s | ratio |")
    print("|---|---|---|")
    print(f"| our assembler | {rate['assembler']:.0f} | |")
    print(f"| Pillow, the same tiles | {rate['pillow']:.0f} | we are "
          f"{median_ratio(seconds['assembler'], seconds['pillow']):.2f} x as fast (target 2) |")
    print(f"| decoding the same crops alone | {rate['decode']:.0f} | we reach "
          f"{100 * median_ratio(seconds['assembler'], seconds['decode']):.0f} % (target 65 %) |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jigsaws", type=int, default=1000)
    arguments = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, {machine()}")
    with tempfile.TemporaryDirectory(prefix="jigsaw-bench-") as scratch:
        if os.path.isdir(COCO):
            compare("COCO crops", *coco_repeated(scratch, 128), scratch, arguments.jigsaws, arguments.repeats)
        compare("toy crops", *toy(scratch, 300), scratch, arguments.jigsaws, arguments.repeats)


if __name__ == "__main__":
    main()
