"""Pictures of many kinds, decoded by us and by Pillow's convert("RGB")."""
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

try:
    import numpy
    from PIL import Image
except ImportError:
    print("Pillow or numpy is missing: skipped")
    sys.exit(77)

BIN = ""


def decode(path):
    """(orientation, pixels), or the reason why not."""
    out = subprocess.run([os.path.join(BIN, "image_dump"), path], stdout=subprocess.PIPE, check=True).stdout
    line, pixels = out.split(b"\n", 1)
    if line.startswith(b"-"):
        return line.decode(errors="replace")
    width, height, orientation = map(int, line.split())
    return orientation, numpy.frombuffer(pixels, numpy.uint8).reshape(height, width, 3)


def picture(chance, mode, width=61, height=47):
    """Smooth and noisy at once, of any mode."""
    seed = chance.randrange(1 << 30)
    noise = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    channels = [128 + 90 * numpy.sin(x / (5 + 3 * c) + y / (9 - 2 * c)) + noise.normal(0, 9, (height, width))
                for c in range(4)]
    pixels = numpy.clip(numpy.stack(channels, -1), 0, 255).astype(numpy.uint8)
    image = Image.fromarray(pixels, "RGBA")
    if mode == "P":
        return image.convert("RGB").quantize(50)
    return image if mode == "RGBA" else image.convert(mode)


class Compare(unittest.TestCase):
    def setUp(self):
        seed = int(os.environ.get("JIGSAW_TEST_SEED") or random.randrange(1 << 30))
        print(f"JIGSAW_TEST_SEED={seed}")
        self.chance = random.Random(seed)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def save(self, image, suffix, **options):
        path = os.path.join(self.folder.name, "picture" + suffix)
        image.save(path, **options)
        return path

    def compare(self, path, tolerance=0):
        found = decode(path)
        self.assertIsInstance(found, tuple, found)
        with Image.open(path) as image:
            expected = numpy.asarray(image.convert("RGB"))
        self.assertEqual(found[1].shape, expected.shape)
        worst = numpy.abs(found[1].astype(int) - expected).max()
        self.assertLessEqual(worst, tolerance, path)
        return found[0]

    def test_png(self):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
            with self.subTest(mode=mode):
                self.compare(self.save(picture(self.chance, mode), ".png"))
        palette = picture(self.chance, "P")
        self.compare(self.save(palette, ".png", transparency=bytes(range(50))))
        self.compare(self.save(picture(self.chance, "RGB"), ".png", transparency=(1, 2, 3)))
        nothing = picture(self.chance, "RGBA")
        nothing.putalpha(0)
        self.compare(self.save(nothing, ".png"))

    def test_webp(self):
        for mode in ("RGB", "RGBA", "L"):
            for options in ({"lossless": True, "exact": True}, {"quality": 80}, {"quality": 20, "method": 6}):
                with self.subTest(mode=mode, options=options):
                    self.compare(self.save(picture(self.chance, mode), ".webp", **options))
        frames = [picture(self.chance, "RGB") for _ in range(3)]
        path = self.save(frames[0], ".webp", save_all=True, append_images=frames[1:], lossless=True)
        self.compare(path)

    def test_tiff(self):
        kinds = [(mode, name) for mode in ("L", "P", "RGB", "RGBA", "CMYK")
                 for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")]
        for mode, name in kinds + [("1", "group4"), ("1", "raw")]:
            with self.subTest(mode=mode, compression=name):
                self.compare(self.save(picture(self.chance, mode), ".tif", compression=name), 1 if mode == "CMYK" else 0)
        self.compare(self.save(picture(self.chance, "RGB"), ".tiff", compression="jpeg", quality=90), 2)

    def test_tiff_that_is_not_a_picture_to_us(self):
        heights = Image.fromarray(numpy.linspace(0, 1, 100, dtype=numpy.float32).reshape(10, 10), "F")
        self.assertIn("floating point", decode(self.save(heights, ".tif")))

    def test_orientation(self):
        for suffix in (".jpg", ".png", ".webp", ".tif"):
            for orientation in range(1, 9):
                exif = Image.Exif()
                exif[0x0112] = orientation
                path = self.save(picture(self.chance, "RGB"), suffix, exif=exif)
                found = decode(path)
                self.assertIsInstance(found, tuple, found)
                self.assertEqual(found[0], orientation, path)
                self.assertEqual(found[1].shape, (47, 61, 3), path)

    def test_damage(self):
        """Cut off anywhere, a file is refused, or was whole already."""
        for suffix, options in ((".webp", {"quality": 80}), (".webp", {"lossless": True}),
                                (".tif", {"compression": "tiff_lzw"}), (".tif", {})):
            path = self.save(picture(self.chance, "RGB"), suffix, **options)
            with open(path, "rb") as file:
                whole = file.read()
            complete = decode(path)[1]
            for _ in range(12):
                with open(path, "wb") as file:
                    file.write(whole[:self.chance.randrange(len(whole))])
                found = decode(path)
                if isinstance(found, tuple):
                    self.assertTrue((found[1] == complete).all(), path)

    def test_turned_samples(self):
        """Boxes on upright pictures: what is cut out is what was boxed, whatever the format."""
        for suffix in (".jpg", ".png", ".webp", ".tif"):
            for orientation in range(1, 9):
                with self.subTest(suffix=suffix, orientation=orientation):
                    self.check_turned(suffix, orientation)

    def check_turned(self, suffix, orientation):
        upright = Image.new("RGB", (96, 64), "blue")
        box = self.chance.randrange(50), self.chance.randrange(30), 40, 30
        upright.paste("red", (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        undo = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
                6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}
        stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
        path = self.save(stored, suffix, exif=exif, **options)
        annotations, store = os.path.join(self.folder.name, "boxes.json"), os.path.join(self.folder.name, "store")
        with open(annotations, "w") as file:
            json.dump({"images": [{"id": 1, "file_name": os.path.basename(path), "width": 96, "height": 64}],
                       "categories": [{"id": 1, "name": "red"}],
                       "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box}]}, file)
        shutil.rmtree(store, ignore_errors=True)
        subprocess.run([os.path.join(BIN, "jigsaw-gen"), "--annotations", annotations, "--images", self.folder.name,
                        "--out", store, "--exif", "--context", "1", "--negatives", "0", "--quiet"], check=True)
        with tarfile.open(os.path.join(store, "shards", "000000.tar")) as tar:
            members = {os.path.splitext(name)[1]: tar.extractfile(name).read() for name in tar.getnames()}
        x, y, width, height = json.loads(members[".json"])["rect"]
        with Image.open(io.BytesIO(members[".jpg"])) as crop:
            pixels = numpy.asarray(crop.convert("RGB"))[y:y + height, x:x + width].astype(int)
        self.assertEqual(sorted((width, height)), [30, 40])
        self.assertGreater(pixels[..., 0].min() - pixels[..., 2].max(), 100)


if __name__ == "__main__":
    BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
