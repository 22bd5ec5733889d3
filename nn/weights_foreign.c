/* Files of weights that are no safetensors files: told apart by how they begin, with what makes one of them. */
#include <string.h>

#include "nn/weights.h"

/* Python's part of a command line; what is loaded is `d`. */
#define PYTHON_BEGIN "python3 -c \"import sys"
#define PYTHON_END "\""

static const char torch_line[] =
    PYTHON_BEGIN ", torch; from safetensors.torch import save_file; d = torch.load(sys.argv[1], map_location='cpu', "
                 "weights_only=True); d = d.get('state_dict', d.get('model', d)); save_file({k: "
                 "v.clone().contiguous() for k, v in d.items() if torch.is_tensor(v)}, sys.argv[2])" PYTHON_END;
static const char pickle_line[] =
    PYTHON_BEGIN ", pickle, numpy; from safetensors.numpy import save_file; d = pickle.load(open(sys.argv[1], 'rb'), "
                 "encoding='latin1'); d = d.get('model', d); save_file({k: numpy.ascontiguousarray(v) for k, v in "
                 "d.items() if isinstance(v, numpy.ndarray)}, sys.argv[2])" PYTHON_END;
static const char numpy_line[] = PYTHON_BEGIN ", numpy; from safetensors.numpy import save_file; "
                                              "save_file(dict(numpy.load(sys.argv[1])), sys.argv[2])" PYTHON_END;
static const char again[] = "download it again";
static const char unpack[] = "unpack it";
static const char other[] = "its layers have other names and layouts than PyTorch's: look for the same weights as a "
                            "PyTorch or safetensors file";

#define MAGIC(text) text, sizeof(text) - 1

/* The first that fits counts. */
static const struct kind {
  const char *magic;
  size_t magic_size, offset;
  const char *what, *advice; /* an advice that begins with "python3" takes the file and the new one */
} kinds[] = {
    {MAGIC("PK\3\4"), 0, "a PyTorch file", torch_line},
    {MAGIC("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), 0, "an old PyTorch file", torch_line},
    {MAGIC("\x80\2"), 0, "a pickle, which runs code: is its source to be trusted?", pickle_line},
    {MAGIC("\x80\3"), 0, "a pickle, which runs code: is its source to be trusted?", pickle_line},
    {MAGIC("\x80\4"), 0, "a pickle, which runs code: is its source to be trusted?", pickle_line},
    {MAGIC("\x80\5"), 0, "a pickle, which runs code: is its source to be trusted?", pickle_line},
    {MAGIC("\x89HDF\r\n\x1a\n"), 0, "an HDF5 file, as of Keras", other},
    {MAGIC("\x57\xfb\x80\x8b\x24\x75\x47\xdb"), SIZE_MAX, "a TensorFlow checkpoint", other}, /* at the end */
    {MAGIC("TFL3"), 4, "a TensorFlow Lite file", other},
    {MAGIC("GGUF"), 0, "a GGUF file", other},
    {MAGIC("\x93NUMPY"), 0, "a single NumPy array", other},
    {MAGIC("\x1f\x8b"), 0, "compressed by gzip", unpack},
    {MAGIC("BZh"), 0, "compressed by bzip2", unpack},
    {MAGIC("\xfd"
           "7zXZ"),
     0, "compressed by xz", unpack},
    {MAGIC("\x28\xb5\x2f\xfd"), 0, "compressed by zstd", unpack},
    {MAGIC("ustar"), 257, "a tar archive", unpack},
    {MAGIC("version https://git-lfs"), 0, "a Git LFS pointer, not the file itself", "run: git lfs pull"},
};

static bool fits(const struct kind *kind, const uint8_t *data, size_t size) {
  if (size < kind->magic_size) return false;
  size_t offset = kind->offset == SIZE_MAX ? size - kind->magic_size : kind->offset;
  return size - kind->magic_size >= offset && !memcmp(data + offset, kind->magic, kind->magic_size);
}

/* A zip archive's first member tells whose it is; its name is at byte 30. */
static bool first_member_ends(const uint8_t *data, size_t size, const char *end) {
  size_t length = size > 30 ? data[26] | (size_t)data[27] << 8 : 0, tail = strlen(end);
  if (length < tail || length > size - 30 || memcmp(data, "PK\3\4", 4) != 0) return false;
  return !memcmp(data + 30 + length - tail, end, tail);
}

/* ONNX: a protocol buffer that begins with a small version and the name of who made it. */
static bool is_onnx(const uint8_t *data, size_t size) {
  if (size < 16 || data[0] != 8 || data[1] > 32 || data[2] != 0x12 || data[3] < 2 || data[3] > 64) return false;
  return data[4] >= 'A' && data[4] <= 'z' && data[5] >= 'A' && data[5] <= 'z';
}

/* '<', '{' or what else there is first; 0 where the file is no text. */
static char first_of_text(const uint8_t *data, size_t size) {
  size_t at = size >= 3 && !memcmp(data, "\xEF\xBB\xBF", 3) ? 3 : 0;
  while (at < size && strchr(" \t\r\n", data[at]) && data[at]) {
    at++;
  }
  for (size_t i = at; i < size && i < at + 16; i++) {
    if (data[i] < 9) return 0;
  }
  return at < size ? (char)data[at] : 0;
}

/* 'it''s' for a shell. */
static void quote(const char *path, char *quoted, size_t size) {
  size_t used = 0;
  quoted[used++] = '\'';
  for (; *path && used + 6 < size; path++) {
    if (*path == '\'') {
      memcpy(quoted + used, "'\\''", 4);
      used += 4;
    } else {
      quoted[used++] = *path;
    }
  }
  quoted[used++] = '\'';
  quoted[used] = '\0';
}

static int fail(const char *path, const char *what, const char *advice, struct error *error) {
  char from[512], to[512], base[480];
  if (strncmp(advice, "python3", 7) != 0) return error_set(error, "%s is %s: %s", path, what, advice);
  snprintf(base, sizeof base, "%s", path);
  char *name = strrchr(base, '/'), *dot = strrchr(name ? name : base, '.');
  if (dot) *dot = '\0';
  snprintf(base + strlen(base), sizeof base - strlen(base), ".safetensors");
  quote(path, from, sizeof from);
  quote(base, to, sizeof to);
  return error_set(error, "%s is %s; this makes a safetensors file of it: %s %s %s", path, what, advice, from, to);
}

int weights_foreign(const uint8_t *data, size_t size, const char *path, struct error *error) {
  if (size == 0) return error_set(error, "%s is empty: %s", path, again);
  if (first_member_ends(data, size, ".npy")) return fail(path, "a NumPy archive", numpy_line, error);
  if (first_member_ends(data, size, ".json")) return fail(path, "a Keras file", other, error);
  if (first_member_ends(data, size, ".pth")) return fail(path, "a zip archive", unpack, error);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    if (fits(&kinds[i], data, size)) return fail(path, kinds[i].what, kinds[i].advice, error);
  }
  char first = first_of_text(data, size);
  if (is_onnx(data, size)) return fail(path, "an ONNX file", other, error);
  if (first == '<') return fail(path, "a web page or XML, not weights", again, error);
  if (first == '{')
    return fail(path, "JSON text: of a model in parts, they are the weights", "name one file of all", error);
  return 0;
}
