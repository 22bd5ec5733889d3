/* Tar shards: what is written is found again, in place; and damage is an error or harms nothing. */
#include "core/dataset/shard.h"

#include "tests/test_support.h"

enum { MEMBERS = 12, ROUNDS = 60, FLIPS = 4000 };

struct member {
  char name[128];
  uint8_t *bytes;
  size_t size;
  uint64_t offset;
};

/* A shard as it was written, and what a walk finds of it. */
struct shard {
  char folder[64], path[96];
  struct member members[MEMBERS];
  int count, seen;
  const uint8_t *data; /* being walked */
  size_t size;
};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static void random_name(struct rng *rng, int number, char name[128]) {
  static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  int length = rng_uniform(rng) < 0.1 ? 90 : 1 + below(rng, 30), used = snprintf(name, 128, "%d", number);
  while (used < length)
    name[used++] = LETTERS[below(rng, sizeof LETTERS - 1)];
  snprintf(name + used, 128 - (size_t)used, ".%s", number % 2 ? "json" : "jpg");
}

/* Zeros, which look like the end of an archive; noise; or the head of another archive. */
static void random_member(struct rng *rng, int number, struct member *member) {
  random_name(rng, number, member->name);
  member->size = (size_t)(rng_uniform(rng) < 0.3 ? 512 * below(rng, 8) : below(rng, 5000));
  member->bytes = calloc(1, member->size + 1);
  assert_non_null(member->bytes);
  if (rng_uniform(rng) < 0.3) return;
  for (size_t i = 0; i < member->size; i++) {
    member->bytes[i] = (uint8_t)rng_u32(rng);
  }
}

static void write_shard(struct rng *rng, struct shard *shard, int count, int64_t *size, XXH128_hash_t *hash) {
  struct shard_writer writer;
  struct error error;
  shard->count = count;
  snprintf(shard->path, sizeof shard->path, "%s/%08x.tar", shard->folder, (unsigned)rng_u32(rng));
  assert_ok(file_remove_tree(shard->path, &error), error);
  assert_ok(shard_create(&writer, shard->path, &error), error);
  assert_false(file_exists(shard->path));
  for (int i = 0; i < count; i++) {
    struct member *member = &shard->members[i];
    random_member(rng, i, member);
    assert_ok(shard_add(&writer, member->name, member->bytes, member->size, &member->offset, &error), error);
  }
  assert_ok(shard_commit(&writer, size, hash, &error), error);
}

static void free_members(struct shard *shard) {
  for (int i = 0; i < shard->count; i++) {
    free(shard->members[i].bytes);
  }
  shard->count = 0;
}

/* The members come as they were written, and their bytes are those of the file, not copies. */
static int expect_member(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error) {
  struct shard *shard = context;
  if (shard->seen == shard->count) return error_set(error, "one member too many");
  const struct member *member = &shard->members[shard->seen++];
  if (strcmp(name, member->name) != 0 || size != member->size) return error_set(error, "another name or size");
  if (size > 0 && bytes != shard->data + member->offset) return error_set(error, "not in place");
  if (memcmp(shard->data + member->offset, member->bytes, size) != 0) return error_set(error, "other bytes");
  return 0;
}

static int walk_shard(struct shard *shard, const uint8_t *data, size_t size, shard_visit *visit, struct error *error) {
  shard->data = data;
  shard->size = size;
  shard->seen = 0;
  return shard_walk(data, size, visit, shard, error);
}

/* A copy of its own size on the heap, so that the sanitizer sees a read beyond. */
static uint8_t *copy_bytes(const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size > 0 ? size : 1);
  assert_non_null(copy);
  memcpy(copy, bytes, size);
  return copy;
}

static void test_round_trip(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct shard shard = {0};
  test_scratch(shard.folder);
  for (uint64_t round = 0; round < ROUNDS; round++) {
    struct rng rng;
    struct error error;
    struct file_map map;
    int64_t size;
    XXH128_hash_t hash;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    write_shard(&rng, &shard, below(&rng, MEMBERS + 1), &size, &hash);
    assert_ok(file_map_open(&map, shard.path, &error), error);
    assert_int_equal(map.size, size);
    assert_true(XXH128_isEqual(hash, XXH3_128bits(map.data, map.size)));
    assert_ok(walk_shard(&shard, map.data, map.size, expect_member, &error), error);
    assert_int_equal(shard.seen, shard.count);
    file_map_close(&map);
    free_members(&shard);
  }
  test_scratch_remove(shard.folder);
}

static void test_same_bytes(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct shard shard = {0};
  XXH128_hash_t hashes[2];
  test_scratch(shard.folder);
  for (int i = 0; i < 2; i++) {
    struct rng rng;
    int64_t size;
    rng_init(&rng, seed, RNG_TEST, 1, 0);
    write_shard(&rng, &shard, MEMBERS, &size, &hashes[i]);
    free_members(&shard);
  }
  assert_true(XXH128_isEqual(hashes[0], hashes[1]));
  test_scratch_remove(shard.folder);
}

/* Nothing remains of a shard that was given up, at whatever point. */
/* A shard whose members were partly taken back is that of those that stayed. */
static void test_rewind(void **state) {
  (void)state;
  static uint8_t bytes[400000];
  struct rng rng;
  struct error error = {0};
  char folder[64], paths[2][96];
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  test_scratch(folder);
  snprintf(paths[0], sizeof paths[0], "%s/rewound.tar", folder);
  snprintf(paths[1], sizeof paths[1], "%s/plain.tar", folder);
  for (int round = 0; round < 20; round++) {
    struct shard_writer rewound, plain;
    struct file_mark mark = {0};
    int64_t sizes[2];
    XXH128_hash_t hashes[2];
    assert_ok(shard_create(&rewound, paths[0], &error), error);
    assert_ok(shard_create(&plain, paths[1], &error), error);
    for (int i = 0; i < 12; i++) {
      bool stays = below(&rng, 2);
      uint64_t offset, same;
      assert_ok(shard_mark(&rewound, &mark, &error), error);
      for (int k = 0; k < 3; k++) { /* several members to an image */
        char name[32];
        size_t size = (size_t)below(&rng, below(&rng, 2) ? 600 : (int)sizeof bytes);
        snprintf(name, sizeof name, "%d_%d.jpg", i, k);
        memset(bytes, below(&rng, 256), size);
        assert_ok(shard_add(&rewound, name, bytes, size, &offset, &error), error);
        if (!stays) continue;
        assert_ok(shard_add(&plain, name, bytes, size, &same, &error), error);
        assert_int_equal(offset, same);
      }
      if (!stays) assert_ok(shard_rewind(&rewound, &mark, &error), error);
    }
    assert_ok(shard_commit(&rewound, &sizes[0], &hashes[0], &error), error);
    assert_ok(shard_commit(&plain, &sizes[1], &hashes[1], &error), error);
    assert_true(sizes[0] == sizes[1] && XXH128_isEqual(hashes[0], hashes[1]));
    for (int i = 0; i < 2; i++) {
      assert_ok(file_digest(paths[i], &hashes[i], &error), error);
    }
    assert_true(XXH128_isEqual(hashes[0], hashes[1]));
    file_mark_free(&mark);
  }
  test_scratch_remove(folder);
}

static void test_abandon(void **state) {
  (void)state;
  char folder[64], path[96];
  test_scratch(folder);
  snprintf(path, sizeof path, "%s/a.tar", folder);
  for (int members = 0; members < 3; members++) {
    struct shard_writer writer;
    struct error error;
    uint64_t offset;
    assert_ok(shard_create(&writer, path, &error), error);
    for (int i = 0; i < members; i++) {
      assert_ok(shard_add(&writer, "a.jpg", "abc", 3, &offset, &error), error);
    }
    shard_abandon(&writer);
    struct arena arena = {0};
    char **names;
    size_t count;
    assert_ok(directory_list(folder, &arena, &names, &count, &error), error);
    assert_int_equal(count, 0);
    arena_free(&arena);
  }
  test_scratch_remove(folder);
}

static int refuse_third(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error) {
  struct shard *shard = context;
  (void)bytes, (void)size;
  return ++shard->seen == 3 ? error_set(error, "no %s", name) : 0;
}

static void test_visit_fails(void **state) {
  (void)state;
  struct shard shard = {0};
  struct rng rng;
  struct error error;
  struct file_map map;
  int64_t size;
  XXH128_hash_t hash;
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  test_scratch(shard.folder);
  write_shard(&rng, &shard, MEMBERS, &size, &hash);
  assert_ok(file_map_open(&map, shard.path, &error), error);
  assert_int_equal(walk_shard(&shard, map.data, map.size, refuse_third, &error), -1);
  assert_int_equal(shard.seen, 3);
  assert_true(strncmp(error.message, "no ", 3) == 0 && strcmp(error.message + 3, shard.members[2].name) == 0);
  file_map_close(&map);
  free_members(&shard);
  test_scratch_remove(shard.folder);
}

/* A tar may be padded with more zeros than the two blocks of its end; of anything that lacks those, a walk fails. */
static void test_truncation(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct shard shard = {0};
  test_scratch(shard.folder);
  for (uint64_t round = 0; round < ROUNDS; round++) {
    struct rng rng;
    struct error error;
    struct file_map map;
    int64_t size;
    XXH128_hash_t hash;
    rng_init(&rng, seed, RNG_TEST, 3, round);
    write_shard(&rng, &shard, 1 + below(&rng, MEMBERS), &size, &hash);
    assert_ok(file_map_open(&map, shard.path, &error), error);
    const struct member *last = &shard.members[shard.count - 1];
    size_t whole = ((size_t)last->offset + last->size + 511) / 512 * 512 + 1024;
    for (size_t kept = 0; kept < map.size; kept += round % 4 ? 512 : (size_t)(1 + below(&rng, 700))) {
      uint8_t *part = copy_bytes(map.data, kept);
      error.message[0] = '\0';
      int result = walk_shard(&shard, part, kept, expect_member, &error);
      if (kept >= whole && kept % 512 == 0) {
        assert_ok(result, error);
      } else {
        if (result == 0) fail_msg("%zu of %zu bytes pass; %zu are needed", kept, map.size, whole);
        assert_true(error.message[0] != '\0');
      }
      free(part);
    }
    file_map_close(&map);
    free_members(&shard);
  }
  test_scratch_remove(shard.folder);
}

/* Names end, and bytes lie inside the file: what any caller relies on. */
static int expect_inside(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error) {
  struct shard *shard = context;
  (void)error;
  assert_true(strlen(name) > 0);
  if (size == 0) return 0;
  uintptr_t first = (uintptr_t)bytes, begin = (uintptr_t)shard->data;
  assert_true(first >= begin && first - begin <= shard->size && size <= shard->size - (first - begin));
  shard->seen += bytes[0] + bytes[size - 1] >= 0; /* both can be read */
  return 0;
}

static void test_damage(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct shard shard = {0};
  struct rng rng;
  struct error error;
  struct file_map map;
  int64_t size;
  XXH128_hash_t hash;
  int failures = 0;
  test_scratch(shard.folder);
  rng_init(&rng, seed, RNG_TEST, 4, 0);
  write_shard(&rng, &shard, MEMBERS, &size, &hash);
  assert_ok(file_map_open(&map, shard.path, &error), error);
  for (int i = 0; i < FLIPS; i++) {
    uint8_t *damaged = copy_bytes(map.data, map.size);
    for (int flips = 1 + below(&rng, 3); flips > 0; flips--) {
      const struct member *member = &shard.members[below(&rng, MEMBERS)];
      size_t header = (size_t)member->offset - 512 + (size_t)below(&rng, 512);
      damaged[i % 2 ? header : (size_t)rng_below(&rng, map.size)] ^= (uint8_t)(1 << below(&rng, 8));
    }
    error.message[0] = '\0';
    int result = walk_shard(&shard, damaged, map.size, expect_inside, &error);
    assert_true(result == 0 || error.message[0] != '\0');
    failures += result != 0;
    free(damaged);
  }
  assert_true(failures > FLIPS / 3); /* each header has a checksum */
  file_map_close(&map);
  free_members(&shard);
  test_scratch_remove(shard.folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rewind),  cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_abandon), cmocka_unit_test(test_visit_fails), cmocka_unit_test(test_truncation),
      cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
