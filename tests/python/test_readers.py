"""Every image, category and box that the readers give, against pycocotools and xml.etree, on made and on real files.

    python3 tests/python/test_readers.py BUILD_BIN_DIR

Real files are those of JIGSAW_TEST_DATA, or of shared/data beside the repository. Exits with 77 (skipped) without
pycocotools.
"""
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

try:
    from pycocotools import mask as masks
    from pycocotools.coco import COCO
except ImportError:
    print("pycocotools is missing: skipped")
    sys.exit(77)

BIN = ""
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.environ.get("JIGSAW_TEST_DATA") or os.path.join(HERE, "..", "..", "..", "shared", "data")


NEEDS_DATA = unittest.skipUnless(os.path.isdir(DATA), "no real data")


def dump(*arguments):
    """(header, categories, images) as dataset_dump prints them; an image is (id, name, width, height, boxes)."""
    command = [os.path.join(BIN, "dataset_dump"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if run.returncode != 0:
        raise AssertionError(run.stderr)
    header, categories, images = None, [], []
    for line in run.stdout.split("\n"):
        kind, *fields = line.split("\t")
        if kind == "dataset":
            header = fields
        elif kind == "category":
            categories.append((int(fields[0]), fields[1]))
        elif kind == "image":
            images.append((int(fields[0]), fields[1], int(fields[2]), int(fields[3]), []))
        elif kind == "box":
            box = tuple(float(field) for field in fields[2:6])
            images[-1][4].append((int(fields[0]), int(fields[1]), box, int(fields[6])))
    return header, categories, images


def floats(values):
    return tuple(float(value) for value in values)


def chance():
    seed = int(os.environ.get("JIGSAW_TEST_SEED") or random.randrange(1 << 30))
    print(f"JIGSAW_TEST_SEED={seed}")
    return random.Random(seed)


class CocoTest(unittest.TestCase):
    def compare(self, path):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(path)
        _, categories, images = dump(path, ".")
        self.assertEqual(categories, [(item["id"], item["name"]) for item in coco.dataset["categories"]])
        expected = []
        for item in coco.dataset["images"]:
            boxes = [(box["id"], box["category_id"], floats(box["bbox"]), box["iscrowd"])
                     for box in coco.imgToAnns[item["id"]]]
            expected.append((item["id"], item["file_name"], item["width"], item["height"], boxes))
        self.assertEqual(images, expected)

    @NEEDS_DATA
    def test_real_files(self):
        for folder in ("coco128", "coco_tiny", "tiny_coco"):
            annotations = os.path.join(DATA, folder, "annotations")
            for name in sorted(os.listdir(annotations)):
                if name.startswith(("instances", "person")):
                    with self.subTest(folder=folder, name=name):
                        self.compare(os.path.join(annotations, name))

    @NEEDS_DATA
    def test_evaluation_file(self):
        self.compare(os.path.join(DATA, "eval", "instances_val2014_100.json"))

    def test_toy_scenes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([os.path.join(BIN, "jigsaw-gen"), "--toy", "60", "--out", folder, "--quiet"], check=True)
            self.compare(os.path.join(folder, "annotations", "instances.json"))

    def test_random_files(self):
        rng = chance()
        for _ in range(20):
            ids = list({rng.randrange(-(1 << 63), 1 << 63) for _ in range(20)})
            categories = [{"id": rng.randrange(1 << 40) * 100 + i, "name": f"caf\u00e9 \U0001F600 \"{i}\""}
                          for i in range(9)]
            images = [{"id": i, "file_name": f"d/{i}.jpg", "width": rng.randrange(1, 9999), "height": 7} for i in ids]
            boxes = [{"id": i, "image_id": rng.choice(ids), "category_id": rng.choice(categories)["id"],
                      "iscrowd": i % 2,
                      "bbox": [rng.uniform(-1e3, 1e3), rng.random() * 10 ** rng.randrange(-40, 38), i + 1, 1 / 3],
                      "segmentation": [[rng.random() * 640 for _ in range(rng.randrange(40))]]} for i in range(200)]
            sections = [("images", images), ("annotations", boxes), ("categories", categories), ("info", {"x": [[]]})]
            rng.shuffle(sections)
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "instances.json")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(dict(sections), file, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 0, 2, 9]))
                self.compare(path)


    def test_masks(self):
        """Boxes of segmentations, where there is no bbox, are those of pycocotools' toBbox."""
        rng = chance()
        size = [rng.randrange(1, 200), rng.randrange(1, 200)]
        images = [{"id": 1, "file_name": "a.jpg", "height": size[0], "width": size[1]}]
        boxes, expected = [], []
        for i in range(400):
            counts, left = [], size[0] * size[1]
            while left > 0:
                run = min(left, rng.choice((rng.randrange(1, 5), rng.randrange(1, 300), rng.randrange(1, 9000))))
                counts.append(run if counts or rng.random() < 0.7 else 0)
                left -= counts[-1]
            if len(counts) == 1:
                continue
            text = masks.frPyObjects({"counts": counts, "size": size}, *size)
            box = masks.toBbox(text).tolist()
            text["counts"] = text["counts"].decode()
            if i % 3 == 0:
                segmentation = text
            elif i % 3 == 1:
                segmentation = {"size": size, "counts": counts}
            else:
                segmentation = [[rng.uniform(-9, 300) for _ in range(2 * rng.randrange(1, 20))] for _ in range(rng.randrange(1, 4))]
                low = [min(x for part in segmentation for x in part[axis::2]) for axis in range(2)]
                high = [max(x for part in segmentation for x in part[axis::2]) for axis in range(2)]
                box = low + [high[0] - low[0], high[1] - low[1]]
            boxes.append({"id": i, "image_id": 1, "category_id": 1, "segmentation": segmentation})
            if rng.random() < 0.5:
                boxes[-1]["bbox"] = rng.choice(([], None))
            expected.append((i, 1, floats(box), 0))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "instances.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}, file)
            self.assertEqual(dump(path, ".")[2][0][4], expected)

    def test_ids_that_are_text(self):
        rng = chance()
        images = [{"id": rng.choice((f"i{i}", str(10**20 + i), f"\u00e9 {i}")), "file_name": f"{i}.jpg"} for i in range(50)]
        categories = [{"id": f"class {i}", "name": f"c{i}"} for i in range(5)]
        boxes = [{"id": f"{i:032x}", "image_id": rng.choice(images)["id"], "category_id": rng.choice(categories)["id"],
                  "bbox": [i, rng.random(), 2, 3]} for i in range(300)]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "instances.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"images": images, "annotations": boxes, "categories": categories}, file)
            with contextlib.redirect_stdout(io.StringIO()):
                coco = COCO(path)
            _, found, found_images = dump(path, ".")
        self.assertEqual(found, [(i + 1, item["name"]) for i, item in enumerate(categories)])
        names = {item["name"]: number for number, item in enumerate(categories, 1)}
        for number, (item, image) in enumerate(zip(images, found_images), 1):
            expected = [(int(floats(box["bbox"])[0]) + 1, names[coco.cats[box["category_id"]]["name"]], floats(box["bbox"]), 0)
                        for box in coco.imgToAnns[item["id"]]]
            self.assertEqual(image, (number, item["file_name"], 0, 0, expected))


class VocTest(unittest.TestCase):
    def compare(self, documents, pictures, arguments):
        header, categories, images = dump(*arguments)
        self.assertEqual(os.path.normpath(header[2]), os.path.normpath(pictures))
        names, expected = set(), []
        for document in documents:
            root = ElementTree.parse(document).getroot()
            boxes = []
            for item in root.findall("object"):
                low = [float(item.find("bndbox").findtext(name)) for name in ("xmin", "ymin")]
                high = [float(item.find("bndbox").findtext(name)) for name in ("xmax", "ymax")]
                box = floats((low[0] - 1, low[1] - 1, high[0] - low[0] + 1, high[1] - low[1] + 1))
                boxes.append((item.findtext("name"), box, 2 * int(item.findtext("difficult", "0"))))
                names.add(item.findtext("name"))
            size = root.find("size")
            width, height = int(size.findtext("width")), int(size.findtext("height"))
            expected.append((root.findtext("filename"), width, height, boxes))
        self.assertEqual([name for _, name in categories], sorted(names, key=str.encode))
        self.assertEqual([number for number, _ in categories], list(range(len(names))))
        found = [(name, width, height, [(categories[box[1]][1], box[2], box[3]) for box in boxes])
                 for _, name, width, height, boxes in images]
        self.assertEqual(found, expected)
        self.assertEqual([image[0] for image in images], list(range(1, len(images) + 1)))
        self.assertEqual([box[0] for image in images for box in image[4]],
                         list(range(1, sum(len(image[4]) for image in images) + 1)))

    def test_random_folder(self):
        rng = chance()
        with tempfile.TemporaryDirectory() as root:
            folder, pictures = os.path.join(root, "Annotations"), os.path.join(root, "JPEGImages")
            os.mkdir(folder)
            os.mkdir(pictures)
            documents = [os.path.join(folder, f"{i:03d}.xml") for i in range(50)]
            for document in documents:
                name = os.path.basename(document).replace(".xml", rng.choice((".jpg", ".png")))
                ElementTree.ElementTree(self.random_document(rng, name)).write(document, encoding="utf-8")
            self.compare(documents, pictures, [root])

    @staticmethod
    def random_document(rng, picture):
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = picture
        size = ElementTree.SubElement(root, "size")
        for name in ("width", "height"):
            ElementTree.SubElement(size, name).text = str(rng.randrange(1, 5000))
        for _ in range(rng.randrange(8)):
            item = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(item, "name").text = rng.choice(("dog", "caf\u00e9", "a & b", "Zebra", "<1>"))
            if rng.random() < 0.5:
                ElementTree.SubElement(item, "difficult").text = rng.choice("01")
            box = ElementTree.SubElement(item, "bndbox")
            for name in ("xmin", "ymin", "xmax", "ymax"):
                ElementTree.SubElement(box, name).text = f"{rng.uniform(-9, 999):.{rng.randrange(4)}f}"
        return root

    @NEEDS_DATA
    def test_groceries(self):
        root = os.path.join(DATA, "groceries")
        folder, pictures = os.path.join(root, "Annotations"), os.path.join(root, "JPEGImages")
        documents = sorted((os.path.join(folder, name) for name in os.listdir(folder)), key=os.fsencode)
        self.compare(documents, pictures, [root])
        for split in ("train", "val"):
            with open(os.path.join(root, "ImageSets", "Main", split + ".txt"), encoding="utf-8") as file:
                documents = [os.path.join(folder, name + ".xml") for name in file.read().split()]
            self.compare(documents, pictures, [root, "-", split])

    @NEEDS_DATA
    def test_groceries_png(self):
        folder = os.path.join(DATA, "groceries_png")
        names = sorted((name for name in os.listdir(folder) if name.endswith(".xml")), key=os.fsencode)
        self.compare([os.path.join(folder, name) for name in names], folder, [folder])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BIN = sys.argv.pop(1)
    unittest.main()
