"""What others read: webdataset the shards, Pillow the JPEGs, pycocotools the annotations; and that cutting lost nothing.

Needs webdataset, pycocotools, numpy and Pillow; skipped where one is missing.
"""

import collections
import contextlib
import io
import json
import shutil
import struct
import sys
from pathlib import Path

import support

try:
    import numpy as np
    import webdataset
    from PIL import Image, ImageOps
    from pycocotools.coco import COCO
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(support.SKIPPED)

SCENES = support.scaled(60, 20)
GROCERIES = support.scaled(300, 50)
RECORD = struct.Struct("<QIiqq4i4i4fIBBBB")  # jigsaw/store.h, struct jig_record
HEAD = struct.Struct("<8sQQ")


def records(store):
    """Of all index files, in store order: dictionaries."""
    for path in sorted((store / "shards").glob("*.idx")):
        data = path.read_bytes()
        _, count, text = HEAD.unpack_from(data)
        start = len(data) - text - count * RECORD.size
        for i in range(count):
            fields = RECORD.unpack_from(data, start + i * RECORD.size)
            yield {"label": fields[2], "image_id": fields[3], "annotation_id": fields[4], "rect": list(fields[5:9]),
                   "source": list(fields[9:13]), "image": fields[17], "group": "TSW"[fields[18]], "orientation": fields[19],
                   "negative": fields[20] == 1}  # fmt: skip


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


class Store:
    """A store, and everything that it holds as others read it."""

    def __init__(self, images, *arguments):
        self.images = Path(images)
        self.folder = support.scratch() / "store"
        done = support.run(*arguments, "--out", self.folder)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        self.description = json.loads((self.folder / "dataset.json").read_text())
        self.shards = [str(self.folder / shard["file"]) for shard in self.description["shards"]]
        self.records = list(records(self.folder))

    def samples(self):
        """(key, JPEG bytes, JSON) as webdataset iterates them."""
        for sample in webdataset.WebDataset(self.shards, shardshuffle=False, empty_check=False):
            yield sample["__key__"], sample["jpg"], json.loads(sample["json"]), set(sample)


class Checks:
    """Run on each of the stores below."""

    exact = True  # crops of JPEG sources; else close to them

    def test_webdataset_iterates_the_shards(self):
        keys, kinds = [], set()
        for key, _, _, fields in self.store.samples():
            keys.append(key)
            kinds.add(frozenset(name for name in fields if not name.startswith("__")))
        self.assertEqual(len(keys), self.store.description["samples"])
        self.assertEqual(len(keys), len(self.store.records))
        self.assertEqual(keys, sorted(set(keys)))
        self.assertEqual(kinds, {frozenset({"jpg", "json"})})

    def test_descriptions_agree_with_index_and_jpeg(self):
        names = {category["label"]: category["name"] for category in self.store.description["categories"]}
        groups = collections.Counter()
        for (key, jpeg, described, _), record in zip(self.store.samples(), self.store.records):
            with self.subTest(key=key):
                for name in "label", "image_id", "source", "rect", "group", "orientation":
                    self.assertEqual(described[name], record[name], name)
                with Image.open(io.BytesIO(jpeg)) as image:
                    width, height = image.size
                x, y, w, h = described["rect"]
                self.assertTrue(0 <= x and 0 <= y and w >= 1 and h >= 1 and x + w <= width and y + h <= height)
                turned = described["orientation"] >= 5
                self.assertEqual(described["source"][2:], [h, w] if turned else [w, h])
                groups[described["group"]] += 1
                if record["negative"]:
                    self.assertEqual(described["category"], "background")
                    self.assertNotIn("bbox", described)
                    continue
                self.assertEqual(described["category"], names[described["label"]])
                self.assertEqual(described["annotation_id"], record["annotation_id"])
                bx, by, bw, bh = described["bbox"]
                _, _, sw, sh = described["source"]
                self.assertTrue(bx >= -1e-3 and by >= -1e-3 and bw > 0 and bh > 0, described)
                self.assertTrue(bx + bw <= sw + 1e-3 and by + bh <= sh + 1e-3, described)
        self.assertEqual(dict(groups), {k: v for k, v in self.store.description["groups"].items() if v > 0})

    def test_crops_are_the_source(self):
        """Pillow's pixels of the stored crop against Pillow's pixels of the whole source picture."""
        name, picture, differing, worst = None, None, [], np.inf
        for key, jpeg, described, _ in self.store.samples():
            if described["file_name"] != name:
                name = described["file_name"]
                picture = pixels((self.store.images / name).read_bytes())
            self.assertEqual(described["orientation"], 1)
            x, y, w, h = described["rect"]
            crop = pixels(jpeg)[y : y + h, x : x + w]
            x, y, w, h = described["source"]
            source = picture[y : y + h, x : x + w]
            self.assertEqual(crop.shape, source.shape, key)
            if not self.exact:
                worst = min(worst, psnr(crop, source))
            elif not np.array_equal(crop, source):
                differing.append((key, int(np.abs(crop.astype(int) - source).max())))
        self.assertEqual(differing[:10], [], f"{len(differing)} crops differ")
        self.assertGreater(worst, 30)

    def test_pycocotools_reads_the_jigsaws(self):
        jigsaws = self.store.folder / "jigsaws"
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(jigsaws / "annotations" / "instances.json"))
        count = (len(self.store.records) + 3) // 4
        self.assertEqual(len(coco.getImgIds()), count)
        self.assertEqual(len(coco.getAnnIds()), 4 * count)
        names = [category["name"] for category in self.store.description["categories"]]
        background = self.store.description["background_label"]
        names += ["background"] if background is not None else []
        self.assertEqual([coco.cats[i]["name"] for i in sorted(coco.cats)], [n for _, n in sorted(zip(
            [c["id"] for c in self.store.description["categories"]] + [1 << 60], names))])  # fmt: skip
        ids = [category["id"] for category in self.store.description["categories"]]
        expected = collections.Counter()
        for annotation in coco.anns.values():
            record = self.store.records[annotation["sample"]]
            category = annotation["category_id"]
            self.assertEqual(coco.cats[category]["name"], "background" if record["negative"] else names[record["label"]])
            if not record["negative"]:
                self.assertEqual(category, ids[record["label"]])
            self.assertEqual(annotation["source"]["bbox"], record["source"])
            self.assertEqual(annotation["source"]["image_id"], record["image_id"])
            expected[category] += 1
        for category in coco.cats:
            self.assertEqual(len(coco.getAnnIds(catIds=[category])), expected[category])

    def test_masks_are_the_tiles(self):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(self.store.folder / "jigsaws" / "annotations" / "instances.json"))
        for annotation in list(coco.anns.values())[:200]:
            x, y, w, h = annotation["bbox"]
            expected = np.zeros((224, 224), np.uint8)
            expected[y : y + h, x : x + w] = 1
            self.assertTrue(np.array_equal(coco.annToMask(annotation), expected), annotation)

    def test_every_jigsaw_opens(self):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(self.store.folder / "jigsaws" / "annotations" / "instances.json"))
        for entry in coco.imgs.values():
            data = (self.store.folder / "jigsaws" / "images" / entry["file_name"]).read_bytes()
            picture = pixels(data)
            self.assertEqual(picture.shape, (entry["height"], entry["width"], 3))
            tiles = coco.imgToAnns[entry["id"]]
            outside = np.ones(picture.shape[:2], bool)
            for annotation in tiles:
                x, y, w, h = annotation["bbox"]
                outside[y : y + h, x : x + w] = False
            if outside.any():  # the padding is black but for what JPEG blocks bring over from the tiles
                self.assertLess(np.median(picture[outside]), 8)


def toy_variant(change):
    """The toy data set with `change(picture, path)` in place of each file; its arguments and image folder."""
    folder = support.scratch() / "toy"
    shutil.copytree(support.toy(SCENES), folder)
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as picture:
            change(picture.convert("RGB"), path)
    return folder / "images", "--annotations", folder / "annotations" / "instances.json", "--images", folder / "images"


class Toy444(Checks, support.ToolTest):
    """As jigsaw-gen --toy writes it."""

    @classmethod
    def setUpClass(cls):
        cls.store = Store(support.toy(SCENES) / "images", *support.toy_arguments(SCENES))


class Toy420(Checks, support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(*toy_variant(lambda picture, path: picture.save(path, quality=85, subsampling="4:2:0")))


class Toy422(Checks, support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(*toy_variant(lambda picture, path: picture.save(path, quality=85, subsampling="4:2:2")))


class ToyGray(Checks, support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(*toy_variant(lambda picture, path: picture.convert("L").save(path, quality=85)))


class ToyProgressive(Checks, support.ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(*toy_variant(lambda picture, path: picture.save(path, quality=85, progressive=True)))


class ToyPng(Checks, support.ToolTest):
    exact = False

    @classmethod
    def setUpClass(cls):
        cls.store = Store(*toy_variant(lambda picture, path: picture.save(path, format="PNG")))


class ToyTurned(support.ToolTest):
    """Boxes on pictures as their EXIF orientation shows them: the files hold them turned."""

    def test_crops_are_the_upright_source(self):
        turn = [None, None, Image.FLIP_LEFT_RIGHT, Image.ROTATE_180, Image.FLIP_TOP_BOTTOM, Image.TRANSPOSE,
                Image.ROTATE_90, Image.TRANSVERSE, Image.ROTATE_270]  # fmt: skip

        def change(picture, path):
            orientation = 1 + int(path.stem) % 8
            if turn[orientation] is not None:
                picture = picture.transpose(turn[orientation])
            exif = Image.Exif()
            exif[0x0112] = orientation
            picture.save(path, quality=90, subsampling="4:4:4", exif=exif)

        images, *arguments = toy_variant(change)
        store = Store(images, *arguments, "--exif")
        seen = set()
        for key, jpeg, described, _ in store.samples():
            with Image.open(images / described["file_name"]) as picture:
                upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
            x, y, w, h = described["rect"]
            crop = Image.fromarray(pixels(jpeg)[y : y + h, x : x + w])
            back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(described["orientation"])
            crop = np.asarray(crop if back is None else crop.transpose(turn[back]))
            x, y, w, h = described["source"]
            self.assertTrue(np.array_equal(crop, upright[y : y + h, x : x + w]), (key, described))
            seen.add(described["orientation"])
        self.assertEqual(seen, set(range(1, 9)))


# ---- real data, where it is there ----


def real(name):
    """A class of tests of its own for the data set; skipped where it is not there."""

    def decorate(make):
        def set_up(cls):
            if not (support.DATA / name).is_dir():
                raise support.unittest.SkipTest(f"{support.DATA / name} is not there")
            cls.store = Store(*make(support.DATA / name))

        attributes = {"setUpClass": classmethod(set_up), "exact": name != "groceries_png", "__doc__": make.__doc__}
        return type(make.__name__, (Checks, support.ToolTest), attributes)

    return decorate


@real("coco128")
def Coco128(folder):
    return folder / "train2017", "--annotations", folder


@real("coco_tiny")
def CocoTiny(folder):
    return folder / "train2017", "--annotations", folder, "--split", "train2017"


@real("tiny_coco")
def TinyCoco(folder):
    return folder / "val2017", "--annotations", folder, "--split", "val2017"


@real("groceries")
def Groceries(folder):
    """Some of its pictures, evenly spread."""
    some = support.scratch()
    (some / "Annotations").mkdir()
    (some / "JPEGImages").mkdir()
    documents = sorted((folder / "Annotations").glob("*.xml"))
    for document in documents[:: max(1, len(documents) // GROCERIES)]:
        shutil.copy(document, some / "Annotations")
        shutil.copy(folder / "JPEGImages" / f"{document.stem}.jpg", some / "JPEGImages")
    return some / "JPEGImages", "--annotations", some


@real("groceries_png")
def GroceriesPng(folder):
    return folder, "--annotations", folder


if __name__ == "__main__":
    support.main(warnings="ignore")  # webdataset leaves its files to the garbage collector
