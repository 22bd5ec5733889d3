/* jigsaw/generate - the work of jigsaw-gen: a data set becomes a sample store, and a store becomes a jigsaw data set.
 *
 * The unit of work is a shard: a run of images that depends only on the data set. Workers make whole shards, each as a
 * temporary file that is renamed when it is complete, so that the result is the same for any number of workers, and a
 * run that was killed goes on with the shards that are missing.
 */
#ifndef JIGSAW_JIGSAW_GENERATE_H
#define JIGSAW_JIGSAW_GENERATE_H

#include "jigsaw/assemble.h"
#include "jigsaw/quota.h"

struct jig_generate_options {
  struct jig_extract_options extract;
  struct jig_assemble_options assemble;
  bool background;        /* negatives are a class of their own; else they have the label -1 */
  double max_bad;         /* images that may be broken, percent */
  int64_t jigsaws;        /* images of the written jigsaw data set; -1: one epoch's worth */
  int64_t jigsaw_quality; /* JPEG, 1 .. 100 */
  int workers;
  struct run *run; /* ticked after each piece of work; may be NULL */
};

/* What sampling found, over all shards. */
struct jig_totals {
  int64_t images, images_without_samples, images_broken, images_turned, images_upright, image_bytes, samples,
      store_bytes;
  struct jig_sample_counts counts;
  int64_t groups[JIG_GROUPS];
  int64_t (*labels)[JIG_GROUPS]; /* samples per label (background last) and group */
  int32_t label_count;
  struct buffer broken; /* the broken images and why, a line each, in order */
};

int jig_totals_init(struct jig_totals *totals, const struct dataset *dataset, struct error *error);
void jig_totals_add(struct jig_totals *totals, const struct jig_totals *more);
void jig_totals_free(struct jig_totals *totals);

/* Fails when more than max_bad percent of the images are broken. */
int jig_check_broken(const struct jig_totals *totals, double max_bad, struct error *error);

/* Counts only: opens every image's header, writes nothing, and stops at no broken image. */
int jig_dry_run(const struct dataset *dataset, const struct jig_generate_options *options, struct progress *progress,
                struct jig_totals *totals, struct error *error);

/* Writes FOLDER/shards. What is already there and whole stays: the caller answers for its being of the same data set
 * and options. Fails when more than max_bad percent of the images are broken; FOLDER/broken.txt then lists those that
 * were met. */
int jig_write_shards(const struct dataset *dataset, const struct jig_generate_options *options, const char *folder,
                     struct progress *progress, struct error *error);

#define JIG_KEY "%09lld_%04zu" /* of a sample: the image's position, the sample's within the image */

/* Replaces `text` by the sample's KEY.json; `category` is NULL for background. */
int jig_describe_sample(const struct jig_record *record, const struct dataset_category *category, const char *file_name,
                        int set, struct buffer *text, struct error *error);

/* What dataset.json says of the first `shards` shards in FOLDER, made from them, from the categories and the hash of
 * `dataset`, and from the options that are recorded (borrowed; NULL: none). Fills `totals`; NULL is failure. */
cJSON *jig_describe_store(const struct dataset *dataset, bool background, const char *folder, int64_t shards,
                          const cJSON *recorded, struct jig_totals *totals, struct error *error);

/* Writes FOLDER/dataset.json from the shards, and broken.txt if there are broken images; `options` is recorded in it
 * (borrowed). Fills `totals`. */
int jig_write_dataset_json(const struct dataset *dataset, const struct jig_generate_options *options,
                           const char *folder, const cJSON *recorded, struct jig_totals *totals, struct error *error);

/* Writes FOLDER/jigsaws: images/NNNN/NNNNNNNN.jpg and annotations/instances.json (COCO, one annotation a tile) from the
 * store. `progress` is started with the number of images. */
int jig_write_jigsaws(const struct jig_store *store, const struct jig_generate_options *options, const char *folder,
                      struct progress *progress, int64_t *written, struct error *error);
int64_t jig_jigsaw_count(const struct jig_store *store, const struct jig_generate_options *options);

/* The hash of the annotations that jig_write_jigsaws would write. */
int jig_hash_jigsaws(const struct jig_store *store, const struct jig_generate_options *options, XXH128_hash_t *hash,
                     struct error *error);

/* The options of jigsaws as dataset.json records them. */
int jig_recorded_options(const cJSON *recorded, struct jig_generate_options *options, struct error *error);

/* Runs of items that one task does at once and that share a shard or a folder: a function of `items` alone. */
int64_t jig_run_length(int64_t items);
int64_t jig_run_count(int64_t items);

/* Verifies a finished store: shards against checksums, tar members against the index to the byte, every crop decodes;
 * dataset.json, broken.txt and the jigsaws' annotations are what the shards and the recorded options make; every jigsaw
 * is what they draw. `report` gets a line for each thing checked. */
int jig_check(const char *folder, int workers, struct progress *progress, FILE *report, struct error *error);

/* The part of it that is about written jigsaws; `recorded`: the options in dataset.json. */
int jig_check_jigsaws(const struct jig_store *store, const cJSON *recorded, const char *folder, int workers,
                      struct progress *progress, FILE *report, struct error *error);

/* Whether jig_preview can write such a sheet there; asked before the work that it shows. */
int jig_preview_check(const struct jig_template *template, int count, const char *path, struct error *error);

/* Draws the first `count` jigsaws of epoch 0 as a contact sheet with tile borders, class names and source boxes. */
int jig_preview(const struct jig_assembler *assembler, int count, const char *path, struct error *error);

/* What reading left out, by reason, and what else a user should know of the annotations. Part of the summary, too. */
void jig_print_reading(FILE *stream, const struct dataset *dataset);

/* The numbers a person wants to see at the end. `seconds` 0: no rates. */
void jig_print_summary(FILE *stream, const struct dataset *dataset, const struct jig_generate_options *options,
                       const struct jig_totals *totals, double seconds);
void jig_print_shortage(FILE *stream, const struct jig_assembler *assembler);

#endif
