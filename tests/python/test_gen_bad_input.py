"""Whatever is wrong with the input: nothing is begun, and the message says where and what to do. Each table row: what is
wrong, how it is made, the exit status, and what the message (for 0: the output) must hold."""

import copy
import json
import os
import shutil
import struct
import zlib

import support

SCENES = 12


class BadInput(support.ToolTest):
    def setUp(self):
        self.folder = support.scratch()
        self.out = self.folder / "out"

    def expect(self, status, words, *arguments):
        """Runs the tool; failure must come before anything is written."""
        if status == 0:
            done = self.succeed("--out", self.out, *arguments)
            for word in words:
                self.assertIn(word, done.stdout + done.stderr)
            self.succeed("--check", self.out)
            return
        message = self.refuse("--out", self.out, *arguments, code=status, words=words)
        self.assertNotIn("\n", message)
        self.assertFalse(self.out.exists(), "work was begun")

    def each(self, table, prepare):
        """`prepare` makes arguments of a row's second column, in a fresh self.folder."""
        for what, how, status, words in table:
            with self.subTest(what):
                self.setUp()
                self.expect(status, words, *prepare(how))


# ---- COCO: what is done to the text, or to the document ----


def text(old, new):
    """The first `old` in the JSON text becomes `new`; both may be bytes."""
    encode = lambda part: part if isinstance(part, bytes) else part.encode()
    return lambda source: source.replace(encode(old), encode(new), 1)


def item(section, index=0, **fields):
    """Sets fields of an item, with values that json.dumps writes; `...` removes the field."""

    def change(source):
        document = json.loads(source)
        for name, value in fields.items():
            if value is ...:
                del document[section][index][name]
            else:
                document[section][index][name] = value
        return json.dumps(document, ensure_ascii=False).encode()

    return change


def document(change):
    def apply(source):
        value = json.loads(source)
        change(value)
        return json.dumps(value, ensure_ascii=False).encode()

    return apply


def boxes(change):
    return document(lambda value: [change(annotation) for annotation in value["annotations"]])


def drop(section):
    return document(lambda value: value.pop(section))


def empty(*sections):
    return document(lambda value: [value[section].clear() for section in sections])


def twice(section):
    return document(lambda value: value[section].append(copy.deepcopy(value[section][0])))


def one_class(value):
    value["categories"] = [{"id": 7, "name": "thing"}]
    for annotation in value["annotations"]:
        annotation["category_id"] = 7


def reshape(width, height):
    """Every box of this size, around its middle."""

    def change(annotation):
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x + w / 2 - width / 2, y + h / 2 - height / 2, width, height]
        annotation["iscrowd"] = 0

    return boxes(change)


BBOX = "\"bbox\": ["
JSON = "instances.json:"
COCO = [
    ("an empty file", lambda source: b"", 1, ["instances.json is empty"]),
    ("not JSON", lambda source: b"<annotation>", 1, [JSON + "1: expected \"{\"", "COCO"]),
    ("a list", lambda source: b"[]", 1, [JSON + "1: expected \"{\""]),
    ("another format", lambda source: b"{\"shapes\": [], \"imagePath\": \"a.jpg\"}", 1, ["instances.json is a labelme file", "labelme2coco"]),
    ("something behind the end", lambda source: source + b"{}", 1, [JSON, "nothing after the end"]),
    ("a trailing comma", text("}\n]", "},\n]"), 1, [JSON, "a comma before \"]\": take the comma out"]),
    ("binary rubbish", lambda source: bytes(range(256)), 1, [JSON + "1"]),
    ("no images section", drop("images"), 1, [JSON, "\"images\": not here"]),
    ("no annotations section", drop("annotations"), 1, [JSON, "no \"annotations\"", "test set"]),
    ("no categories section", drop("categories"), 0, ["    2   "]),
    ("images is an object", document(lambda value: value.update(images={})), 1, [JSON, "an array of images"]),
    ("an image is a number", document(lambda value: value["images"].append(1)), 1, [JSON, "an image"]),
    ("nested too deep", text("\"segmentation\": []", "\"segmentation\": " + "[" * 1000), 1, [JSON, "deep"]),
    ("UTF-16", lambda source: source.decode().encode("utf-16"), 0, ["samples"]),
    # wrong types, field by field: an image or a category stops, an annotation is left out
    ("image id is text", item("images", id="1"), 0, ["samples"]),
    ("image id is a fraction", item("images", id=1.5), 0, ["samples"]),
    ("image id is null", item("images", id=None), 1, [JSON, "an image needs an id"]),
    ("image without id", item("images", id=...), 1, [JSON, "an image has no \"id\""]),
    ("file_name is a number", item("images", file_name=7), 1, ["1 of 12 pictures are missing"]),
    ("image without file_name", item("images", file_name=...), 0, ["an image has no \"file_name\"", "left out, as 1 of 12"]),
    ("width is text", document(lambda value: value["images"][0].update(width=str(value["images"][0]["width"]))), 0, ["0 broken"]),
    ("width is negative", item("images", width=-5), 0, ["samples"]),
    ("height is a list", item("images", height=[480]), 0, ["samples"]),
    ("category id is text", item("categories", id="1"), 0, ["samples"]),
    ("category name is a number", item("categories", name=3), 0, ["    3   "]),
    ("category without name", item("categories", name=...), 1, [JSON, "a category has no \"name\""]),
    ("image_id is text", item("annotations", image_id="1"), 0, ["samples"]),
    ("category_id is null", item("annotations", category_id=None), 0, ["samples"]),
    ("annotation without bbox", item("annotations", bbox=...), 0, ["samples"]),
    ("bbox is null", item("annotations", bbox=None), 0, ["samples"]),
    ("bbox is an object", item("annotations", bbox={}), 0, ["samples"]),
    ("bbox holds text", item("annotations", bbox=[1, 2, "30", 40]), 0, ["samples"]),
    ("bbox of three numbers", item("annotations", bbox=[1, 2, 3]), 0, ["samples"]),
    ("bbox of five numbers", item("annotations", bbox=[1, 2, 3, 4, 5]), 0, ["samples"]),
    ("all bboxes null", boxes(lambda box: box.update(bbox=None)), 1,
     ["none of the 59 annotations can be used", "instances.json:", "annotation 1 has a bbox that is null"]),
    ("iscrowd is 2", item("annotations", iscrowd=2), 0, ["2 crowd"]),
    ("iscrowd is true", item("annotations", iscrowd=True), 0, ["2 crowd"]),
    ("ignore is 1", item("annotations", ignore=1), 0, ["2 crowd"]),
    ("annotation id is a list", item("annotations", id=[1]), 0, ["samples"]),
    # numbers that are none, or too large
    ("bbox with NaN", item("annotations", bbox=[float("nan"), 2, 30, 40]), 0, ["1 non-finite"]),
    ("bbox with infinity", item("annotations", bbox=[1, 2, float("inf"), 40]), 0, ["1 non-finite"]),
    ("a huge bbox", text(BBOX, BBOX + "1e400, 2, 3, 4], \"old\": ["), 0, ["1 non-finite"]),
    ("a huge bbox", item("annotations", bbox=[1, 2, 3, 1e39]), 0, ["1 of them clipped"]),
    ("a huge bbox", item("annotations", bbox=[-1e38, -1e38, 2e38, 2e38]), 0, ["1 of them clipped"]),
    ("a bbox far away", item("annotations", bbox=[1e30, 1e30, 10, 10]), 0, ["1 outside"]),
    ("a bbox of negative size", item("annotations", bbox=[10, 10, -5, 5]), 0,
     ["1 swapped", "first swapped: annotation 1 in 000001.jpg: -5 x 5 at (10, 10)"]),
    ("image id is NaN", item("images", id=float("nan")), 1, [JSON, "an image needs an id"]),
    ("image id beyond 64 bits", item("images", id=2**64), 0, ["samples"]),
    ("category id beyond 2^53", document(lambda value: value["categories"].append({"id": 2**60, "name": "x"})), 1,
     ["instances.json: category id 1152921504606846976", "renumber"]),
    ("width is 1e30", item("images", width=1e30), 0, ["samples"]),
    ("width is Infinity", item("images", width=float("inf")), 0, ["samples"]),
    # ids
    ("an image id twice", twice("images"), 0, ["images    12,"]),
    ("an image id for two pictures", item("images", 1, id=1), 1, [JSON, "image id 1 is \"000001.jpg\" and \"000002.jpg\""]),
    ("a category id twice", twice("categories"), 0, ["samples"]),
    ("a category id for two", item("categories", 1, id=1), 1, [JSON, "category id 1 is"]),
    ("an annotation id twice", twice("annotations"), 0, ["60:"]),
    ("an image that is not there", item("annotations", image_id=999), 0, ["samples"]),
    ("a category that is not there", item("annotations", category_id=999), 0, ["samples"]),
    # names
    ("a parent folder", item("images", file_name="../000001.jpg"), 0, ["0 broken"]),
    ("an absolute path", item("images", file_name="/000001.jpg"), 0, ["0 broken"]),
    ("a parent folder inside", item("images", file_name="a/../../000001.jpg"), 0, ["0 broken"]),
    ("backslashes", item("images", file_name="..\\000001.jpg"), 0, ["0 broken"]),
    ("an address", item("images", file_name="https://example.org/000001.jpg?size=1#x"), 0, ["0 broken"]),
    ("an address only", item("images", file_name=..., coco_url="http://example.org/000001.jpg"), 0, ["0 broken"]),
    ("an empty name", item("images", file_name=""), 0, ["left out, as 1 of 12"]),
    ("only folders", item("images", file_name="../.."), 1, [JSON, "\"../..\" names no picture"]),
    ("a file name that is not UTF-8", text("000001.jpg", b"\xe9\xff.jpg"), 1, [JSON, "not UTF-8"]),
    ("a file name with NUL", text("000001.jpg", "a\\u0000.jpg"), 1, [JSON, "NUL"]),
    ("half of a surrogate pair", text("000001.jpg", "\\ud83d.jpg"), 1, [JSON, "surrogate"]),
    ("a category name that is not UTF-8", text("\"categories\": [\n{\"id\": 1, \"name\": \"", b"\"categories\": [\n{\"id\": 1, \"name\": \"\xff"), 1,
     [JSON, "not UTF-8"]),
    # nothing there
    ("no images", empty("images", "annotations"), 1, ["instances.json", "no images"]),
    ("no annotations", empty("annotations"), 1, ["instances.json", "no boxes"]),
    ("nothing at all", empty("images", "annotations", "categories"), 1, ["instances.json", "no \"categories\""]),
    ("all boxes crowd", boxes(lambda box: box.update(iscrowd=1)), 1, ["instances.json", "none of its", "are crowd", "--crowd use", "--dry-run"]),
    ("all boxes empty", boxes(lambda box: box.update(bbox=[1, 1, 0, 0])), 1, ["instances.json", "boxes have no area", "--boxes"]),
    ("all boxes outside", boxes(lambda box: box.update(bbox=[-99, 1, 9, 9])), 1, ["boxes have no area or lie outside", "--boxes"]),
    # odd, but fine
    ("one class only", document(one_class), 0, ["classes   1, 0 without samples"]),
    ("no tall boxes", reshape(20, 20), 0, ["T 0 (0.0 %)", "shortage  T: 0 samples; 100 % of its regions take"]),
    ("only tall boxes", reshape(6, 40), 0, ["W 0 (0.0 %)", "shortage  W: 0 samples", "shortage  S"]),
    ("a byte order mark", lambda source: b"\xef\xbb\xbf" + source, 0, ["samples"]),
    ("unknown fields", item("annotations", keypoints=[1, 2, 3], extra={"a": [None, True]}), 0, ["samples"]),
    ("images without sizes", document(lambda value: [image.pop("width") for image in value["images"]]), 0, ["samples"]),
    ("negative ids", item("categories", 0, id=-3), 0, ["1 without samples"]),
]


class Coco(BadInput):
    @classmethod
    def setUpClass(cls):
        cls.toy = support.toy(SCENES)
        cls.source = (cls.toy / "annotations" / "instances.json").read_bytes()

    def arguments(self, change):
        path = self.folder / "instances.json"
        changed = change(self.source)
        self.assertNotEqual(changed, self.source, "the row changes nothing")
        path.write_bytes(changed)
        return "--annotations", path, "--images", self.toy / "images"

    def test_table(self):
        self.each(COCO, self.arguments)

    def test_the_place_is_right(self):
        line = self.source[: self.source.index(b"[")].count(b"\n") + 1
        self.expect(1, ["instances.json:%d: " % line], *self.arguments(text("[", "?")))
        one_line = document(lambda value: value["images"].append(1))
        self.expect(1, ["instances.json:1, byte %d: " % one_line(self.source).rindex(b"1]")], *self.arguments(one_line))

    def test_truncated_at_every_thousandth_byte(self):
        source = (support.toy(60) / "annotations" / "instances.json").read_bytes()
        self.assertGreater(len(source), 35000)
        for size in range(1000, len(source) - 10, 1000):
            with self.subTest(size=size):
                self.expect(1, ["instances.json:", "cut off?"], *self.arguments(lambda _: source[:size]))

    def test_category_names_survive(self):
        names = ['"quotes"', "two\nlines\ttab", "emoji \U0001f9e9 \u2014 d\u00e9j\u00e0", "\\back\\slash/", "\x01\x1f\x7f", "  "]

        def rename(value):
            for name, category in zip(names, value["categories"]):
                category["name"] = name

        self.expect(0, [], *self.arguments(document(rename)))
        for file in "dataset.json", "jigsaws/annotations/instances.json":
            found = [category["name"] for category in json.loads((self.out / file).read_bytes())["categories"]]
            self.assertEqual(found[: len(names)], names)
        summary = self.succeed(*self.arguments(document(rename)), "--dry-run").stdout
        self.assertIn("two?lines?tab", summary)
        self.assertNotIn("\t", summary)

    def test_pictures_with_odd_names(self):
        name = "two\nlines \x1b[31m, caf\u00e9.jpg"
        self.refuse("--out", self.out, *self.arguments(item("images", file_name=name)), words=["two?lines ?[31m, caf\u00e9.jpg"])

    def test_paths_that_are_not_there(self):
        good = self.toy / "annotations" / "instances.json"
        images = self.toy / "images"
        nowhere = self.folder / "nowhere.json"
        self.expect(1, [nowhere, "no such file"], "--annotations", nowhere, "--images", images)
        self.expect(1, [nowhere, "image folder is not there"], "--annotations", good, "--images", nowhere)
        self.expect(1, [self.folder, "no annotations found"], "--annotations", self.folder, "--images", images)
        self.refuse("--check", nowhere, words=[nowhere, "no such folder"])


# ---- pictures: what is done to the file of the third image ----


def jpeg_header(width, height):
    """SOI, a frame header, nothing else that matters, EOI."""
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    scan = struct.pack(">HB", 12, 3) + bytes([1, 0, 2, 0, 3, 0, 0, 63, 0])
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda" + scan + b"\x00" * 16 + b"\xff\xd9"


def png_chunk(content):
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def png_header(width, height):
    head = b"IHDR" + struct.pack(">II", width, height) + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + png_chunk(head) + png_chunk(b"IDAT" + zlib.compress(b"\0" * 1000))


def write(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


PICTURES = [
    ("missing", lambda path: path.unlink(), "cannot open: No such file or directory"),
    ("a folder", replace_by_folder, "not a regular file"),
    ("zero bytes", write(lambda data: b""), "empty"),
    ("cut in the header", write(lambda data: data[:100]), "JPEG"),
    ("cut in the middle", write(lambda data: data[: len(data) // 2]), "truncated: no end-of-image marker; fetch the file again"),
    ("without its end", write(lambda data: data[:-2]), "truncated: no end-of-image marker; fetch the file again"),
    ("text", write(lambda data: b"not a picture"), "not a"),
    ("a JPEG bomb", write(lambda data: jpeg_header(65500, 65500)), "65500 x 65500 pixels"),
    ("a PNG bomb", write(lambda data: png_header(65500, 65500)), "65500 x 65500 pixels"),
    ("another size", write(lambda data: (support.toy(SCENES) / "images" / "000001.jpg").read_bytes()), "but annotated as"),
]


class Pictures(BadInput):
    def setUp(self):
        super().setUp()
        shutil.copytree(support.toy(SCENES), self.folder / "toy")
        self.images = self.folder / "toy" / "images"
        self.json = self.folder / "toy" / "annotations" / "instances.json"
        self.picture = self.images / "000003.jpg"
        self.arguments = "--annotations", self.json, "--images", self.images, "--out", self.out

    def change_entry(self, index, **fields):
        self.json.write_bytes(item("images", index, **fields)(self.json.read_bytes()))

    def test_table(self):
        for what, damage, reason in PICTURES:
            with self.subTest(what):
                self.setUp()
                damage(self.picture)
                if what == "another size":
                    self.change_entry(2, width=1234)
                for mode in [], ["--dry-run"]:
                    if mode and what in ("cut in the middle", "without its end"):
                        continue  # a dry run reads headers only
                    words = [f"1 of {SCENES} images are broken", f"{self.picture}: ", reason, "--max-bad"]
                    if what == "missing" and not mode:  # is told before anything is written
                        words = [f"1 of {SCENES} pictures are missing from {self.images}: 000003.jpg;", "--max-bad"]
                    self.refuse(*self.arguments, "--max-bad", 0, *mode, words=words)
                    self.assert_unfinished(self.out)
                done = self.succeed(*self.arguments, "--max-bad", 10)
                self.assertIn("1 broken", done.stdout)
                self.assertIn(f"{self.picture}: ", done.stdout)
                self.assertIn(reason, done.stdout)
                found = json.loads((self.out / "dataset.json").read_text())
                self.assertEqual(found["images"]["annotated"], SCENES)
                self.assertEqual(found["images"]["broken"], 1)
                self.succeed("--check", self.out)

    def test_the_first_is_named(self):
        for number in 11, 2, 7:
            (self.images / f"{number:06}.jpg").write_bytes(b"")
        message = self.refuse(*self.arguments, "--workers", 1, "--max-bad", 20, words=["3 of 12", "000002.jpg", "20 %"])
        self.assertNotIn("000011.jpg", message)

    def test_a_turned_picture_gets_a_hint(self):
        entry = json.loads(self.json.read_text())["images"][2]
        self.change_entry(2, width=entry["height"], height=entry["width"])
        if entry["width"] != entry["height"]:
            self.refuse(*self.arguments, "--max-bad", 0, words=["000003.jpg", "but annotated as", "--exif"])

    def test_all_broken(self):
        shutil.rmtree(self.images)
        self.images.mkdir()
        self.refuse(*self.arguments, "--max-bad", 100, words=["12 of 12 pictures are missing", "000001.jpg"])
        self.assertFalse(self.out.exists())
        for number in range(1, SCENES + 1):
            (self.images / f"{number:06}.jpg").write_bytes(b"")
        self.refuse(*self.arguments, "--max-bad", 100, words=["all 12 images are broken", "000001.jpg"])
        self.assert_unfinished(self.out)


# ---- VOC and YOLO: what the files hold ----

VOC_START = b"<annotation><filename>a.jpg</filename>"
VOC_BOX = b"<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>60</xmax><ymax>60</ymax></bndbox>"
VOC_END = b"<object><name>x</name>" + VOC_BOX + b"</object></annotation>"
VOC = [
    ("fine", VOC_START + VOC_END, 0, ["1 images, 1 boxes, 1 classes"]),
    ("empty file", b"", 1, ["a.xml:1", "no element found: is the file cut off?"]),
    ("cut off", VOC_START + b"<object><na", 1, ["a.xml:1"]),
    ("not VOC", b"<html></html>", 1, ["a.xml", "web page"]),
    ("another XML", b"<scenes></scenes>", 1, ["a.xml:1", "expected <annotation>", "PASCAL VOC"]),
    ("an encoding that is not there", b"<?xml version='1.0' encoding='klingon'?>" + VOC_START
     + VOC_END.replace(b">x<", b">caf\xe9<"), 1, ["a.xml: ", "encoding \"klingon\"", "UTF-8"]),
    ("Latin-1 in UTF-8", VOC_START + VOC_END.replace(b">x<", b">caf\xe9<"), 1, ["a.xml:1", "encoding", "UTF-8"]),
    ("a declared Latin-1", b"<?xml version='1.0' encoding='iso-8859-1'?>" + VOC_START
     + VOC_END.replace(b">x<", b">caf\xe9<"), 0, ["caf\u00e9"]),
    ("entities", b"<!DOCTYPE a [<!ENTITY x 'y'>]>" + VOC_START + VOC_END, 1, ["a.xml:1", "entity"]),
    ("a parent folder", VOC_START.replace(b"a.jpg", b"../a.jpg") + VOC_END, 0, ["1 images, 1 boxes, 1 classes"]),
    ("no number", VOC_START + VOC_END.replace(b">5<", b">five<", 1), 1, ["a.xml:1", "<xmin> must be a number"]),
    ("one of two with no number", VOC_START + VOC_END.replace(b">5<", b">five<", 1).replace(
        b"</annotation>", b"<object><name>y</name>" + VOC_BOX + b"</object></annotation>"), 0,
     ["1 images, 1 boxes, 1 classes"]),
    ("NaN", VOC_START + VOC_END.replace(b">5<", b">nan<", 1), 1, ["none of its 1 boxes", "--dry-run"]),
    ("no corner", VOC_START + VOC_END.replace(b"<ymax>60</ymax>", b""), 1, ["a.xml:1", "<bndbox> without <ymax>"]),
    ("no objects", VOC_START + b"</annotation>", 1, ["no boxes"]),
]

YOLO = [
    ("fine", {"a.txt": b"0 0.5 0.5 0.3 0.3\n"}, 0, ["1 images, 1 boxes, 1 classes"]),
    ("class names that are not UTF-8", {"classes.txt": b"caf\xe9\n"}, 1, ["classes.txt:1", "not UTF-8", "caf\\xe9"]),
    ("names in YAML that are not UTF-8", {"classes.txt": None, "data.yaml": b"names: [caf\xe9]\n"}, 1, ["data.yaml", "UTF-8"]),
    ("no class names", {"classes.txt": None}, 0, ["class 0", "no class names", "classes.txt"]),
    ("KITTI", {"a.txt": b"cat 0.00 0 -1.57 16 24 56 72 1.5 1.6 3.6 1 2 3 0\n"}, 1, ["a.txt is KITTI's labels", "datum"]),
    ("DOTA", {"a.txt": b"16 24 56 24 56 72 16 72 cat 0\n"}, 1, ["a.txt is DOTA's"]),
    ("empty class names", {"classes.txt": b"\n"}, 1, ["classes.txt", "no class names"]),
    ("a class that is not there", {"a.txt": b"0 .5 .5 .3 .3\n7 .5 .5 .3 .3\n"}, 0, ["1 images, 1 boxes, 1 classes"]),
    ("none of the classes is there", {"a.txt": b"7 .5 .5 .3 .3\n"}, 1, ["a.txt:1", "class 7", "0 .. 0"]),
    ("a class that is no number", {"a.txt": b"cat .5 .5 .3 .3\n"}, 1, ["a.txt:1", "class \"cat\" is not a number"]),
    ("three numbers", {"a.txt": b"0 .5 .5 .3\n"}, 1, ["a.txt:1", "3 numbers", "4 (center"]),
    ("no number", {"a.txt": b"0 .5 .5 .3 x\n"}, 1, ["a.txt:1", "\"x\" is not a number"]),
    ("NaN", {"a.txt": b"0 .5 .5 .3 .3\n0 nan .5 .3 .3\n"}, 0, ["1 non-finite"]),
    ("binary labels", {"a.txt": bytes(range(256))}, 1, ["a.txt", "binary"]),
    ("no labels", {"a.txt": None}, 1, ["none of the 1 pictures", "has a label file"]),
    ("empty labels", {"a.txt": b""}, 1, ["no boxes"]),
    ("a file name that is not UTF-8", {b"\xff\xfe.jpg": b"x"}, 1, ["not UTF-8", "\\xff\\xfe.jpg", "rename"]),
]


class OtherFormats(BadInput):
    def folder_with(self, contents):
        picture = support.toy(SCENES) / "images" / "000001.jpg"
        folder = self.folder / "data"
        folder.mkdir()
        shutil.copy(picture, folder / "a.jpg")
        for name, content in contents.items():
            if content is not None:
                with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
                    file.write(content)
        return "--annotations", folder

    def test_voc(self):
        self.each(VOC, lambda content: self.folder_with({"a.xml": content}))

    def test_yolo(self):
        base = {"classes.txt": b"thing\n", "a.txt": b"0 .5 .5 .3 .3\n"}
        self.each(YOLO, lambda contents: self.folder_with(base | contents))


# ---- the command line ----

USAGE = [
    ("an unknown option", ["--frobnicate", 1], ["'--frobnicate'", "--help"]),
    ("no option", ["data"], ["'data' is not an option", "--help"]),
    ("a missing value", ["--seed"], ["--seed needs a value", "--help"]),
    ("text for a number", ["--seed", "x"], ["--seed: 'x' is not a whole number"]),
    ("a fraction", ["--seed", "1.5"], ["--seed: '1.5' is not a whole number"]),
    ("nothing for a number", ["--seed", ""], ["--seed: '' is not a whole number"]),
    ("a negative seed", ["--seed", -1], ["--seed: -1 is not in 0 .. 9000000000000000"]),
    ("a seed beyond 64 bits", ["--seed", 10**30], ["--seed: '1000000000000000000000000000000' is not a whole number"]),
    ("NaN", ["--max-bad", "nan"], ["--max-bad: 'nan' is not a number"]),
    ("infinity", ["--context", "inf"], ["--context: 'inf' is not a number"]),
    ("too many percent", ["--max-bad", 101], ["--max-bad: 101 is not in 0 .. 100"]),
    ("no such choice", ["--fit", "stretch"], ["--fit: 'stretch' is not one of pad|warp|resize"]),
    ("a value for a flag", ["--dry-run=yes"], ["--dry-run takes no value"]),
    ("another value for a switch", ["--exif=yes"], ["--exif: 'yes' is not one of auto|on|off"]),
    ("a negated number", ["--no-seed"], ["'--no-seed'", "--help"]),
    ("a template without cut", ["--template", "224"], ["--template: '224' is not SIZE:CUT"]),
    ("a cut beyond the template", ["--template", "64:224"], ["--template: '64:224'", "CUT < SIZE"]),
    ("an uneven template", ["--template", "225:63"], ["--template 225:63", "multiples of 32"]),
    ("an uneven cut", ["--template", "224:65"], ["--template 224:65", "multiples of 32"]),
    ("a huge template", ["--template", "99999999999:5"], ["--template: '99999999999:5'"]),
    ("jigsaws in words", ["--jigsaws", "many"], ["--jigsaws: 'many' is neither auto nor a number"]),
    ("negative jigsaws", ["--jigsaws", "-1"], ["--jigsaws: '-1'"]),
    ("scales the wrong way round", ["--scale-low", 2, "--scale-high", 1], ["--scale-low", "--scale-high"]),
    ("no annotations", ["--out", "x"], ["--annotations FILE|DIR is missing"]),
    ("no output", ["--annotations", "x"], ["--out DIR is missing"]),
    ("empty output", ["--annotations", "x", "--out", ""], ["--out DIR is missing"]),
    ("toys without output", ["--toy", 3], ["--toy needs --out DIR"]),
    ("no toys", ["--toy", 0, "--out", "x"], ["--toy: 0 is not in 1 .. 999999"]),
    ("negative toys", ["--toy", -7, "--out", "x"], ["--toy: -7 is not in 1 .. 999999"]),
    ("a split that leaves the folder", ["--annotations", ".", "--dry-run", "--split", "../x"], ["\"../x\" cannot be the name"]),
]


class Usage(support.ToolTest):
    def test_table(self):
        folder = support.scratch()
        for what, arguments, words in USAGE:
            with self.subTest(what):
                code = 1 if "--split" in arguments else 2
                self.refuse(*arguments, code=code, words=words, cwd=folder)
        self.assertEqual(list(folder.iterdir()), [])

    def test_help_and_version(self):
        self.assertEqual(support.run().returncode, 2)
        self.assertIn("usage: jigsaw-gen", support.run().stdout)
        done = self.succeed("--help")
        for option in "--annotations", "--seed", "--max-bad", "--check":
            self.assertIn(option, done.stdout)
        self.assertRegex(self.succeed("--version").stdout, r"^jigsaw-gen \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    support.main()
