/* nn/safetensors - named tensors in a file, as Python's `safetensors` reads and writes them: 8 bytes of header length
 * (little-endian), a JSON header {"NAME": {"dtype", "shape", "data_offsets"}, "__metadata__": {"KEY": "TEXT"}}, and the
 * elements, row-major. The reader is for files that may hold anything.
 */
#ifndef JIGSAW_NN_SAFETENSORS_H
#define JIGSAW_NN_SAFETENSORS_H

#include "core/base/base.h"

enum { SAFETENSORS_RANK_MAX = 8, SAFETENSORS_HEADER_MAX = 100000000 /* as the reference */ };

#define SAFETENSORS_METADATA "__metadata__"

enum safetensors_dtype {
  SAFETENSORS_F32,
  SAFETENSORS_F16,
  SAFETENSORS_BF16,
  SAFETENSORS_F64,
  SAFETENSORS_I64,
  SAFETENSORS_I32,
  SAFETENSORS_I16,
  SAFETENSORS_I8,
  SAFETENSORS_U8,
  SAFETENSORS_BOOL,
  SAFETENSORS_OTHER /* known to the format, of no use to us */
};

struct safetensors_entry {
  const char *name;
  enum safetensors_dtype dtype;
  int rank;
  int64_t dims[SAFETENSORS_RANK_MAX];
  int64_t count;       /* the product of dims; 1 for a scalar (rank 0) */
  const uint8_t *data; /* a view of the mapping, unaligned */
  size_t size;         /* bytes */
};

struct safetensors {
  struct file_map map;
  struct arena arena;
  struct safetensors_entry *entries; /* in the order of their data */
  size_t count;
  struct safetensors_text {
    const char *key, *text;
  } * metadata;
  size_t metadata_count;
  const struct safetensors_entry **by_name; /* sorted */
};

const char *safetensors_dtype_name(enum safetensors_dtype dtype); /* "F32" */
size_t safetensors_dtype_size(enum safetensors_dtype dtype);      /* bytes of an element; 0 for OTHER */

/* Checks everything before a byte of data is used: the header's length, every offset inside the file, no overlap and no
 * hole, sizes that are those of dtype and shape, unique names. Messages name the file, the tensor and what is wrong.
 * Whoever parses keeps `data` while the file is used. */
int safetensors_open(struct safetensors *file, const char *path, struct error *error);
int safetensors_parse(struct safetensors *file, const uint8_t *data, size_t size, const char *name,
                      struct error *error);
void safetensors_close(struct safetensors *file);

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name); /* NULL: none */
const char *safetensors_metadata(const struct safetensors *file, const char *key);                  /* NULL: none */

/* Elements first .. first + count - 1 as float32, from F32, F16, BF16, F64 and the integers. */
int safetensors_floats(const struct safetensors_entry *entry, int64_t first, int64_t count, float *values,
                       struct error *error);

/* Writing: declare all tensors, types of large elements before those of small ones (so that each is aligned, which
 * readers want), then give their data in the same order, in pieces of any size. The header is padded so that data begin
 * at a multiple of 8 (as the reference does); nothing is at PATH before safetensors_commit. */
struct safetensors_writer;

int safetensors_create(struct safetensors_writer **writer, const char *path, struct error *error);
int safetensors_declare(struct safetensors_writer *writer, const char *name, enum safetensors_dtype dtype, int rank,
                        const int64_t dims[], struct error *error);
int safetensors_note(struct safetensors_writer *writer, const char *key, const char *text, struct error *error);
int safetensors_write(struct safetensors_writer *writer, const void *bytes, size_t size, struct error *error);
/* Both free the writer; `hash` (may be NULL) is of the whole file. */
int safetensors_commit(struct safetensors_writer *writer, XXH128_hash_t *hash, struct error *error);
void safetensors_abandon(struct safetensors_writer *writer);

#endif
