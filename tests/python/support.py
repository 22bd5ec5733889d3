"""What the end-to-end tests of the tools share: finding and running them, scratch folders, toy data, digests.

    python3 tests/python/test_NAME.py [FOLDER-OF-THE-TOOLS] [unittest's arguments]

Environment: JIGSAW_BIN, the folder of the tools where it is not an argument (else build/bin); JIGSAW_TEST_SCALE, a factor on the amount of
work, for slow builds; JIGSAW_TEST_SEED, to repeat what chance chose; JIGSAW_TEST_DATA, a folder of real data sets.
"""

import atexit
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
given = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else os.environ.get("JIGSAW_BIN")
BIN = Path(given or ROOT / "build" / "bin").resolve()
SCALE = float(os.environ.get("JIGSAW_TEST_SCALE") or 1)
SEED = int(os.environ.get("JIGSAW_TEST_SEED") or time.time_ns() % 10**9)
DATA = Path(os.environ.get("JIGSAW_TEST_DATA") or ROOT.parent / "shared" / "data")
SKIPPED = 77  # what CTest takes for "skipped"

_scratch = None
_toys = {}
_stores = {}


def main(**keywords):
    """Runs the tests of the calling script."""
    print(f"seed {SEED} (JIGSAW_TEST_SEED repeats it)", file=sys.stderr)
    if not (BIN / "jigsaw-gen").exists():
        sys.exit(f"{BIN} lacks jigsaw-gen: build it, or set JIGSAW_BIN to the folder of the tools")
    unittest.main(module="__main__", verbosity=2, **keywords)


def chance():
    return random.Random(SEED)


def scaled(amount, least=1):
    return max(least, round(amount * SCALE))


def scratch():
    """A new folder, removed at exit; others may enter it."""
    global _scratch
    if _scratch is None:
        memory = "/dev/shm" if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK) else None  # fsync is free there
        _scratch = Path(tempfile.mkdtemp(prefix="jigsaw-test-", dir=memory))
        _scratch.chmod(0o755)
        atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=_scratch))
    folder.chmod(0o755)
    return folder


def run(*arguments, tool="jigsaw-gen", timeout=300, **keywords):
    """Runs a tool to its end; .returncode, .stdout, .stderr. Output that is not UTF-8 is a failure in itself."""
    command = [BIN / tool, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, **keywords)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def start(*arguments, tool="jigsaw-gen", **keywords):
    return subprocess.Popen(
        [BIN / tool, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **keywords
    )


def toy(scenes):
    """The toy data set of so many scenes, made once."""
    if scenes not in _toys:
        folder = scratch() / "toy"
        done = run("--toy", scenes, "--out", folder)
        if done.returncode != 0:
            raise RuntimeError(f"jigsaw-gen --toy failed: {done.stderr}")
        _toys[scenes] = folder
    return _toys[scenes]


def store(scenes, *options):
    """The sample store of so many toy scenes, made once."""
    if (scenes, options) not in _stores:
        folder = scratch() / "store"
        done = run(*toy_arguments(scenes), "--out", folder, "--jigsaws", 0, *options)
        if done.returncode != 0:
            raise RuntimeError(f"jigsaw-gen failed: {done.stderr}")
        _stores[scenes, options] = folder
    return _stores[scenes, options]


def toy_arguments(scenes):
    folder = toy(scenes)
    return ["--annotations", folder / "annotations" / "instances.json", "--images", folder / "images"]


def toy_json(scenes):
    return json.loads((toy(scenes) / "annotations" / "instances.json").read_text())


def files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def digest(folder):
    """{relative path: SHA-256} of all files but run.json, which holds times."""
    folder = Path(folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
        if path != folder / "run.json"
    }


def status(folder):
    """{relative path: (inode, modification time, size)} of all files: equal when nothing was touched."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): (s.st_ino, s.st_mtime_ns, s.st_size) for path in files(folder) for s in [path.stat()]}


class ToolTest(unittest.TestCase):
    maxDiff = 2000
    tool = "jigsaw-gen"

    def succeed(self, *arguments, **keywords):
        done = run(*arguments, tool=self.tool, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refuse(self, *arguments, code=1, words=(), **keywords):
        """The tool must fail with one line that holds all `words`."""
        done = run(*arguments, tool=self.tool, **keywords)
        self.assertEqual(done.returncode, code, f"stdout: {done.stdout}\nstderr: {done.stderr}")
        message = done.stderr.strip().split("\n")[-1]
        self.assertTrue(message.startswith(f"{self.tool}: "), done.stderr)
        for word in words:
            self.assertIn(str(word), message)
        return message

    def assert_same_store(self, folder, expected):
        """`expected`: a digest. Says which files differ, not all of their digests."""
        found = digest(folder)
        self.assertEqual(sorted(found), sorted(expected))
        self.assertEqual([path for path in found if found[path] != expected[path]], [])

    def assert_unfinished(self, folder, temporary=False):
        """Nothing in `folder` looks finished; `temporary`: leftovers of a killed run may lie there."""
        self.assertFalse((folder / "DONE").exists(), f"{folder} has a DONE file")
        if not temporary and folder.exists():
            self.assertEqual([str(path) for path in folder.rglob("*.tmp")], [])
