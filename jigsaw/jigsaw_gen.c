/* jigsaw-gen: from a detection data set to a sample store and a jigsaw data set. Options in, library calls, numbers
 * out; exit status 0 done, 1 failed, 2 wrong usage. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/toy/toy.h"
#include "jigsaw/generate.h"

enum { OPTION_COUNT = 48 };

/* Everything the command line says, and the table that it was read with. */
struct arguments {
  struct option table[OPTION_COUNT];
  size_t option_count;
  const char *out, *template, *preview, *check, *broken_list;
  struct option_list annotations, images, split, ignore_classes, rename_classes;
  struct dataset_source sources[OPTION_LIST_MAX]; /* annotations->count of them */
  struct dataset_options reading;
  XXH128_hash_t pictures; /* names and sizes */
  int boxes;              /* 0: xywh, but checked; else 1 + enum dataset_boxes */
  int64_t seed, toy, workers, preview_count;
  const char *jigsaws;
  bool dry_run, overwrite, quiet;
  struct jig_generate_options generate;
};

static const char *const formats[] = {"auto", "coco", "voc", "yolo", NULL};
static const char *const boxes[] = {"check", "xywh", "xyxy", "relative", "relative-xyxy", NULL};
static const char *const shifts[] = {"uniform", "symmetric", "full", NULL};
static const char *const froms[] = {"any", "same", NULL};
static const char *const sizes[] = {"positives", "uniform", NULL};
static const char *const ious[] = {"box", "crop", NULL};
static const char *const crowds[] = {"avoid", "ignore", "use", NULL};

/* What the output does not depend on, or what is recorded by content (the annotations). */
static const char *const not_identity[] = {
    "annotations",         "images",     "out",   "check", "toy",       "workers", "preview",
    "preview-count",       "dry-run",    "quiet", "split", "overwrite", "format",  "max-bad",
    "max-bad-annotations", "broken-list"};

static const char *const products[] = {"dataset.json", "broken.txt", "shards", "jigsaws", NULL};

static const char usage[] =
    "usage: jigsaw-gen --annotations FILE|DIR --images DIR --out DIR [option ...]\n"
    "       jigsaw-gen --check DIR\n"
    "       jigsaw-gen --toy N --out DIR\n"
    "\n"
    "Cuts the boxes of a detection data set (COCO, PASCAL VOC, YOLO) out with context, losslessly, into a sample "
    "store,\n"
    "and assembles them to jigsaws: images of four samples to pre-train a detector's backbone on. Killed, it goes on\n"
    "where it was when the same command is given again.\n"
    "\n";

static void make_options(struct arguments *a) {
  struct jig_generate_options *g = &a->generate;
  struct jig_sample_options *s = &g->extract.sample;
  struct jig_assemble_options *j = &g->assemble;
  const struct option options[] = {
      {OPTION_SECTION, "Input and output", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_LIST, "annotations", &a->annotations, "FILE|DIR",
       "COCO instances JSON, a VOC or YOLO folder, or a data.yaml; given again: one more, joined", 0, 0, NULL},
      {OPTION_LIST, "images", &a->images, "DIR", "the pictures: for all annotations, or once for each", 0, 0, NULL},
      {OPTION_TEXT, "out", &a->out, "DIR", "the sample store; made if need be", 0, 0, NULL},
      {OPTION_CHOICE, "format", &a->reading.format, NULL, "what the annotations are", 0, 0, formats},
      {OPTION_LIST, "split", &a->split, "NAME",
       "a part of the data set: train2017, trainval, ...; for all, or once for each", 0, 0, NULL},
      {OPTION_CHOICE, "boxes", &a->boxes, NULL,
       "what a COCO bbox holds; check: xywh, but stop where that is implausible", 0, 0, boxes},
      {OPTION_LIST, "ignore-classes", &a->ignore_classes, "A,B",
       "leave these out (skip, exclude): neither samples nor background", 0, 0, NULL},
      {OPTION_LIST, "rename-classes", &a->rename_classes, "OLD=NEW,..",
       "rename classes; those of one name become one (merge, map)", 0, 0, NULL},
      {OPTION_SWITCH, "exif", &g->extract.exif, NULL,
       "boxes are on pictures turned by EXIF orientation; auto: YOLO's are, others where the size tells", 0, 0,
       option_switch},
      {OPTION_REAL, "max-bad", &g->max_bad, "PERCENT", "broken images that are skipped before giving up", 0, 100, NULL},
      {OPTION_REAL, "max-bad-annotations", &a->reading.max_bad_annotations, "PERCENT",
       "annotations left out as unusable before giving up (ten always may)", 0, 100, NULL},
      {OPTION_FLAG, "overwrite", &a->overwrite, NULL, "begin anew where --out holds work of other options", 0, 0, NULL},
      {OPTION_SECTION, "Sampling", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_INT, "seed", &a->seed, "N", "of all random numbers", 0, 9e15, NULL},
      {OPTION_REAL, "context", &s->context, "X", "largest growth of a box's sides; 1: tight crops", 1, 3, NULL},
      {OPTION_CHOICE, "context-shift", &s->context_shift, NULL, "how a box's corners move outward", 0, 0, shifts},
      {OPTION_REAL, "negatives", &s->negatives, "R", "background samples per box", 0, 10, NULL},
      {OPTION_CHOICE, "negatives-from", &s->negatives_from, NULL,
       "any: pictures with room have more for those without; same: never", 0, 0, froms},
      {OPTION_CHOICE, "negative-size", &s->negative_size, NULL, "where their sizes come from", 0, 0, sizes},
      {OPTION_CHOICE, "negative-iou", &s->negative_iou, NULL, "what they must have IoU 0 with", 0, 0, ious},
      {OPTION_INT, "negative-attempts", &s->negative_attempts, "N", "places tried before one is given up", 1, 1e6,
       NULL},
      {OPTION_CHOICE, "crowd", &s->crowd, NULL,
       "regions that are no single object: background keeps off them, or not, or they are used", 0, 0, crowds},
      {OPTION_FLAG, "background", &g->background, NULL, "background is a class of its own", 0, 0, NULL},
      {OPTION_FLAG, "difficult", &s->difficult, NULL, "use boxes that are marked difficult", 0, 0, NULL},
      {OPTION_INT, "min-side", &s->min_side, "PIXELS", "leave out boxes with a shorter side", 1, 1e6, NULL},
      {OPTION_INT, "quality", &g->extract.quality, "Q", "JPEG quality of crops from PNG, BMP, ...", 1, 100, NULL},
      {OPTION_SECTION, "Jigsaws", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_TEXT, "jigsaws", &a->jigsaws, "N|auto", "images of the written data set; auto: one epoch, 0: none", 0, 0,
       NULL},
      {OPTION_TEXT, "template", &a->template, "SIZE:CUT", "the canvas and where both its axes are cut", 0, 0, NULL},
      {OPTION_CHOICE, "fit", &j->fit, NULL, "samples in their regions; pad is the paper's", 0, 0, jig_fit_names},
      {OPTION_REAL, "scale-low", &j->scale_low, "X", "smallest random scale", 0.05, 16, NULL},
      {OPTION_REAL, "scale-high", &j->scale_high, "X", "largest", 0.05, 16, NULL},
      {OPTION_REAL, "flip", &j->flip, "P", "probability of mirroring", 0, 1, NULL},
      {OPTION_REAL, "repeat-max", &j->repeat_max, "N", "uses of a sample per epoch before others help its group", 0.1,
       1e9, NULL},
      {OPTION_INT, "jigsaw-quality", &g->jigsaw_quality, "Q", "their JPEG quality", 1, 100, NULL},
      {OPTION_SECTION, "Running", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_INT, "workers", &a->workers, "N", "threads; 0: one per processor", 0, 1024, NULL},
      {OPTION_TEXT, "preview", &a->preview, "FILE.png", "draw a contact sheet of jigsaws", 0, 0, NULL},
      {OPTION_INT, "preview-count", &a->preview_count, "N", "jigsaws on it", 1, 400, NULL},
      {OPTION_FLAG, "dry-run", &a->dry_run, NULL, "count only, write nothing", 0, 0, NULL},
      {OPTION_TEXT, "broken-list", &a->broken_list, "FILE.txt", "list the broken images there (--out has broken.txt)",
       0, 0, NULL},
      {OPTION_TEXT, "check", &a->check, "DIR", "verify a finished store instead", 0, 0, NULL},
      {OPTION_INT, "toy", &a->toy, "N", "write N built-in scenes (COCO) to --out instead", 1, 999999, NULL},
      {OPTION_FLAG, "quiet", &a->quiet, NULL, "no progress, no summary", 0, 0, NULL},
  };
  _Static_assert(COUNT_OF(options) <= OPTION_COUNT, "raise OPTION_COUNT");
  memcpy(a->table, options, sizeof options);
  a->option_count = COUNT_OF(options);
}

static struct arguments default_arguments(void) {
  return (struct arguments){
      .reading = dataset_defaults(),
      .template = "224:64",
      .jigsaws = "auto",
      .toy = -1,
      .preview_count = 24,
      .generate = {.extract = {.sample = jig_sample_defaults(), .quality = 95},
                   .assemble = jig_assemble_defaults(),
                   .background = true,
                   .max_bad = 1,
                   .jigsaw_quality = 95},
  };
}

static int parse_jigsaws(const char *text, int64_t *jigsaws, struct error *error) {
  char *end;
  *jigsaws = -1;
  if (!strcmp(text, "auto")) return 0;
  *jigsaws = strtoll(text, &end, 10);
  if (end != text && !*end && *jigsaws >= 0 && *jigsaws <= 100000000) return 0;
  return error_set(error, "--jigsaws: '%s' is neither auto nor a number from 0 to 100000000", text);
}

/* The value that belongs to --annotations number i: its own, or the one for all. */
static int pair_value(const struct arguments *a, const char *name, const struct option_list *list, size_t i,
                      const char **value, struct error *error) {
  *value = NULL;
  if (list->count == 0) return 0;
  if (list->count != 1 && list->count != a->annotations.count) {
    return error_set(error,
                     "--%s is given %zu times, --annotations %zu times: give it once for all, or once for each in the "
                     "same order",
                     name, list->count, a->annotations.count);
  }
  *value = list->items[list->count == 1 ? 0 : i];
  return 0;
}

static int pair_sources(struct arguments *a, struct error *error) {
  for (size_t i = 0; i < a->annotations.count; i++) {
    struct dataset_source *source = &a->sources[i];
    source->annotations = a->annotations.items[i];
    if (pair_value(a, "images", &a->images, i, &source->images, error) ||
        pair_value(a, "split", &a->split, i, &source->split, error)) {
      return -1;
    }
    if (source->split && !*source->split) source->split = NULL; /* --split '': this one has none */
  }
  return 0;
}

/* The last map of every backbone has a cell for 32 x 32 pixels: cells that lie in two regions have no label, and no
 * network could be trained on what would be written. */
static int check_stride(const struct arguments *a, struct error *error) {
  enum { STRIDE = 32 };
  const struct jig_template *template = &a->generate.assemble.template;
  if (template->size % STRIDE == 0 && template->cut % STRIDE == 0) return 0;
  return error_set(error,
                   "--template %d:%d: both must be multiples of %d, the stride of the backbones' last maps, or their "
                   "cells lie in two regions",
                   template->size, template->cut, STRIDE);
}

/* What the table's single rows cannot say. */
static int finish_arguments(struct arguments *a, struct error *error) {
  struct jig_assemble_options *assemble = &a->generate.assemble;
  if (jig_template_parse(a->template, &assemble->template, error)) return error_context(error, "--template");
  if (check_stride(a, error)) return -1;
  if (parse_jigsaws(a->jigsaws, &a->generate.jigsaws, error)) return -1;
  if (assemble->scale_low > assemble->scale_high) return error_set(error, "--scale-low is larger than --scale-high");
  assemble->seed = a->generate.extract.sample.seed = (uint64_t)a->seed;
  a->generate.workers = a->workers > 0 ? (int)a->workers : processor_count();
  if (a->check) return 0;
  if (a->toy >= 0) return a->out && *a->out ? 0 : error_set(error, "--toy needs --out DIR; see --help");
  if (a->annotations.count == 0) return error_set(error, "--annotations FILE|DIR is missing; see --help");
  a->reading.boxes = a->boxes > 0 ? a->boxes - 1 : DATASET_XYWH;
  if (pair_sources(a, error)) return -1;
  if ((!a->out || !*a->out) && !a->dry_run) return error_set(error, "--out DIR is missing (or --dry-run); see --help");
  return 0;
}

static cJSON *make_identity(const struct arguments *a, const struct dataset *dataset) {
  char hex[33], pictures_hex[33];
  cJSON *identity = options_json(a->table, a->option_count);
  for (size_t i = 0; identity && i < COUNT_OF(not_identity); i++) {
    cJSON_DeleteItemFromObjectCaseSensitive(identity, not_identity[i]);
  }
  hash_hex(dataset->hash, hex);
  hash_hex(a->pictures, pictures_hex);
  if (identity && cJSON_AddStringToObject(identity, "annotations-xxh128", hex) &&
      cJSON_AddStringToObject(identity, "images-xxh128", pictures_hex)) {
    return identity;
  }
  cJSON_Delete(identity);
  return NULL;
}

/* For messages: the annotations, or that there are several. */
static const char *source_name(const struct arguments *a) {
  return a->annotations.count == 1 ? a->annotations.items[0] : "the joined annotations";
}

/* cJSON, and many a reader of our JSON, keeps numbers as doubles. */
static int check_category_ids(const struct arguments *a, const struct dataset *dataset, struct error *error) {
  for (int64_t i = 0; i < dataset->category_count; i++) {
    int64_t id = dataset->categories[i].id;
    if (id > -(INT64_C(1) << 53) && id < INT64_C(1) << 53) continue;
    return error_set(error,
                     "%s: category id %lld: ids beyond 2^53 are not kept by JSON readers; renumber the categories",
                     source_name(a), (long long)id);
  }
  return 0;
}

static int check_usable(const struct arguments *a, const struct dataset *dataset, struct error *error) {
  struct jig_survey survey = jig_survey(dataset, &a->generate.extract.sample);
  if (survey.usable > 0) return 0;
  enum jig_drop most = 0;
  for (int reason = 0; reason < JIG_DROPS; reason++) {
    if (survey.dropped[reason] > survey.dropped[most]) most = reason;
  }
  return error_set(error, "%s: none of its %lld boxes can be used: %lld are %s%s; --dry-run counts all reasons",
                   source_name(a), (long long)dataset->box_count, (long long)survey.dropped[most], jig_drop_names[most],
                   most == JIG_DROP_CROWD       ? " (iscrowd 1): --crowd use takes them as objects"
                   : most == JIG_DROP_DIFFICULT ? ": --difficult takes them"
                   : most == JIG_DROP_SMALL     ? ": lower --min-side"
                                                : "");
}

/* Whether there is anything to do, before anything is written. */
static int check_dataset(const struct arguments *a, const struct dataset *dataset, struct error *error) {
  if (dataset->image_count == 0) return error_set(error, "%s: lists no images; nothing can be cut out", source_name(a));
  if (dataset->box_count == 0) return error_set(error, "%s: has no boxes; nothing can be cut out", source_name(a));
  if (!a->dry_run && check_usable(a, dataset, error)) return -1;
  return check_category_ids(a, dataset, error);
}

static FILE *chatter(const struct arguments *a) {
  return a->quiet ? NULL : stderr;
}

static cJSON *toy_identity(const struct arguments *a) {
  cJSON *identity = cJSON_CreateObject();
  if (cJSON_AddNumberToObject(identity, "toy", (double)a->toy) &&
      cJSON_AddNumberToObject(identity, "seed", (double)a->seed)) {
    return identity;
  }
  cJSON_Delete(identity);
  return NULL;
}

static int render_toy(const struct arguments *a, struct run *run, struct error *error) {
  struct progress progress;
  progress_start(&progress, chatter(a), "rendering", "scenes", a->toy);
  if (toy_write(a->out, a->toy, a->generate.extract.sample.seed, a->generate.workers, &progress, error)) return -1;
  progress_finish(&progress);
  return run_finish(run, error);
}

/* In a folder of its own: pictures and annotations of others are never touched. */
static int make_toy(const struct arguments *a, struct error *error) {
  static const char *const own[] = {"annotations", "images", NULL};
  struct run run;
  if (a->dry_run) {
    line_print(stderr, "%lld scenes would be rendered to %s/images, their annotations to %s/annotations",
               (long long)a->toy, a->out, a->out);
    return 0;
  }
  if (run_open(&run, a->out, "jigsaw-gen --toy", toy_identity(a), a->overwrite, own, error)) return -1;
  int result = run.finished ? 0 : render_toy(a, &run, error);
  if (result == 0 && !a->quiet) {
    line_print(stderr, "scenes in %s; next:", a->out);
    line_print(stderr,
               "  jigsaw-gen --annotations %s/annotations/instances.json --images %s/images --out STORE --preview "
               "preview.png",
               a->out, a->out);
  }
  run_close(&run);
  return result;
}

static int check_store(const struct arguments *a, struct error *error) {
  struct progress progress = {.stream = chatter(a)};
  if (jig_check(a->check, a->generate.workers, &progress, stdout, error)) return -1;
  line_print(stdout, "%s is whole", a->check);
  return 0;
}

/* Where the user wants it; the store has its own. */
static int write_broken_list(const struct arguments *a, const struct jig_totals *totals, struct error *error) {
  if (!a->broken_list) return 0;
  return file_write_beside(a->broken_list, totals->broken.data ? totals->broken.data : (const uint8_t *)"",
                           totals->broken.size, error);
}

static int dry_run(const struct arguments *a, const struct dataset *dataset, struct error *error) {
  struct progress progress;
  struct jig_totals totals = {0};
  progress_start(&progress, chatter(a), "counting", "img", dataset->image_count);
  int result = jig_dry_run(dataset, &a->generate, &progress, &totals, error);
  if (result == 0) {
    progress_finish(&progress);
    jig_print_summary(stdout, dataset, &a->generate, &totals, 0);
    result = write_broken_list(a, &totals, error);
  }
  if (result == 0) result = jig_check_broken(&totals, a->generate.max_bad, error);
  jig_totals_free(&totals);
  return result;
}

static int write_preview(const struct arguments *a, const struct jig_store *store, struct error *error) {
  struct jig_assembler assembler;
  if (!a->preview) return 0;
  if (jig_assembler_init(&assembler, store, &a->generate.assemble, error)) return -1;
  return jig_preview(&assembler, (int)a->preview_count, a->preview, error);
}

/* Facts for the report: what was made, at which cost. */
static int record_facts(struct run *run, const struct arguments *a, const struct jig_totals *totals, int64_t jigsaws,
                        struct error *error) {
  const struct {
    const char *name;
    double value;
  } facts[] = {
      {"images", (double)totals->images},           {"images_broken", (double)totals->images_broken},
      {"image_bytes", (double)totals->image_bytes}, {"samples", (double)totals->samples},
      {"store_bytes", (double)totals->store_bytes}, {"jigsaws", (double)jigsaws},
      {"workers", (double)a->generate.workers},
  };
  cJSON_DeleteItemFromObjectCaseSensitive(run->json, "device");
  cJSON_DeleteItemFromObjectCaseSensitive(run->json, "arguments");
  if (!cJSON_AddStringToObject(run->json, "device", "cpu") ||
      !cJSON_AddItemToObject(run->json, "arguments", options_json(a->table, a->option_count))) {
    return error_memory(error, 0);
  }
  for (size_t i = 0; i < COUNT_OF(facts); i++) {
    cJSON_DeleteItemFromObjectCaseSensitive(run->json, facts[i].name);
    if (!cJSON_AddNumberToObject(run->json, facts[i].name, facts[i].value)) return error_memory(error, 0);
  }
  return 0;
}

static int check_totals(const struct jig_totals *totals, struct error *error) {
  if (totals->samples > 0) return 0;
  if (totals->images_broken < totals->images) {
    return error_set(error, "no sample: all %lld boxes were left out; --dry-run counts why",
                     (long long)totals->counts.boxes);
  }
  return error_set(error, "all %lld images are broken; is --images the right folder? The first: %.*s",
                   (long long)totals->images, (int)strcspn((const char *)totals->broken.data, "\n"),
                   (const char *)totals->broken.data);
}

/* When the output folder is there (the preview may go into it), and nothing else is. */
static int check_preview(const struct arguments *a, struct error *error) {
  if (!a->preview) return 0;
  return jig_preview_check(&a->generate.assemble.template, (int)a->preview_count, a->preview, error);
}

/* The store has its shards; everything that follows from them. */
static int finish_store(const struct arguments *a, const struct dataset *dataset, struct run *run, double seconds,
                        struct error *error) {
  struct jig_totals totals = {0};
  struct jig_store *store = NULL;
  struct jig_assembler assembler;
  struct progress progress;
  int64_t jigsaws = 0;
  const cJSON *options = cJSON_GetObjectItemCaseSensitive(run->json, "options");
  int result = jig_write_dataset_json(dataset, &a->generate, a->out, options, &totals, error);
  if (result == 0) result = jig_store_open_unfinished(&store, a->out, error);
  if (result == 0) jig_store_share(store, a->generate.workers);
  if (result == 0) result = check_totals(&totals, error);
  if (result == 0 && a->generate.jigsaws != 0) {
    progress_start(&progress, chatter(a), "jigsaws", "img", jig_jigsaw_count(store, &a->generate));
    result = jig_write_jigsaws(store, &a->generate, a->out, &progress, &jigsaws, error);
    if (result == 0) progress_finish(&progress);
  }
  if (result == 0) result = write_preview(a, store, error);
  if (result == 0) result = write_broken_list(a, &totals, error);
  if (result == 0) result = record_facts(run, a, &totals, jigsaws, error);
  if (result == 0) result = run_finish(run, error);
  if (result == 0) result = jig_assembler_init(&assembler, store, &a->generate.assemble, error);
  if (result == 0 && !a->quiet) {
    jig_print_summary(stdout, dataset, &a->generate, &totals, seconds);
    jig_print_shortage(stdout, &assembler);
    if (jigsaws > 0) line_print(stdout, "  jigsaws   %lld in %s/jigsaws", (long long)jigsaws, a->out);
    if (a->preview) line_print(stdout, "  preview   %s", a->preview);
  }
  jig_store_close(store);
  jig_totals_free(&totals);
  return result;
}

/* What was left out of a finished store does not come in by itself. */
static void print_complete(const struct arguments *a, const struct jig_store *store) {
  int64_t broken = 0;
  for (int64_t i = 0; i < jig_store_shard_count(store); i++) {
    broken += jig_store_head(store, i)->images_broken;
  }
  if (broken == 0) {
    line_print(stderr, "%s is complete already; --check verifies it", a->out);
  } else {
    line_print(stderr,
               "%s is complete already, without %lld broken images that broken.txt there lists; when they are mended, "
               "--overwrite begins anew",
               a->out, (long long)broken);
  }
}

static int generate(struct arguments *a, const struct dataset *dataset, struct error *error) {
  struct run run;
  struct progress progress;
  cJSON *identity = make_identity(a, dataset);
  if (run_open(&run, a->out, "jigsaw-gen", identity, a->overwrite, products, error)) return -1;
  a->generate.run = &run;
  int result = check_preview(a, error);
  if (result == 0 && run.finished) {
    struct jig_store *store;
    result = jig_store_open(&store, a->out, error);
    if (result == 0 && !a->quiet) print_complete(a, store);
    if (result == 0) result = write_preview(a, store, error);
    if (result == 0 && a->preview && !a->quiet) line_print(stderr, "preview in %s", a->preview);
    jig_store_close(store);
  } else if (result == 0) {
    progress_start(&progress, chatter(a), "sampling", "img", dataset->image_count);
    result = jig_write_shards(dataset, &a->generate, a->out, &progress, error);
    double seconds = clock_seconds() - progress.started;
    if (progress.skipped > 0) seconds = 0; /* a rate over two attempts would be neither's */
    if (result == 0) progress_finish(&progress);
    if (result == 0) result = finish_store(a, dataset, &run, seconds, error);
  }
  a->generate.run = NULL;
  run_close(&run);
  return result;
}

static void print_reading(const struct arguments *a, const struct dataset *dataset, double seconds) {
  if (a->quiet) return;
  line_print(stderr, "%s: %s, %lld images, %lld boxes, %lld classes, read in %.2f s", source_name(a),
             a->annotations.count == 1 ? formats[dataset->format] : "joined", (long long)dataset->image_count,
             (long long)dataset->box_count, (long long)dataset->category_count, seconds);
  jig_print_reading(stderr, dataset);
}

static int run_dataset(struct arguments *a, struct error *error) {
  struct dataset dataset;
  double started = clock_seconds();
  if (dataset_load_all(&dataset, a->sources, a->annotations.count, &a->reading, error)) return -1;
  int result = dataset_choose_classes(&dataset, &a->ignore_classes, &a->rename_classes, error);
  if (result == 0) {
    double max_missing = a->dry_run ? -1 : a->generate.max_bad;
    result = dataset_find_pictures(&dataset, a->sources, a->generate.workers, max_missing, &a->pictures, error);
  }
  if (result == 0) {
    bool sure = a->boxes == 1 + DATASET_XYWH;
    result = dataset_check_boxes(&dataset, a->sources, a->reading.boxes, sure, error);
  }
  if (result == 0) print_reading(a, &dataset, clock_seconds() - started);
  if (result == 0) result = check_dataset(a, &dataset, error);
  if (result == 0) result = a->dry_run ? dry_run(a, &dataset, error) : generate(a, &dataset, error);
  dataset_free(&dataset);
  return result;
}

static int fail(const struct error *error, int status) {
  /* On a terminal an unfinished progress line may stand there. */
  fprintf(stderr, "%sjigsaw-gen: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", error->message);
  return status;
}

int main(int argc, char **argv) {
  struct arguments arguments = default_arguments();
  struct error error = {0};
  make_options(&arguments);
  enum options_result parsed =
      options_begin(arguments.table, arguments.option_count, "jigsaw-gen", usage, argc, argv, stdout, &error);
  if (parsed == OPTIONS_HELP || parsed == OPTIONS_VERSION) {
    return stdout_close(&error) ? fail(&error, 1) : argc == 1 ? 2 : 0;
  }
  if (parsed != OPTIONS_OK || finish_arguments(&arguments, &error)) return fail(&error, 2);
  int result = arguments.check      ? check_store(&arguments, &error)
               : arguments.toy >= 0 ? make_toy(&arguments, &error)
                                    : run_dataset(&arguments, &error);
  if (result == 0) result = stdout_close(&error);
  return result ? fail(&error, 1) : 0;
}
