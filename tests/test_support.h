/* What every test program shares: a seed that is printed and can be repeated with JIGSAW_TEST_SEED, a scratch folder,
 * and the place of the optional real data. Include after core/base/base.h. */
#ifndef JIGSAW_TESTS_TEST_SUPPORT_H
#define JIGSAW_TESTS_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Fails with the library's message. */
#define assert_ok(call, error)                                                                                         \
  do {                                                                                                                 \
    if ((call) != 0) fail_msg("%s: %s", #call, (error).message);                                                       \
  } while (0)

static inline uint64_t test_seed(void) {
  const char *text = getenv("JIGSAW_TEST_SEED");
  uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid();
  printf("JIGSAW_TEST_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

/* A fresh folder, removed by test_scratch_remove. */
static inline const char *test_scratch(char path[64]) {
  strcpy(path, "/tmp/jigsaw-test-XXXXXX");
  if (!mkdtemp(path)) fail_msg("cannot make a scratch folder");
  return path;
}

static inline void test_scratch_remove(const char *path) {
  struct error error = {0};
  if (file_remove_tree(path, &error)) fail_msg("%s", error.message);
}

#endif
