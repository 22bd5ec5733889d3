/* Damaged and hostile sample stores: a clear error from jig_store_open or jig_check, never a crash; and what opens can
 * be used. */
#include "jigsaw/store.h"

#include "tests/test_support.h"

#include "tests/store_support.h"

enum { MUTATIONS = 400 };

/* One small store for all tests; each changes a file of it and puts it back. */
struct damage {
  char folder[64], store[80], tar[128], index[128], json[128], done[128];
  struct buffer tar_bytes, index_bytes, json_bytes;
};

static int setup(void **state) {
  struct damage *damage = calloc(1, sizeof *damage);
  struct jig_generate_options options = store_options(test_seed());
  struct error error;
  assert_non_null(damage);
  options.jigsaws = 3;
  test_scratch(damage->folder);
  write_toy_store(damage->folder, 16, &options);
  snprintf(damage->store, sizeof damage->store, "%s/store", damage->folder);
  snprintf(damage->tar, sizeof damage->tar, "%s/shards/000000.tar", damage->store);
  snprintf(damage->index, sizeof damage->index, "%s/shards/000000.idx", damage->store);
  snprintf(damage->json, sizeof damage->json, "%s/dataset.json", damage->store);
  snprintf(damage->done, sizeof damage->done, "%s/DONE", damage->store);
  assert_ok(file_read(&damage->tar_bytes, damage->tar, &error), error);
  assert_ok(file_read(&damage->index_bytes, damage->index, &error), error);
  assert_ok(file_read(&damage->json_bytes, damage->json, &error), error);
  struct jig_store *store = open_store(damage->store);
  struct progress progress = {0};
  int64_t written;
  assert_ok(jig_write_jigsaws(store, &options, damage->store, &progress, &written, &error), error);
  jig_store_close(store);
  *state = damage;
  return 0;
}

static int teardown(void **state) {
  struct damage *damage = *state;
  test_scratch_remove(damage->folder);
  buffer_free(&damage->tar_bytes);
  buffer_free(&damage->index_bytes);
  buffer_free(&damage->json_bytes);
  free(damage);
  return 0;
}

static void restore(const struct damage *damage) {
  struct error error;
  write_bytes(damage->tar, damage->tar_bytes.data, damage->tar_bytes.size);
  write_bytes(damage->index, damage->index_bytes.data, damage->index_bytes.size);
  write_bytes(damage->json, damage->json_bytes.data, damage->json_bytes.size);
  write_bytes(damage->done, "", 0);
  assert_ok(check_store(damage->store, &error), error);
}

static void expect_message(const struct error *error, const char *expected) {
  if (!strstr(error->message, expected)) fail_msg("'%s' does not speak of '%s'", error->message, expected);
}

static void open_fails(const struct damage *damage, const char *expected) {
  struct jig_store *store;
  struct error error = {0};
  if (jig_store_open(&store, damage->store, &error) == 0) fail_msg("opens; expected '%s'", expected);
  assert_null(store);
  expect_message(&error, expected);
}

static void check_fails(const struct damage *damage, const char *expected) {
  struct error error = {0};
  jig_store_close(open_store(damage->store));
  if (check_store(damage->store, &error) == 0) fail_msg("passes the check; expected '%s'", expected);
  expect_message(&error, expected);
}

/* Everything that a store offers, of every sample; true when it opens. */
static bool use_store(const struct damage *damage, bool decode) {
  struct jig_store *store;
  struct error error = {0};
  struct image image = {0};
  if (jig_store_open(&store, damage->store, &error)) {
    assert_true(error.message[0] != '\0');
    return false;
  }
  struct jig_assembler assembler;
  struct jig_assemble_options options = jig_assemble_defaults();
  struct jig_tile tiles[JIG_REGIONS];
  struct jig_scratch scratch = {0};
  double box[4];
  for (int64_t i = 0; i < jig_store_count(store); i++) {
    const struct jig_record *record = jig_store_record(store, i);
    assert_true(strlen(jig_store_label_name(store, record->label)) < SIZE_MAX);
    if (decode && jig_store_decode(store, i, NULL, &image, &error)) assert_true(error.message[0] != '\0');
  }
  if (jig_assembler_init(&assembler, store, &options, &error) == 0) {
    for (int64_t i = 0; i < 8; i++) {
      jig_plan(&assembler, 1, i, tiles);
      if (decode && jig_render(&assembler, tiles, &scratch, &image, &error)) assert_true(error.message[0] != '\0');
      for (int region = 0; region < JIG_REGIONS; region++) {
        jig_tile_box(&assembler, &tiles[region], box);
      }
    }
  }
  jig_scratch_free(&scratch);
  image_free(&image);
  jig_store_close(store);
  return true;
}

/* ---- files ---- */

static void test_missing_files(void **state) {
  struct damage *damage = *state;
  const struct {
    const char *path, *expected;
  } FILES[] = {{damage->done, "DONE"}, {damage->json, "dataset.json"}, {damage->tar, ".tar"}, {damage->index, ".idx"}};
  for (size_t i = 0; i < COUNT_OF(FILES); i++) {
    struct error error = {0};
    assert_ok(file_remove_tree(FILES[i].path, &error), error);
    open_fails(damage, FILES[i].expected);
    assert_int_equal(check_store(damage->store, &error), -1);
    restore(damage);
  }
}

static void test_truncated_files(void **state) {
  struct damage *damage = *state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  for (int i = 0; i < 40; i++) {
    write_bytes(damage->tar, damage->tar_bytes.data, rng_below(&rng, damage->tar_bytes.size));
    open_fails(damage, ".tar");
    write_bytes(damage->tar, damage->tar_bytes.data, damage->tar_bytes.size);
    write_bytes(damage->index, damage->index_bytes.data, rng_below(&rng, damage->index_bytes.size));
    open_fails(damage, ".idx");
    write_bytes(damage->index, damage->index_bytes.data, damage->index_bytes.size);
    write_bytes(damage->json, damage->json_bytes.data, rng_below(&rng, damage->json_bytes.size - 1));
    open_fails(damage, "dataset.json");
    write_bytes(damage->json, damage->json_bytes.data, damage->json_bytes.size);
  }
  restore(damage);
}

/* ---- the index ---- */

/* dataset.json vouches for the index by its hash; someone who changes the index may change that, too. */
static void write_index(const struct damage *damage, const uint8_t *bytes, bool forge) {
  struct error error;
  char before[33], after[33];
  size_t size = damage->index_bytes.size;
  write_bytes(damage->index, bytes, size);
  if (!forge) return;
  struct buffer json = {0};
  hash_hex(XXH3_128bits(damage->index_bytes.data, size), before);
  hash_hex(XXH3_128bits(bytes, size), after);
  assert_ok(buffer_append(&json, damage->json_bytes.data, damage->json_bytes.size, &error), error);
  char *place = memmem(json.data, json.size, before, 32);
  assert_non_null(place);
  memcpy(place, after, 32);
  write_bytes(damage->json, json.data, json.size);
  buffer_free(&json);
}

typedef void change_index(struct jig_index_head *head, struct jig_record *records);

static void try_index(const struct damage *damage, change_index *change, bool opens, bool forge, const char *expected) {
  uint8_t *bytes = malloc(damage->index_bytes.size);
  assert_non_null(bytes);
  memcpy(bytes, damage->index_bytes.data, damage->index_bytes.size);
  struct jig_index_head *head = (struct jig_index_head *)(void *)bytes;
  change(head, (struct jig_record *)(void *)(bytes + sizeof *head));
  write_index(damage, bytes, forge);
  if (opens) {
    check_fails(damage, expected);
    use_store(damage, true);
  } else {
    open_fails(damage, expected);
  }
  free(bytes);
}

static void wrong_magic(struct jig_index_head *head, struct jig_record *records) {
  (void)records;
  head->magic[6] = '1';
}

static void more_records(struct jig_index_head *head, struct jig_record *records) {
  (void)records;
  head->record_count++;
}

static void endless_records(struct jig_index_head *head, struct jig_record *records) {
  (void)records;
  head->record_count += UINT64_MAX / 8 + 1; /* whose size, times 88, is a multiple of 2^64 */
}

static void long_shard(struct jig_index_head *head, struct jig_record *records) {
  (void)records;
  head->shard_size += 512;
}

static void offset_outside(struct jig_index_head *head, struct jig_record *records) {
  records[2].offset = head->shard_size;
}

static void offset_wraps(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[2].offset = UINT64_MAX - 10;
}

static void unknown_label(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].label = TOY_CATEGORIES + 1;
}

static void no_label(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].label = -1; /* though the store has a background class */
}

static void no_orientation(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[3].orientation = 9;
}

static void rectangles_differ(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[0].inner[2]++;
}

static void negative_place(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[0].inner[0] = -1;
}

static void other_group(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[0].group = (uint8_t)((records[0].group + 1) % JIG_GROUPS);
}

static void group_of_nothing(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[0].group = 200;
}

static void other_offset(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].offset = records[0].offset;
}

static void other_label(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].label = !records[1].label;
}

static void other_place(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].source[0]++;
}

static void huge_rectangle(struct jig_index_head *head, struct jig_record *records) {
  (void)head;
  records[1].inner[2] = records[1].inner[3] = records[1].source[2] = records[1].source[3] = 65535;
  records[1].group = JIG_SQUARE;
}

static void test_index(void **state) {
  struct damage *damage = *state;
  change_index *const REFUSED[] = {wrong_magic,  more_records,    endless_records,   offset_outside,
                                   offset_wraps, no_orientation,  rectangles_differ, negative_place,
                                   other_group,  group_of_nothing};
  for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
    try_index(damage, REFUSED[i], false, true, "000000.idx");
  }
  try_index(damage, long_shard, false, true, "000000.tar");
  try_index(damage, unknown_label, false, true, "unknown label");
  try_index(damage, no_label, false, true, "unknown label");
  change_index *const NOTICED[] = {other_offset, other_label, other_place, huge_rectangle};
  for (size_t i = 0; i < COUNT_OF(NOTICED); i++) {
    try_index(damage, NOTICED[i], true, false, "index_xxh128");
    try_index(damage, NOTICED[i], true, true,
              i == 0 ? "not where the index says" : "not what the index and dataset.json say");
  }
  restore(damage);
}

static void test_random_index(void **state) {
  struct damage *damage = *state;
  struct rng rng;
  struct error error;
  struct buffer bytes = {0};
  int opened = 0;
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  for (int i = 0; i < MUTATIONS; i++) {
    static const uint8_t EXTREMES[] = {0, 1, 0x7f, 0x80, 0xff};
    bytes.size = 0;
    assert_ok(buffer_append(&bytes, damage->index_bytes.data, damage->index_bytes.size, &error), error);
    for (int changes = 1 + (int)rng_below(&rng, 4); changes > 0; changes--) {
      size_t length = 1 + rng_below(&rng, 8), at = rng_below(&rng, bytes.size - length);
      memset(bytes.data + at, EXTREMES[rng_below(&rng, sizeof EXTREMES)], length);
    }
    write_bytes(damage->index, bytes.data, bytes.size);
    opened += use_store(damage, i % 8 == 0);
    if (i % 16 == 0) check_store(damage->store, &error);
  }
  assert_true(opened > 0 && opened < MUTATIONS);
  buffer_free(&bytes);
  restore(damage);
}

/* A damaged index that claims broken images but has no text of them is made again, not read beyond its end. */
static void test_resume_on_damaged_index(void **state) {
  struct damage *damage = *state;
  struct jig_generate_options options = store_options(1);
  struct progress progress = {0};
  struct dataset dataset;
  struct error error;
  char scenes[128];
  enum { PAGE = 4096 };
  size_t records = damage->index_bytes.size, size = (records + PAGE) / PAGE * PAGE;
  uint8_t *bytes = malloc(size);
  assert_non_null(bytes);
  memset(bytes, 'x', size);
  memcpy(bytes, damage->index_bytes.data, records);
  struct jig_index_head *head = (struct jig_index_head *)(void *)bytes;
  head->images_broken = 16;
  head->text_size += size - records;
  write_bytes(damage->index, bytes, size);
  snprintf(scenes, sizeof scenes, "%s/scenes", damage->folder);
  assert_ok(dataset_load(&dataset, scenes, NULL, NULL, &error), error);
  assert_ok(jig_write_shards(&dataset, &options, damage->store, &progress, &error), error);
  assert_int_equal(progress.skipped, 0);
  dataset_free(&dataset);
  free(bytes);
  restore(damage);
}

/* ---- the shard ---- */

static void test_shard_bytes(void **state) {
  struct damage *damage = *state;
  struct rng rng;
  struct error error;
  struct buffer bytes = {0};
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  for (int i = 0; i < 40; i++) {
    bytes.size = 0;
    assert_ok(buffer_append(&bytes, damage->tar_bytes.data, damage->tar_bytes.size, &error), error);
    for (int changes = i < 20 ? 1 : 2000; changes > 0; changes--) {
      bytes.data[rng_below(&rng, bytes.size)] ^= (uint8_t)(1 << rng_below(&rng, 8));
    }
    write_bytes(damage->tar, bytes.data, bytes.size);
    check_fails(damage, "xxh128");
    if (i >= 15 && i < 25) assert_true(use_store(damage, true));
  }
  buffer_free(&bytes);
  restore(damage);
}

/* ---- dataset.json ---- */

static void test_json(void **state) {
  struct damage *damage = *state;
  static const char *const TEXTS[] = {
      "",
      "{",
      "[]",
      "3",
      "null",
      "\"text\"",
      "{}",
      "{\"categories\":[],\"shards\":[]}",
      "{\"categories\":{\"a\":1},\"shards\":[]}",
      "{\"categories\":[{\"id\":1,\"name\":\"a\"}],\"shards\":{}}",
      "{\"categories\":[{\"id\":1}],\"shards\":[]}",
      "{\"categories\":[{\"name\":\"a\"}],\"shards\":[]}",
      "{\"categories\":[{\"id\":\"1\",\"name\":\"a\"}],\"shards\":[]}",
      "{\"categories\":[{\"id\":1e300,\"name\":\"a\"}],\"shards\":[]}",
      "{\"categories\":[{\"id\":-1e999,\"name\":\"a\"}],\"shards\":[]}",
      "{\"categories\":[{\"id\":1.5,\"name\":\"a\"}],\"shards\":[]}",
      "{\"categories\":[{\"id\":1,\"name\":null}],\"shards\":[]}",
      "{\"categories\":[3,null],\"shards\":[]}",
      "{\"categories\":[{\"id\":1,\"name\":\"a\"}],\"shards\":[{},{}]}",
      "{\"categories\":[{\"id\":1,\"name\":\"a\"}],\"background_label\":1e300,\"shards\":[{}]}",
  };
  for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
    write_bytes(damage->json, TEXTS[i], strlen(TEXTS[i]));
    open_fails(damage, "");
  }
  char deep[20000];
  memset(deep, '[', sizeof deep);
  write_bytes(damage->json, deep, sizeof deep);
  open_fails(damage, "JSON");
  restore(damage);
}

static void test_random_json(void **state) {
  struct damage *damage = *state;
  struct rng rng;
  struct error error;
  struct buffer bytes = {0};
  int opened = 0;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  for (int i = 0; i < MUTATIONS; i++) {
    static const char LETTERS[] = "{}[],:\"\\0129-.eEn tf";
    bytes.size = 0;
    assert_ok(buffer_append(&bytes, damage->json_bytes.data, damage->json_bytes.size, &error), error);
    for (int changes = 1 + (int)rng_below(&rng, 3); changes > 0; changes--) {
      bytes.data[rng_below(&rng, bytes.size)] = (uint8_t)LETTERS[rng_below(&rng, sizeof LETTERS - 1)];
    }
    write_bytes(damage->json, bytes.data, bytes.size);
    opened += use_store(damage, false);
    if (i % 16 == 0) check_store(damage->store, &error);
  }
  assert_true(opened > 0 && opened < MUTATIONS);
  buffer_free(&bytes);
  restore(damage);
}

/* ---- whatever is changed is found ---- */

static void change_leaf(cJSON *leaf) {
  if (cJSON_IsNumber(leaf)) {
    cJSON_SetNumberHelper(leaf, leaf->valuedouble + 1);
  } else if (cJSON_IsString(leaf)) {
    leaf->valuestring[0] ^= 1;
  } else if (cJSON_IsBool(leaf)) {
    leaf->type ^= cJSON_True | cJSON_False;
  } else {
    leaf->type = cJSON_True;
  }
}

/* Changes leaf number `number`, counted through the document; false when there are fewer. Of the many categories only
 * the first is gone through. */
static bool change_number(cJSON *item, int *number) {
  if (!cJSON_IsArray(item) && !cJSON_IsObject(item)) {
    if ((*number)-- > 0) return false;
    change_leaf(item);
    return true;
  }
  bool categories = item->string && !strcmp(item->string, "categories");
  for (cJSON *child = item->child; child; child = categories ? NULL : child->next) {
    if (change_number(child, number)) return true;
  }
  return false;
}

static void test_every_leaf_counts(void **state) {
  struct damage *damage = *state;
  struct error error;
  char run[128];
  int changed = 0;
  snprintf(run, sizeof run, "%s/run.json", damage->store);
  for (int i = 0; i < 2; i++) { /* dataset.json, and the options in run.json */
    const char *path = i ? run : damage->json;
    for (int number = 0;; number++, changed++) {
      cJSON *json, *original;
      assert_ok(file_read_json(path, &json, &error), error);
      original = cJSON_Duplicate(json, true);
      int left = number;
      bool found = change_number(json, &left);
      if (found) {
        char *text = cJSON_Print(json);
        write_bytes(path, text, strlen(text));
        if (check_store(damage->store, &error) == 0) fail_msg("leaf %d of %s can be changed:\n%s", number, path, text);
        cJSON_free(text);
      }
      char *text = cJSON_Print(original);
      write_bytes(path, text, strlen(text));
      cJSON_free(text);
      cJSON_Delete(json);
      cJSON_Delete(original);
      if (!found) break;
    }
  }
  assert_true(changed > 50);
  restore(damage);
}

/* The shard with other bytes, and every checksum that follows from them as it should be. */
static void seal(const struct damage *damage, const struct buffer *tar) {
  struct jig_generate_options options = store_options(0);
  struct dataset dataset;
  struct jig_totals totals;
  struct error error;
  struct buffer index = {0};
  cJSON *json;
  char scenes[128];
  XXH128_hash_t hash = XXH3_128bits(tar->data, tar->size);
  assert_ok(buffer_append(&index, damage->index_bytes.data, damage->index_bytes.size, &error), error);
  struct jig_index_head *head = (struct jig_index_head *)(void *)index.data;
  head->shard_hash[0] = hash.low64;
  head->shard_hash[1] = hash.high64;
  write_bytes(damage->tar, tar->data, tar->size);
  write_bytes(damage->index, index.data, index.size);
  snprintf(scenes, sizeof scenes, "%s/scenes", damage->folder);
  assert_ok(dataset_load(&dataset, scenes, NULL, NULL, &error), error);
  assert_ok(file_read_json(damage->json, &json, &error), error);
  const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(json, "options");
  assert_ok(jig_write_dataset_json(&dataset, &options, damage->store, recorded, &totals, &error), error);
  jig_totals_free(&totals);
  cJSON_Delete(json);
  dataset_free(&dataset);
  buffer_free(&index);
}

static void test_every_field_of_a_sample_counts(void **state) {
  struct damage *damage = *state;
  static const char *const FIELDS[] = {
      "\"label\":",    "\"category\":\"", "\"category_id\":", "\"annotation_id\":", "\"group\":\"",
      "\"image_id\":", "\"source\":[",    "\"rect\":[",       "\"orientation\":",   "\"bbox\":["};
  struct error error;
  struct buffer tar = {0};
  for (size_t i = 0; i < COUNT_OF(FIELDS); i++) {
    tar.size = 0;
    assert_ok(buffer_append(&tar, damage->tar_bytes.data, damage->tar_bytes.size, &error), error);
    if (i == 0) {
      seal(damage, &tar); /* the same bytes: sealed, they are whole again */
      assert_ok(check_store(damage->store, &error), error);
    }
    uint8_t *field = memmem(tar.data, tar.size, FIELDS[i], strlen(FIELDS[i]));
    assert_non_null(field);
    field[strlen(FIELDS[i])] ^= 1;
    seal(damage, &tar);
    check_fails(damage, "member");
  }
  buffer_free(&tar);
  restore(damage);
}

static int allocations_left;

static void *scarce_malloc(size_t size) {
  return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Out of memory at every single allocation: an error of the machine, and never half a document. */
static void test_scarce_memory(void **state) {
  struct damage *damage = *state;
  struct jig_generate_options options = store_options(0);
  struct dataset dataset;
  struct error error = {0};
  cJSON *json;
  cJSON_Hooks hooks = {.malloc_fn = scarce_malloc, .free_fn = free};
  char scenes[128];
  snprintf(scenes, sizeof scenes, "%s/scenes", damage->folder);
  assert_ok(dataset_load(&dataset, scenes, NULL, NULL, &error), error);
  assert_ok(file_read_json(damage->json, &json, &error), error);
  const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(json, "options");
  int result = -1, failures = 0;
  assert_int_equal(unlink(damage->json), 0);
  cJSON_InitHooks(&hooks);
  while (result != 0) {
    struct jig_totals totals;
    allocations_left = failures;
    result = jig_write_dataset_json(&dataset, &options, damage->store, recorded, &totals, &error);
    jig_totals_free(&totals);
    if (result == 0) break;
    assert_true(error.machine && !file_exists(damage->json));
    failures++;
  }
  cJSON_InitHooks(NULL);
  assert_true(failures > 300);
  struct buffer written = {0};
  assert_ok(file_read(&written, damage->json, &error), error);
  assert_int_equal(written.size, damage->json_bytes.size);
  assert_memory_equal(written.data, damage->json_bytes.data, written.size);
  buffer_free(&written);
  cJSON_Delete(json);
  dataset_free(&dataset);
  restore(damage);
}

static void test_swapped_jigsaws(void **state) {
  struct damage *damage = *state;
  char paths[3][160];
  snprintf(paths[0], sizeof paths[0], "%s/jigsaws/images/0000/00000000.jpg", damage->store);
  snprintf(paths[1], sizeof paths[1], "%s/jigsaws/images/0000/00000002.jpg", damage->store);
  snprintf(paths[2], sizeof paths[2], "%s/aside", damage->store);
  for (int i = 0; i < 2; i++) { /* and back */
    if (i == 1) check_fails(damage, "is not the jigsaw that the samples make");
    assert_int_equal(rename(paths[0], paths[2]) | rename(paths[1], paths[0]) | rename(paths[2], paths[1]), 0);
  }
  restore(damage);
}

/* ---- the jigsaws beside it ---- */

static void test_jigsaws(void **state) {
  struct damage *damage = *state;
  struct buffer bytes = {0};
  struct error error;
  char path[128];
  snprintf(path, sizeof path, "%s/jigsaws/images/0000/00000001.jpg", damage->store);
  assert_ok(file_read(&bytes, path, &error), error);
  write_bytes(path, bytes.data, bytes.size / 2);
  check_fails(damage, "00000001.jpg");
  assert_ok(file_remove_tree(path, &error), error);
  check_fails(damage, "00000001.jpg");
  write_bytes(path, bytes.data, bytes.size);
  snprintf(path, sizeof path, "%s/jigsaws/annotations/instances.json", damage->store);
  assert_ok(file_read(&bytes, path, &error), error);
  write_bytes(path, bytes.data, bytes.size / 2);
  check_fails(damage, "instances.json");
  assert_ok(file_remove_tree(path, &error), error);
  check_fails(damage, "instances.json");
  write_bytes(path, bytes.data, bytes.size);
  buffer_free(&bytes);
  restore(damage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_missing_files),
      cmocka_unit_test(test_truncated_files),
      cmocka_unit_test(test_index),
      cmocka_unit_test(test_random_index),
      cmocka_unit_test(test_shard_bytes),
      cmocka_unit_test(test_resume_on_damaged_index),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_random_json),
      cmocka_unit_test(test_jigsaws),
      cmocka_unit_test(test_every_leaf_counts),
      cmocka_unit_test(test_swapped_jigsaws),
      cmocka_unit_test(test_scarce_memory),
      cmocka_unit_test(test_every_field_of_a_sample_counts),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
