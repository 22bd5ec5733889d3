"""What jigsaw-gen does, as one would write it with Pillow: decode each image once, crop every box with random context
and a background rectangle for every tenth box, encode at quality 95 into one tar per process. Prints seconds and crops.

    gen_pillow.py ANNOTATIONS IMAGES OUT PROCESSES
"""

import io
import json
import math
import multiprocessing
import os
import random
import sys
import tarfile
import time

from PIL import Image


def context(low, size, limit, rng):
    most = size // 2
    return max(0, low - rng.randint(0, most)), min(limit, low + size + rng.randint(0, most))


def overlaps(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crops_of(width, height, boxes, rng):
    crops = []
    pixel_boxes = []
    for x, y, w, h in boxes:
        x0, y0 = max(0, math.floor(x)), max(0, math.floor(y))
        x1, y1 = min(width, math.ceil(x + w)), min(height, math.ceil(y + h))
        if x1 > x0 and y1 > y0:
            pixel_boxes.append((x0, y0, x1, y1))
    for x0, y0, x1, y1 in pixel_boxes:
        left, right = context(x0, x1 - x0, width, rng)
        top, bottom = context(y0, y1 - y0, height, rng)
        crops.append((left, top, right, bottom))
    wanted = len(pixel_boxes) * 0.1
    for _ in range(int(wanted) + (rng.random() < wanted % 1)):
        for _ in range(100):
            x0, y0, x1, y1 = rng.choice(crops)
            w, h = x1 - x0, y1 - y0
            x, y = rng.randint(0, width - w), rng.randint(0, height - h)
            candidate = (x, y, x + w, y + h)
            if not any(overlaps(candidate, box) for box in pixel_boxes):
                crops.append(candidate)
                break
    return crops


def work(arguments):
    entries, folder, path, seed = arguments
    rng = random.Random(seed)
    count = 0
    with tarfile.open(path, "w") as tar:
        for index, (name, boxes) in enumerate(entries):
            image = Image.open(os.path.join(folder, name))
            image.load()
            for number, crop in enumerate(crops_of(image.width, image.height, boxes, rng)):
                for suffix, data in (("jpg", encode(image.crop(crop))), ("json", json.dumps({"rect": crop}).encode())):
                    member = tarfile.TarInfo(f"{index:09d}_{number:04d}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                count += 1
    return count


def encode(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


def main():
    annotations, folder, out, processes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with open(annotations) as f:
        data = json.load(f)
    boxes = {image["id"]: [] for image in data["images"]}
    for annotation in data["annotations"]:
        if not annotation.get("iscrowd"):
            boxes[annotation["image_id"]].append(annotation["bbox"])
    entries = [(image["file_name"], boxes[image["id"]]) for image in data["images"]]
    os.makedirs(out, exist_ok=True)
    started = time.monotonic()
    jobs = [(entries[i::processes], folder, os.path.join(out, f"{i}.tar"), i) for i in range(processes)]
    with multiprocessing.Pool(processes) as pool:
        count = sum(pool.map(work, jobs))
    print(f"{time.monotonic() - started:.6f} {count}")


if __name__ == "__main__":
    main()
