"""What others read of a run's journal: Python the log, TensorBoard its events, an XML parser the picture.

TensorBoard's own reader takes part where the package tensorboard is installed; the framing, the checksums and the protocol
buffers are decoded here in any case.
"""

import json
import math
import re
import struct
import subprocess
import time
import unittest
import xml.etree.ElementTree as ElementTree

import support

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    EventAccumulator = None

TAGS = ["loss", "accuracy", "lr", "held_out/loss", "held_out/accuracy", "erf/area_0", "x" * 300]
SVG = "{http://www.w3.org/2000/svg}"


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def random_lines(chance, count, first=0):
    """[(iteration, seconds, {name: value})]"""
    lines = []
    for i in range(first, first + count):
        names = chance.sample(TAGS, chance.randint(1, len(TAGS)))
        values = {name: single(chance.choice([chance.uniform(-3, 3), 10 ** chance.uniform(-30, 30)])) for name in names}
        lines.append((i * 50, float(i), values))
    return lines


def write(folder, lines, after=-1, title="title"):
    text = "".join(
        f"{iteration} {seconds} " + " ".join(f"{name}={value!r}" for name, value in values.items()) + "\n"
        for iteration, seconds, values in lines
    )
    command = [support.BIN / "journal_write", folder, str(after), title]
    subprocess.run(command, input=text.encode(), check=True, timeout=60)


def event_files(folder):
    return sorted((folder / "tensorboard").glob("events.out.tfevents.*"))


# ---- TFRecord and protocol buffers, as their documentation says ----


def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == masked(data[at : at + 8])
        record = data[at + 12 : at + 12 + length]
        assert len(record) == length
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(record)
        yield record
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def message(data):
    """{field number: value}; no field of ours comes twice."""
    fields, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            (value,), at = struct.unpack_from("<d", data, at), at + 8
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            assert len(value) == size
        else:
            assert key & 7 == 5
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        assert key >> 3 not in fields
        fields[key >> 3] = value
    return fields


class Log(unittest.TestCase):
    def test_numbers(self):
        folder = support.scratch()
        lines = random_lines(support.chance(), 200)
        write(folder, lines)
        read = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        self.assertEqual(len(read), len(lines))
        for found, (iteration, seconds, values) in zip(read, lines):
            self.assertEqual((found.pop("iteration"), found.pop("seconds")), (iteration, seconds))
            self.assertEqual(list(found), list(values))
            for name, value in values.items():
                self.assertEqual(single(found[name]), value)


class Events(unittest.TestCase):
    def test_known_answer(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)

    def test_every_record(self):
        folder = support.scratch()
        lines = random_lines(support.chance(), 60)
        before = time.time()
        write(folder, lines)
        (path,) = event_files(folder)
        self.assertRegex(path.name, r"^events\.out\.tfevents\.\d{10}\.jigsaw\.\d+$")
        version, start, *events = map(message, records(path.read_bytes()))
        self.assertEqual((version[2], version[3]), (0, b"brain.Event:2"))
        self.assertEqual((start[2], message(start[7])), (0, {1: 1}))
        found = []
        for event in events:
            self.assertEqual(sorted(event), [1, 2, 5])
            self.assertTrue(before - 2 <= event[1] <= time.time() + 2)
            value = message(message(event[5])[1])
            self.assertEqual(sorted(value), [1, 2])
            found.append((event[2], value[1].decode(), value[2]))
        expected = [(i, name, value) for i, _, values in lines for name, value in values.items()]
        self.assertEqual(found, expected)

    def test_a_file_for_each_attempt(self):
        folder = support.scratch()
        for attempt in range(12):
            write(folder, [])
            self.assertEqual(len(event_files(folder)), attempt + 1)

    @unittest.skipUnless(EventAccumulator, "the package tensorboard is missing")
    def test_tensorboard_forgets_what_a_kill_voided(self):
        chance, folder = support.chance(), support.scratch()
        first = 0
        for _ in range(4):
            write(folder, random_lines(chance, 30, first), after=50 * first - 1)
            first += chance.randint(1, 29)
        expected = {}
        for line in (folder / "log.jsonl").read_text().splitlines():
            line = json.loads(line)
            for name, value in line.items():
                if name not in ("iteration", "seconds"):
                    expected.setdefault(name, []).append((line["iteration"], single(value)))
        reader = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
        reader.Reload()
        self.assertEqual(sorted(reader.Tags()["scalars"]), sorted(expected))
        for name, points in expected.items():
            self.assertEqual([(event.step, event.value) for event in reader.Scalars(name)], points)


class Picture(unittest.TestCase):
    def draw(self, lines, title="title"):
        folder = support.scratch()
        write(folder, lines, title=title)
        return ElementTree.parse(folder / "loss.svg").getroot(), (folder / "loss.svg").read_text()

    def ticks(self, root, chosen, factor=1):
        """[(value, y)] of the axis whose labels begin or end at x."""
        found = [element for element in root.iter(SVG + "text") if element.get("x") == str(chosen)]
        number = re.compile(r"-?[\d.]+(e[-+]\d+)?")
        values = [(number.fullmatch(tick.text.removesuffix(" %")), float(tick.get("y"))) for tick in found]
        return [(float(match[0]) * factor, y - 4.5) for match, y in values if match]

    def test_self_contained(self):
        root, text = self.draw(random_lines(support.chance(), 100), title="a < b & \"c\" \u2014 <script>")
        self.assertEqual(root.find(SVG + "title").text, "a < b & \"c\" \u2014 <script>")
        self.assertEqual(re.findall("https?:", text), ["http:"])  # the name space
        self.assertNotIn("@import", text)
        self.assertEqual(set(re.findall(r"url\([^)]*\)", text)), {"url(#frame)"})
        self.assertEqual({element.tag.removeprefix(SVG) for element in root.iter()} - {"path", "circle", "text", "tspan"},
                         {"svg", "title", "style", "clipPath", "rect", "g"})  # fmt: skip
        self.assertIn("prefers-color-scheme: dark", text)

    def test_hostile_titles(self):
        for title in b"\xff\xfe", b"\x01\x1b[31m", "\ufffe\uffff\U0001f9e9".encode(), b"]]>&amp;", b"%s%n":
            self.draw([], title=title)

    def test_points_lie_where_the_axes_say(self):
        chance = support.chance()
        for logarithmic in False, True:
            with self.subTest(logarithmic=logarithmic):
                scale = math.log if logarithmic else float
                fall = 0.02 if logarithmic else 0.6
                lines = [(10 * i, 0.0, {"held_out/loss": 5 * fall ** (i / 20) + chance.uniform(0, 0.1), "held_out/accuracy": i / 25})
                         for i in range(1, 21)]  # fmt: skip
                root, _ = self.draw(lines)
                for x, factor, series, name in (62, 1, "navy", "held_out/loss"), (894, 0.01, "brown", "held_out/accuracy"):
                    place = scale if name == "held_out/loss" else float
                    ticks = sorted(self.ticks(root, x, factor))
                    (low, bottom), (high, top) = ticks[0], ticks[-1]
                    self.assertGreater(len(ticks), 3)
                    self.assertLess(top, bottom)
                    y = lambda value: bottom + (top - bottom) * (place(value) - place(low)) / (place(high) - place(low))
                    for value, at in ticks:
                        self.assertAlmostEqual(y(value), at, delta=0.2)
                    dots = [dot for dot in root.findall(SVG + "circle") if dot.get("class") == f"dot fill-{series}"][:-1]  # the legend has one, too
                    self.assertEqual(len(dots), len(lines))
                    for dot, (iteration, _, values) in zip(dots, lines):
                        self.assertAlmostEqual(float(dot.get("cx")), 72 + 812 * iteration / 200, delta=0.11)
                        self.assertAlmostEqual(float(dot.get("cy")), y(values[name]), delta=0.2)

    def test_a_long_run_stays_small(self):
        lines = [(10 * i, 0.0, {"loss": 1 + 0.1 * math.sin(i * i), "accuracy": 0.5, "lr": 0.1}) for i in range(1, 20001)]
        _, text = self.draw(lines)
        self.assertLess(len(text), 200_000)


if __name__ == "__main__":
    support.main()
