/* jigsaw/store - the sample store: every sample of a data set as a JPEG crop, in tar shards with random access.
 *
 *   STORE/shards/000000.tar    KEY.jpg + KEY.json of each sample (docs/FORMATS.md), readable by Python's webdataset
 *   STORE/shards/000000.idx    one record a sample: where its bytes are, category, rectangles
 *   STORE/dataset.json         categories, counts, options, checksums
 *   STORE/DONE                 empty; written last: without it the store is not finished
 *
 * A crop from a JPEG source holds the source's own DCT coefficients, cut at MCU boundaries; the sample is the exact
 * rectangle inside it. Shards are mapped, not read; opening checks every record once, and the records of a million
 * samples are 88 MB of shared, clean memory.
 */
#ifndef JIGSAW_JIGSAW_STORE_H
#define JIGSAW_JIGSAW_STORE_H

#include "core/image/image.h"
#include "jigsaw/sample.h"

/* A record of the index, as it lies in the file: little-endian, 88 bytes. */
struct jig_record {
  uint64_t offset;       /* of the JPEG in the shard */
  uint32_t size;         /* of the JPEG, bytes */
  int32_t label;         /* 0 .. category_count - 1, or the store's background label */
  int64_t image_id;      /* of the source */
  int64_t annotation_id; /* of the box; 0 for a negative */
  int32_t inner[4];      /* x, y, w, h of the exact rectangle in the JPEG as stored, before orientation */
  int32_t source[4];     /* x, y, w, h in the source image, upright: w and h are the sample's size */
  float box[4];          /* x, y, w, h of the annotated box within the upright sample; zeros for a negative */
  uint32_t image;        /* position of the source image in the data set */
  uint8_t group;         /* enum jig_group */
  uint8_t orientation;   /* EXIF 1 .. 8, to be applied after decoding the exact rectangle */
  uint8_t negative;      /* 1: background, not cut around a box */
  uint8_t padding;
};

/* The head of an index file. Records follow, then `text_size` bytes of lines: the images that were left out, and why.
 */
struct jig_index_head {
  char magic[8]; /* "JIGIDX2\n" */
  uint64_t record_count;
  uint64_t text_size;
  uint64_t shard_size;                                   /* of the .tar, bytes */
  uint64_t shard_hash[2];                                /* XXH3-128 of the .tar: low, high */
  uint64_t source_hash[2];                               /* XXH3-128 over the source files read, in order */
  int64_t images, images_without_samples, images_broken; /* images = all that the shard covers */
  int64_t images_turned, images_upright;                 /* EXIF orientation 2 .. 8; of them, boxes taken as upright */
  int64_t image_bytes;                                   /* of the source files read */
  struct jig_sample_counts counts;
};

struct jig_category {
  int64_t id;
  const char *name;
};

/* A finished store, open for reading. It may be used by many threads at once. */
struct jig_store;

int jig_store_open(struct jig_store **store, const char *folder, struct error *error);
void jig_store_close(struct jig_store *store);

int64_t jig_store_count(const struct jig_store *store);
const struct jig_record *jig_store_record(const struct jig_store *store, int64_t index);
int64_t jig_store_shard_count(const struct jig_store *store);
const struct jig_index_head *jig_store_head(const struct jig_store *store, int64_t shard);
int64_t jig_store_first(const struct jig_store *store, int64_t shard);       /* store index of its first sample */
struct file_map jig_store_tar(const struct jig_store *store, int64_t shard); /* views, not to be closed */
struct file_map jig_store_index(const struct jig_store *store, int64_t shard);

/* Labels 0 .. count - 1 are the data set's categories in file order; jig_store_background is one past the last, or -1
 * when negatives have no class. jig_store_labels counts the classes of a classifier: categories and background. */
int32_t jig_store_category_count(const struct jig_store *store);
const struct jig_category *jig_store_category(const struct jig_store *store, int32_t label);
int32_t jig_store_background(const struct jig_store *store);
int32_t jig_store_labels(const struct jig_store *store);
const char *jig_store_label_name(const struct jig_store *store, int32_t label); /* "background" included; -1: "none" */

/* The samples of one group, in store order. */
int64_t jig_store_group_count(const struct jig_store *store, enum jig_group group);
int64_t jig_store_group_item(const struct jig_store *store, enum jig_group group, int64_t position);

/* The stored JPEG file: a view that lives as long as the store. */
void jig_store_jpeg(const struct jig_store *store, int64_t index, const uint8_t **bytes, size_t *size);

/* How many threads will decode at once, and share the machine's memory; one, unless told otherwise. */
void jig_store_share(struct jig_store *store, int workers);

/* Decodes `part` of the exact, upright sample (NULL: all of it, source[2] x source[3] pixels). */
int jig_store_decode(const struct jig_store *store, int64_t index, const struct rect *part, struct image *image,
                     struct error *error);

/* The same for a store that is still being made: without the DONE file. */
int jig_store_open_unfinished(struct jig_store **store, const char *folder, struct error *error);

/* Reads and checks an index file: head against size, every record inside the shard, rectangles and groups consistent.
 * For memory that may hold anything; `name` is for messages. */
int jig_index_check(const uint8_t *data, size_t size, const char *name, struct error *error);

#endif
