"""The objectives' losses, their gradients and their score, against the paper's equations in double precision.

Zhou et al., ECCV 2020, section 3.3, written down once more with numpy: losses of single regions and cells, averaged as the
text says, without the tables that the C code makes of them. Gradients of the classifier are checked by central differences
of that loss.
"""

import subprocess
import sys
import unittest

import support

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}", file=sys.stderr)
    sys.exit(support.SKIPPED)

ROUNDS = support.scaled(12)


class Case:
    """Random features, weights and labels for one objective."""

    def __init__(self, rng, kind):
        self.kind = kind
        self.stride = int(rng.choice([8, 16, 32]))
        self.side = int(rng.integers(2, 8))
        cut = int(rng.integers(1, self.side))
        self.classes, self.channels, self.images = (int(rng.integers(2, high)) for high in (9, 12, 6))
        self.cut = 0 if kind == "classify" else cut
        spans = [(0, cut), (cut, self.side)]
        self.regions = [(rows, columns) for rows in spans for columns in spans] if self.cut else [((0, self.side),) * 2]
        self.features = rng.normal(size=(self.images, self.side, self.side, self.channels)).astype(np.float32)
        self.weight = rng.normal(size=(self.classes, self.channels)).astype(np.float32)
        self.bias = rng.normal(size=self.classes).astype(np.float32)
        self.labels = rng.integers(0, self.classes, size=(self.images, len(self.regions)), dtype=np.int32)
        self.table = None
        if kind == "erf" and rng.random() < 0.7:
            table = rng.dirichlet(np.ones(len(self.regions)), size=(self.side, self.side))
            self.table = table.astype(np.float32)

    def run(self):
        """What the C code finds."""
        sizes = self.side * self.stride, self.cut * self.stride, self.stride, self.classes, self.channels, self.images
        arrays = [self.features, self.weight, self.bias, self.labels] + ([] if self.table is None else [self.table])
        command = [support.BIN / "objective_run", self.kind, *map(str, sizes), str(int(self.table is not None))]
        done = subprocess.run(command, input=b"".join(array.tobytes() for array in arrays), capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        values = np.frombuffer(done.stdout, np.float32)
        regions, positions = len(self.regions), {"erf": self.side**2, "block": len(self.regions)}.get(self.kind, 1)
        shapes = {
            "loss": (), "logits": (self.images, positions, self.classes), "features": self.features.shape,
            "weight": self.weight.shape, "bias": self.bias.shape, "region_correct": (regions,), "region_count": (regions,),
            "class_correct": (self.classes,), "class_count": (self.classes,),
        }  # fmt: skip
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        assert len(values) == ends[-1]
        parts = np.split(values, ends[:-1])
        return {name: part.reshape(shape).astype(float) for (name, shape), part in zip(shapes.items(), parts)}

    # ---- the paper ----

    def cells(self, region):
        (top, bottom), (left, right) = self.regions[region]
        return [(row, column) for row in range(top, bottom) for column in range(left, right)]

    def area(self, region):
        return len(self.cells(region)) * self.stride**2

    def image_loss(self, features, labels, weight, bias):
        """Of one image, and the predictions {region: class}."""
        classify = lambda x: x @ weight.T + bias
        log_softmax = lambda z: z - z.max() - np.log(np.exp(z - z.max()).sum())
        one_hot = np.eye(self.classes)[labels]
        count = len(self.regions)
        if self.kind in ("global", "classify"):
            scores = log_softmax(classify(features.mean(axis=(0, 1))))
            areas = np.array([self.area(region) for region in range(count)])
            target = (areas / areas.sum()) @ one_hot
            return -(target @ scores), {int(areas.argmax()): scores.argmax()}
        losses, predictions = [], {}
        for region in range(count):
            cells = self.cells(region)
            if self.kind == "block":
                scores = log_softmax(classify(np.mean([features[cell] for cell in cells], axis=0)))
                losses.append(-scores[labels[region]])
                predictions[region] = scores.argmax()
                continue
            of_cells = [log_softmax(classify(features[cell])) for cell in cells]
            own = np.eye(count)[region]
            targets = [(own if self.table is None else self.table[cell].astype(float)) @ one_hot for cell in cells]
            losses.append(np.mean([-(target @ scores) for target, scores in zip(targets, of_cells)]))
            predictions[region] = np.sum(of_cells, axis=0).argmax()
        return np.mean(losses), predictions

    def loss(self, **changed):
        given = {name: changed.get(name, getattr(self, name).astype(float)) for name in ("features", "weight", "bias")}
        return np.mean(
            [self.image_loss(given["features"][i], self.labels[i], given["weight"], given["bias"])[0] for i in range(self.images)]
        )

    def gradient(self, name, rng, most=40):
        """[(index, derivative)] at random places, by central differences."""
        value = getattr(self, name).astype(float)
        for flat in rng.choice(value.size, size=min(most, value.size), replace=False):
            index, step = np.unravel_index(flat, value.shape), 1e-5
            sides = []
            for sign in 1, -1:
                moved = value.copy()
                moved[index] += sign * step
                sides.append(self.loss(**{name: moved}))
            yield index, (sides[0] - sides[1]) / (2 * step)

    def score(self):
        correct, count = np.zeros((2, len(self.regions)))
        class_correct, class_count = np.zeros((2, self.classes))
        for features, labels in zip(self.features.astype(float), self.labels):
            predictions = self.image_loss(features, labels, self.weight.astype(float), self.bias.astype(float))[1]
            for region, predicted in predictions.items():
                count[region] += 1
                class_count[labels[region]] += 1
                correct[region] += predicted == labels[region]
                class_correct[labels[region]] += predicted == labels[region]
        return {"region_correct": correct, "region_count": count, "class_correct": class_correct, "class_count": class_count}


class Paper(unittest.TestCase):
    def check(self, kind):
        rng = np.random.default_rng(support.SEED)
        for round_ in range(ROUNDS):
            case = Case(rng, kind)
            with self.subTest(round=round_, side=case.side, cut=case.cut, classes=case.classes):
                found = case.run()
                self.assertAlmostEqual(found["loss"].item(), case.loss(), delta=2e-6 * max(1, case.loss()))
                for name in "features", "weight", "bias":
                    largest = np.abs(found[name]).max()
                    for index, expected in case.gradient(name, rng):
                        self.assertAlmostEqual(found[name][index], expected, delta=1e-5 * max(largest, 1e-3))
                for name, expected in case.score().items():
                    self.assertEqual(found[name].tolist(), expected.tolist(), name)

    def test_erf(self):
        self.check("erf")

    def test_block(self):
        self.check("block")

    def test_global(self):
        self.check("global")

    def test_classify(self):
        self.check("classify")

    def test_one_hot_erf_predicts_like_block_where_cells_agree(self):
        """tau = 1 is block-wise classification: the same loss where a region's cells are alike."""
        rng = np.random.default_rng(support.SEED)
        for _ in range(ROUNDS):
            case = Case(rng, "erf")
            case.table = None
            for region in range(4):
                for cell in case.cells(region):
                    case.features[:, cell[0], cell[1]] = case.features[:, case.cells(region)[0][0], case.cells(region)[0][1]]
            losses = {}
            for case.kind in "erf", "block":
                losses[case.kind] = case.run()["loss"].item()
            self.assertAlmostEqual(losses["erf"], losses["block"], delta=2e-6 * max(1, losses["erf"]))


if __name__ == "__main__":
    support.main()
