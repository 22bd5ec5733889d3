"""What becomes of boxes, backgrounds, turned pictures and broken ones: counted, named, and where the option says."""

import json
import shutil
import struct
import tarfile

import support

SCENES = 24


def with_orientation(jpeg, orientation):
    """The JPEG file with an EXIF segment that says how it is to be turned."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def turned_box(box, orientation, width, height):
    """x, y, w, h on the stored picture as they are on the upright one, and its size."""
    x, y, w, h = box
    if orientation in (2, 3, 7, 8):
        x = width - x - w
    if orientation in (3, 4, 6, 7):
        y = height - y - h
    return ([y, x, h, w], (height, width)) if orientation >= 5 else ([x, y, w, h], (width, height))


class Sampling(support.ToolTest):
    def setUp(self):
        self.folder = support.scratch()
        self.out = self.folder / "out"
        self.images = self.folder / "images"
        shutil.copytree(support.toy(SCENES) / "images", self.images)
        self.document = support.toy_json(SCENES)

    def arguments(self, *more):
        path = self.folder / "instances.json"
        path.write_text(json.dumps(self.document))
        return ["--annotations", path, "--images", self.images, "--out", self.out, *more]

    def boxes(self):
        return json.loads((self.out / "dataset.json").read_text())["boxes"]

    def stored(self, *fields):
        """What KEY.json says of every sample."""
        found = []
        for shard in sorted((self.out / "shards").glob("*.tar")):
            with tarfile.open(shard) as tar:
                found += [json.load(tar.extractfile(name)) for name in sorted(tar.getnames()) if name.endswith(".json")]
        return [{field: sample[field] for field in fields if field in sample} for sample in found]


class Boxes(Sampling):
    def test_crowd(self):
        for box in self.document["annotations"]:
            box["iscrowd"] = 1
        self.refuse(*self.arguments(), words=["none of its", "are crowd (iscrowd 1)", "--crowd use"])
        done = self.succeed(*self.arguments("--crowd", "use"))
        self.assertEqual(self.boxes()["positives"], len(self.document["annotations"]))
        self.assertNotIn("crowd)", done.stdout)

    def test_swapped_corners(self):
        """Counted and named, and no background where they lie."""
        image = self.document["images"][0]
        for box in self.document["annotations"]:
            if box["image_id"] == image["id"]:
                box["bbox"] = [image["width"], image["height"], -image["width"], -image["height"]]  # all of the picture
        spoilt = sum(box["image_id"] == image["id"] for box in self.document["annotations"])
        first = next(box["id"] for box in self.document["annotations"] if box["image_id"] == image["id"])
        done = self.succeed(*self.arguments("--negatives", 2, "--negative-size", "uniform"))
        self.assertIn(f"{spoilt} swapped", done.stdout)
        self.assertIn(f"first swapped: annotation {first} in 000001.jpg", done.stdout)
        self.assertNotIn({"image_id": image["id"]}, self.stored("image_id"))
        self.assertEqual(self.boxes()["dropped"]["swapped"], spoilt)

    def test_rounded_labels_are_not_clipped(self):
        """Six digits, as YOLO has them, for boxes that touch the picture's border."""
        labels = self.folder / "labels"
        labels.mkdir()
        sizes = {}
        for image in self.document["images"]:
            w, h = image["width"], image["height"]
            lines = []
            for x, y, bw, bh in ((0, 0, w // 3, h), (w - w // 3, 0, w // 3, h // 7), (w // 2, h // 2, w - w // 2, h - h // 2)):
                lines.append(f"0 {(x + bw / 2) / w:.6f} {(y + bh / 2) / h:.6f} {bw / w:.6f} {bh / h:.6f}")
                sizes.setdefault(image["file_name"], []).append([x, y, bw, bh])
            (labels / image["file_name"]).with_suffix(".txt").write_text("\n".join(lines))
        (labels / "classes.txt").write_text("thing\n")
        arguments = ["--annotations", labels, "--images", self.images, "--out", self.out, "--context", 1, "--negatives", 0]
        done = self.succeed(*arguments)
        self.assertNotIn("clipped", done.stdout)
        self.assertEqual(self.boxes()["clipped"], 0)
        found = {}
        for sample in self.stored("file_name", "source"):
            found.setdefault(sample["file_name"], []).append(sample["source"])
        self.assertEqual(found, sizes)


class Backgrounds(Sampling):
    def test_pictures_without_boxes_give_them(self):
        """Boxes that leave no room in their own pictures: all of the background is from elsewhere."""
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.document["images"]}
        full = set(list(sizes)[: SCENES // 2])
        self.document["annotations"] = [box for box in self.document["annotations"] if box["image_id"] in full]
        for box in self.document["annotations"]:
            box["iscrowd"] = 0
        for image in full:
            w, h = sizes[image]
            self.document["annotations"].append(
                {"id": 10000 + image, "image_id": image, "category_id": 1, "bbox": [0, 0, w, h], "iscrowd": 0}
            )
        wanted = round(len(self.document["annotations"]) * 0.5)
        done = self.succeed(*self.arguments("--negatives", 0.5))
        boxes = self.boxes()
        self.assertEqual((boxes["negatives"], boxes["negatives_made_up"]), (wanted, wanted))
        self.assertIn(f"{wanted} of them made up", done.stdout)
        self.assertNotIn("given up", done.stdout)
        background = [s["image_id"] for s in self.stored("image_id", "annotation_id") if "annotation_id" not in s]
        self.assertEqual(len(background), wanted)
        self.assertEqual(full & set(background), set())
        self.assertGreater(len(set(background)), SCENES // 3)
        expected = support.digest(self.out)
        self.succeed(*self.arguments("--negatives", 0.5, "--overwrite", "--workers", 5))
        self.assert_same_store(self.out, expected)
        done = self.succeed(*self.arguments("--negatives", 0.5, "--negatives-from", "same", "--overwrite"))
        self.assertEqual(self.boxes()["negatives"], 0)
        self.assertIn("given up for want of room", done.stdout)


class Orientation(Sampling):
    ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8]

    def turn(self, said_upright):
        """Gives the first eight pictures an orientation, and has boxes where they are on the upright ones."""
        turned = {}
        for orientation, image in zip(self.ORIENTATIONS, self.document["images"]):
            path = self.images / image["file_name"]
            path.write_bytes(with_orientation(path.read_bytes(), orientation))
            turned[image["id"]] = (orientation, image["width"], image["height"])
            if said_upright and orientation >= 5:
                image["width"], image["height"] = image["height"], image["width"]
        for box in self.document["annotations"]:
            if box["image_id"] in turned:
                orientation, width, height = turned[box["image_id"]]
                if said_upright:
                    box["bbox"], _ = turned_box(box["bbox"], orientation, width, height)

    def tight(self, *more):
        """The crops' rectangles as stored; the same whichever way the boxes are said to lie, if that is the right one."""
        self.succeed(*self.arguments("--context", 1, "--negatives", 0, "--overwrite", *more))
        return self.stored("annotation_id", "rect")

    def test_labels_of_yolo_are_upright(self):
        expected = self.tight()
        self.turn(True)
        labels = self.folder / "labels"
        labels.mkdir()
        for image in self.document["images"]:
            lines = []
            for box in self.document["annotations"]:
                if box["image_id"] == image["id"] and not box["iscrowd"]:
                    x, y, w, h = box["bbox"]
                    W, H = image["width"], image["height"]
                    lines.append(f"0 {(x + w / 2) / W:.6f} {(y + h / 2) / H:.6f} {w / W:.6f} {h / H:.6f}")
            (labels / image["file_name"]).with_suffix(".txt").write_text("\n".join(lines))
        (labels / "classes.txt").write_text("thing\n")
        arguments = ["--annotations", labels, "--images", self.images, "--out", self.folder / "yolo", "--context", 1]
        done = self.succeed(*arguments, "--negatives", 0)
        self.assertIn("7 with an EXIF orientation; boxes are taken to be on the upright pictures", done.stdout)
        self.out = self.folder / "yolo"
        self.assertEqual([s["rect"] for s in self.stored("rect")], [s["rect"] for s in expected])

    def test_coco_where_the_size_tells(self):
        expected = self.tight()
        square = {image["id"] for image in self.document["images"][4:8] if image["width"] == image["height"]}
        self.turn(True)
        found = self.tight("--max-bad", 0)
        done = self.succeed(*self.arguments("--dry-run"))
        self.assertIn("7 with an EXIF orientation", done.stdout)
        self.assertIn("--exif on|off decides", done.stdout)
        by_id = {s["annotation_id"]: s["rect"] for s in found}
        told = {image["id"] for image in self.document["images"][4:]} - square | {self.document["images"][0]["id"]}
        image_of = {box["id"]: box["image_id"] for box in self.document["annotations"]}
        for sample in expected:
            if image_of[sample["annotation_id"]] in told:
                self.assertEqual(by_id[sample["annotation_id"]], sample["rect"])
        self.assertEqual(self.tight("--exif"), expected)  # all of them are on upright pictures
        self.assertEqual(self.tight("--exif", "on"), expected)

    def test_coco_on_stored_pixels(self):
        expected = self.tight()
        self.turn(False)
        self.assertEqual(self.tight(), expected)
        self.assertEqual(self.tight("--no-exif"), expected)
        done = self.succeed(*self.arguments("--dry-run"))
        self.assertIn("7 with an EXIF orientation; boxes are taken to be on the stored pixels; --exif if", done.stdout)


class Broken(Sampling):
    def setUp(self):
        super().setUp()
        self.gone = sorted(path.name for path in self.images.iterdir())[1::2] + ["more%02d.jpg" % i for i in range(15)]
        for name in self.gone:
            (self.images / name).unlink(missing_ok=True)
        for name in self.gone[-15:]:
            self.document["images"].append({"id": 1000 + int(name[4:6]), "file_name": name, "width": 9, "height": 9})
        self.count = f"{len(self.gone)} of {SCENES + 15} images are broken"

    def lines(self, path):
        return [line.split(":")[0] for line in path.read_text().splitlines()]

    def test_dry_run_counts_all(self):
        listed = self.folder / "listed.txt"
        done = support.run(*self.arguments("--dry-run", "--broken-list", listed))
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.count, done.stderr)
        self.assertIn(f"and {len(self.gone) - 20} more", done.stdout)
        self.assertEqual(done.stdout.count("No such file"), 20)
        self.assertIn("  boxes ", done.stdout)
        self.assertEqual(self.lines(listed), [str(self.images / name) for name in self.gone])
        self.assertFalse(self.out.exists())
        done = self.succeed(*self.arguments("--dry-run", "--max-bad", 100))
        self.assertIn(f"and {len(self.gone) - 20} more", done.stdout)

    def spoil(self):
        """What is missing altogether is told before any work; what is there and no picture is not."""
        for name in self.gone:
            (self.images / name).write_bytes(b"no picture")

    def test_a_store_lists_them(self):
        self.spoil()
        message = self.refuse(*self.arguments(), words=["broken so far", self.out / "broken.txt", "--max-bad", "--overwrite"])
        self.assertIn(str(self.images / self.lines(self.out / "broken.txt")[0]), message)
        done = self.succeed(*self.arguments("--max-bad", 100))
        self.assertIn(f"and {len(self.gone) - 20} more", done.stdout)
        self.assertEqual(self.lines(self.out / "broken.txt"), [str(self.images / name) for name in self.gone])
        self.assertIn("is whole", self.succeed("--check", self.out).stdout)
        again = self.succeed(*self.arguments("--max-bad", 100)).stderr
        self.assertIn(f"complete already, without {len(self.gone)} broken images that broken.txt there lists", again)

    def test_no_list_when_nothing_is_broken(self):
        self.spoil()
        self.refuse(*self.arguments())
        self.assertTrue((self.out / "broken.txt").exists())
        for name in self.gone:
            shutil.copy(self.images / "000001.jpg", self.images / name)
        for image in self.document["images"]:
            image.pop("width"), image.pop("height")
        self.succeed(*self.arguments("--overwrite", "--jigsaws", 0))
        self.assertFalse((self.out / "broken.txt").exists())


class Preview(Sampling):
    def test_what_is_there_stays(self):
        preview = self.folder / "sheet.png"
        others = [self.folder / f"sheet.png{suffix}" for suffix in (".tmp", ".0.tmp", ".1.tmp")]
        for path in others:
            path.write_text("mine")
        self.succeed(*self.arguments("--preview", preview, "--jigsaws", 0))
        self.assertEqual([path.read_text() for path in others], ["mine"] * 3)
        self.assertTrue(preview.read_bytes().startswith(b"\x89PNG"))
        self.assertEqual(sorted(self.folder.glob("sheet*")), sorted([preview, *others]))


if __name__ == "__main__":
    support.main()
