/* Names of pictures as others write them become names below a folder; those that are so already stay as they are. */
#include "core/dataset/internal.h"

#include "tests/test_support.h"

static void test_safe(void **state) {
  (void)state;
  static const char *const safe[] = {"a.jpg", "a/b.jpg", "./a.jpg", "a/./b",     "..a",
                                     "a..",   "a/...",   "C:x",     "img:1.jpg", "a b"};
  static const char *const unsafe[] = {"",   "/",  "/a",  "..",   "../a",  "a/..", "a/../b", "a/../../b", ".",
                                       "./", "a/", "a/.", "C:/a", "c:\\a", "\\a",  "..\\a",  "a\\..\\b",  "a/..\\b"};
  for (size_t i = 0; i < COUNT_OF(safe); i++) {
    if (!dataset_name_safe(safe[i])) fail_msg("\"%s\" should be safe", safe[i]);
  }
  for (size_t i = 0; i < COUNT_OF(unsafe); i++) {
    if (dataset_name_safe(unsafe[i])) fail_msg("\"%s\" should be unsafe", unsafe[i]);
  }
}

static void test_relative(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"a.jpg", "a.jpg"},
      {"set/a b.jpg", "set/a b.jpg"},
      {"/home/u/set/a.jpg", "home/u/set/a.jpg"},
      {"//server/share/a.jpg", "server/share/a.jpg"},
      {"\\\\server\\share\\a.jpg", "server/share/a.jpg"},
      {"C:\\Users\\u\\a.jpg", "Users/u/a.jpg"},
      {"d:/a.jpg", "a.jpg"},
      {"images\\a.jpg", "images/a.jpg"},
      {"..\\images\\a.jpg", "images/a.jpg"},
      {"../../images/a.jpg", "images/a.jpg"},
      {"./a//b/./c.jpg", "a/b/c.jpg"},
      {"a/../b.jpg", "b.jpg"},
      {"a/b/../../../c.jpg", "c.jpg"},
      {"a/", "a"},
      {"", ""},
      {"/", ""},
      {"..", ""},
      {"a/..", ""},
      {"C:/", ""},
      {"C:/..", ""},
      /* addresses */
      {"http://host/a.jpg", "a.jpg"},
      {"https://host.example:8080/data/p0.jpg", "data/p0.jpg"},
      {"https://host/data/my%20picture%C3%A9.jpg", "data/my picture\xC3\xA9.jpg"},
      {"https://host/a.jpg?X-Amz-Date=1&sig=b/c", "a.jpg"},
      {"https://host/a.jpg#top", "a.jpg"},
      {"https://host/get?path=set/a.jpg&size=2", "set/a.jpg"},
      {"https://host/get?size=2", "get"},
      {"https://host/..%2f..%2Fetc/a.jpg", "etc/a.jpg"},
      {"https://host/a%00b.jpg", "a%00b.jpg"},
      {"https://host/a%ffb.jpg", "a%ffb.jpg"},
      {"https://host/a%2", "a%2"},
      {"https://host/a%", "a%"},
      {"https://host", "host"},
      {"s3://bucket/set/a.jpg", "set/a.jpg"},
      {"gs://bucket/a.jpg", "a.jpg"},
      {"file:///home/u/a.jpg", "home/u/a.jpg"},
      {"file:///C:/u/a.jpg", "u/a.jpg"},
      {"://a.jpg", ":/a.jpg"},
      {"a b://c/d.jpg", "a b:/c/d.jpg"},
      /* Label Studio */
      {"/data/local-files/?d=set/p0.jpg", "set/p0.jpg"},
      {"/data/local-files/?d=C%3A%5Cset%5Cp0.jpg", "set/p0.jpg"},
      {"http://localhost:8080/data/local-files/?d=a%2Fp0.PNG", "a/p0.PNG"},
      {"/data/upload/1/ab12-p0.jpg", "data/upload/1/ab12-p0.jpg"},
      /* No addresses: what looks like one's parts belongs to the name. */
      {"/a?b/c%20d#e.jpg", "a?b/c%20d#e.jpg"},
      {"\\a.jpg?size=1", "a.jpg"},
  };
  struct arena arena = {0};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *name = name_relative(&arena, cases[i][0]);
    if (strcmp(name, cases[i][1]) != 0) fail_msg("\"%s\" gives \"%s\", not \"%s\"", cases[i][0], name, cases[i][1]);
  }
  arena_free(&arena);
}

/* Whatever the name: what comes out is safe, or nothing. */
static void test_random(void **state) {
  (void)state;
  static const char *const parts[] = {"/",  "\\", "..",  ".",   "a",   "C:",  "://", "?",
                                      "d=", "&",  "%2e", "%2F", "%5c", "%00", "#",   ".jpg"};
  struct arena arena = {0};
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  for (int i = 0; i < 100000; i++) {
    char written[128] = "";
    for (uint64_t count = rng_below(&rng, 12); count > 0; count--)
      strcat(written, parts[rng_below(&rng, COUNT_OF(parts))]);
    const char *name = name_relative(&arena, written);
    if (name[0] != '\0' && !dataset_name_safe(name)) fail_msg("\"%s\" gives \"%s\"", written, name);
    if (i % 1000 == 0) arena_free(&arena);
  }
  arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_safe),
      cmocka_unit_test(test_relative),
      cmocka_unit_test(test_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
