"""What jigsaw-gen does about annotations as people have them, before and while it works: several sets joined, classes chosen,
pictures found elsewhere, boxes that cannot be right."""

import json
import shutil
import tarfile

import support

SCENES = 12


class Reading(support.ToolTest):
    def setUp(self):
        self.folder = support.scratch()
        self.out = self.folder / "store"
        self.images = self.folder / "images"
        shutil.copytree(support.toy(SCENES) / "images", self.images)
        self.data = support.toy_json(SCENES)
        self.write("all.json", self.data)

    def write(self, name, data):
        (self.folder / name).write_text(json.dumps(data))
        return self.folder / name

    def part(self, name, numbers, **changes):
        """A file of some of the images, with ids of its own."""
        images = [dict(self.data["images"][number]) for number in numbers]
        ids = {image["id"]: position for position, image in enumerate(images, 1)}
        annotations = [dict(a, image_id=ids[a["image_id"]]) for a in self.data["annotations"] if a["image_id"] in ids]
        for image in images:
            image["id"] = ids[image["id"]]
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number
        return self.write(name, {**self.data, "images": images, "annotations": annotations, **changes})

    def arguments(self, *annotations, out=None, images=None):
        named = [word for path in annotations for word in ("--annotations", path)]
        return [*named, "--images", images or self.images, "--out", out or self.out, "--jigsaws", 0]

    def samples(self, out=None):
        found = []
        for path in sorted((out or self.out).glob("shards/*.tar")):
            with tarfile.open(path) as shard:
                found += [json.load(shard.extractfile(entry)) for entry in shard if entry.name.endswith(".json")]
        return found

    def classes(self, out=None):
        stored = json.loads(((out or self.out) / "dataset.json").read_text())
        return {category["name"]: category["id"] for category in stored["categories"]}


class Joined(Reading):
    def test_two_files_are_one_data_set(self):
        first, second = self.part("a.json", range(0, 5)), self.part("b.json", range(5, SCENES))
        done = self.succeed(*self.arguments(first, second))
        self.assertIn("a.json: coco, 5 images", done.stderr)
        self.succeed("--check", self.out)
        whole = self.folder / "whole"
        self.succeed(*self.arguments(self.folder / "all.json", out=whole))
        positives = [[s["file_name"], s["category"], s["source"]] for s in self.samples() if "bbox" in s]
        expected = [[s["file_name"], s["category"], s["source"]] for s in self.samples(whole) if "bbox" in s]
        self.assertEqual(positives, expected)
        self.assertEqual({s["set"] for s in self.samples()}, {1, 2})
        for sample in self.samples():
            self.assertEqual(sample["set"], 1 if sample["file_name"] < "000006" else 2)
        self.assertNotIn("set", self.samples(whole)[0])
        self.assertIn("complete already", self.succeed(*self.arguments(first, second)).stderr)
        self.refuse(*self.arguments(second, first), words=["other contents of --annotations"])

    def test_each_with_its_own_pictures(self):
        first, second = self.part("a.json", range(0, 5)), self.part("b.json", range(5, SCENES))
        for number in range(6, SCENES + 1):
            target = self.folder / "more" / f"{number:06}.jpg"
            target.parent.mkdir(exist_ok=True)
            (self.images / target.name).rename(target)
        self.succeed("--images", self.folder / "more", *self.arguments(second, first))
        self.assertEqual({s["set"] for s in self.samples() if s["file_name"] > "000005.jpg"}, {1})
        self.assertEqual({s["set"] for s in self.samples() if s["file_name"] < "000006.jpg"}, {2})
        words = ["--images is given 2 times, --annotations 3 times"]
        self.refuse("--annotations", first, "--images", "x", *self.arguments(second, first), code=2, words=words)

    def test_classes_are_united_by_name(self):
        ids = [category["id"] for category in self.data["categories"]]
        turned = dict(zip(ids, ids[1:] + ids[:1]))
        shuffled = [dict(c, id=turned[c["id"]]) for c in self.data["categories"]]
        changed = [dict(a, category_id=turned[a["category_id"]]) for a in self.data["annotations"]]
        whole, other = self.folder / "all.json", self.write("b.json", {**self.data, "categories": shuffled, "annotations": changed})
        done = self.succeed(*self.arguments(whole, other))
        self.assertIn("number their classes differently", done.stderr)
        self.assertIn("repeat the picture of another", done.stderr)
        names = [category["name"] for category in self.data["categories"]]
        self.assertEqual(self.classes(), {name: number for number, name in enumerate(names, 1)})
        of_set = [[(s["file_name"], s["category"]) for s in self.samples() if s["set"] == n and "bbox" in s] for n in (1, 2)]
        self.assertEqual(of_set[0], of_set[1])

    def test_lists_that_are_not(self):
        words = ["--annotations a.json --annotations b.json"]
        self.refuse("--annotations", "a.json", "b.json", "--out", self.out, code=2, words=words)
        self.refuse("--annotations", "a.json,b.json", "--out", self.out, words=words)


class Odd(Reading):
    """Names and pictures that are not what they seem."""

    def test_json_under_the_name_of_a_list(self):
        self.succeed(*self.arguments(self.write("all.txt", self.data)))
        self.assertGreater(len(self.samples()), SCENES)

    def test_a_file_for_a_folder(self):
        picture = self.images / "000001.jpg"
        words = ["000001.jpg: a file, where the folder of the pictures should be (--images)"]
        self.refuse(*self.arguments(self.folder / "all.json", images=picture), words=words)

    def test_utf32(self):
        path = self.folder / "wide.json"
        path.write_text(json.dumps(self.data), encoding="utf-32")
        self.refuse(*self.arguments(path), words=["wide.json is UTF-32 text: save it as UTF-8"])

    def test_what_is_no_picture(self):
        kinds = {
            "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "a web page": b"<!DOCTYPE html><html></html>",
            "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0mif1avif",
            "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0mif1heic",
            "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
            "DICOM": bytes(128) + b"DICM",
            "not a picture of a known format (it begins with the bytes 44 49 43 4d)": b"DICM",
        }
        for what, head in kinds.items():
            with self.subTest(what):
                (self.images / "000001.jpg").write_bytes(head)
                self.refuse(*self.arguments(self.folder / "all.json"), "--overwrite", words=["000001.jpg: ", what])


class Classes(Reading):
    def test_left_out_and_renamed(self):
        names = [category["name"] for category in self.data["categories"]]
        used = sorted({s["category_id"] for s in self.data["annotations"]})
        gone, one, other = (next(c["name"] for c in self.data["categories"] if c["id"] == i) for i in used[:3])
        options = ["--ignore-classes", gone, "--rename-classes", f"{one}=thing,{other}=thing"]
        done = self.succeed(*self.arguments(self.folder / "all.json"), *options)
        self.assertEqual(len(self.classes()), len(names) - 2)
        self.assertIn("thing", self.classes())
        self.assertNotIn(gone, {s["category"] for s in self.samples()})
        ignored = [a for a in self.data["annotations"] if a["category_id"] == used[0]]
        self.assertIn(f"{len(ignored)} ignored", done.stdout)
        ids = {image["id"]: image["file_name"] for image in self.data["images"]}
        for sample in self.samples():  # nor does background show them
            x, y, w, h = sample["source"]
            for box in ignored if "bbox" not in sample else []:
                bx, by, bw, bh = box["bbox"]
                apart = x >= bx + bw or bx >= x + w or y >= by + bh or by >= y + h
                self.assertTrue(apart or ids[box["image_id"]] != sample["file_name"])
        words = ["--ignore-classes: no class is called \"Wheeel\"", names[0]]
        self.refuse(*self.arguments(self.folder / "all.json"), "--ignore-classes", "Wheeel", words=words)
        self.refuse(*self.arguments("x"), "--skip-classes", gone, code=2, words=["did you mean --ignore-classes?"])

    def test_one_name_twice(self):
        first = self.data["categories"][0]
        self.data["categories"].append({"id": 1000, "name": first["name"]})
        for number, annotation in enumerate(self.data["annotations"]):
            if annotation["category_id"] == first["id"] and number % 2:
                annotation["category_id"] = 1000
        done = self.succeed(*self.arguments(self.write("twice.json", self.data)))
        self.assertIn("2 classes are called", done.stderr)
        self.assertEqual(self.classes()[first["name"]], first["id"])
        self.assertEqual(len(self.classes()), len(self.data["categories"]) - 1)


class Pictures(Reading):
    def test_names_in_other_spellings(self):
        for number, image in enumerate(self.data["images"]):
            name = image["file_name"]
            image["file_name"] = [f"images\\{name}", f"images/{name.upper()}", f"{name}"][number % 3]
        done = self.succeed(*self.arguments(self.write("c.json", self.data)))
        self.assertIn(f"{SCENES * 2 // 3} pictures are not where the annotations say", done.stderr)
        self.assertIn("pictures are not where the annotations say", done.stdout)
        expected = self.folder / "expected"
        self.succeed(*self.arguments(self.folder / "all.json", out=expected))
        self.assertEqual([s["source"] for s in self.samples()], [s["source"] for s in self.samples(expected)])

    def test_the_wrong_folder(self):
        wrong = self.folder / "wrong"
        wrong.mkdir()
        words = [f"{SCENES} of {SCENES} pictures are missing from {wrong}: 000001.jpg", f"try --images {self.images}"]
        self.refuse(*self.arguments(self.folder / "all.json", images=wrong), words=words)
        self.assertFalse(self.out.exists())

    def test_pictures_are_part_of_the_identity(self):
        json_file = self.folder / "all.json"
        other = self.folder / "other"
        shutil.copytree(self.images, other)
        (other / "000004.jpg").write_bytes((self.images / "000004.jpg").read_bytes() + b"\0")
        gone = (self.images / "000007.jpg").read_bytes()
        (self.images / "000007.jpg").unlink()
        done = self.succeed(*self.arguments(json_file), "--max-bad", 20)
        self.assertIn("1 of 12 pictures are missing", done.stderr)
        self.assertIn("complete already", self.succeed(*self.arguments(json_file), "--max-bad", 20).stderr)
        (self.images / "000007.jpg").write_bytes(gone)
        words = ["other contents of --images", "--overwrite"]
        self.refuse(*self.arguments(json_file), "--max-bad", 20, words=words)
        self.refuse(*self.arguments(json_file, images=other), "--max-bad", 20, words=words)
        self.succeed(*self.arguments(json_file), "--max-bad", 20, "--overwrite")
        moved = self.folder / "moved"
        self.images.rename(moved)
        self.assertIn("complete already", self.succeed(*self.arguments(json_file, images=moved), "--max-bad", 20).stderr)


class Boxes(Reading):
    def changed(self, change):
        sizes = {image["id"]: (image["width"], image["height"]) for image in self.data["images"]}
        annotations = [dict(a, bbox=change(*a["bbox"], *sizes[a["image_id"]])) for a in self.data["annotations"]]
        return self.write("c.json", {**self.data, "annotations": annotations})

    def check(self, option, change):
        path = self.changed(change)
        for mode in [], ["--dry-run"]:
            self.refuse(*self.arguments(path), *mode, words=["c.json: ", f"--boxes {option}"])
        self.assertFalse(self.out.exists())
        self.succeed(*self.arguments(path), "--boxes", option)
        expected = self.folder / "expected"
        self.succeed(*self.arguments(self.folder / "all.json", out=expected))
        self.assertEqual([s["source"] for s in self.samples()], [s["source"] for s in self.samples(expected)])
        self.refuse(*self.arguments(self.folder / "all.json"), "--boxes", option, words=["all.json: "])
        data = json.loads(path.read_text())  # nor need the annotations say how large the pictures are
        for image in data["images"]:
            del image["width"], image["height"]
        path, out = self.write("c.json", data), self.folder / "sizes"
        self.refuse(*self.arguments(path, out=out), words=["c.json: ", f"--boxes {option}"])
        self.succeed(*self.arguments(path, out=out), "--boxes", option)
        self.assertEqual([s["source"] for s in self.samples(out)], [s["source"] for s in self.samples(expected)])

    def test_corners(self):
        self.check("xyxy", lambda x, y, w, h, width, height: [x, y, x + w, y + h])

    def test_parts(self):
        self.check("relative", lambda x, y, w, h, width, height: [x / width, y / height, w / width, h / height])

    def test_corners_in_parts(self):
        self.check(
            "relative-xyxy", lambda x, y, w, h, width, height: [x / width, y / height, (x + w) / width, (y + h) / height]
        )

    def test_who_knows_better(self):
        path = self.changed(lambda x, y, w, h, width, height: [x, y, x + w, y + h])
        done = self.succeed(*self.arguments(path), "--boxes", "xywh")
        self.assertIn("fit as x1 y1 x2 y2", done.stderr)
        self.assertIn("fit as x1 y1 x2 y2", done.stdout)


if __name__ == "__main__":
    support.main()
