/* How many processors there are: made-up files of control groups, and a kernel with more than 1,024 processors. */
#include <errno.h>
#include <math.h>
#include <sched.h>

#include "core/base/base.h"
#include "core/base/processors.h"
#include "tests/test_support.h"

static uint64_t seed;

/* The linker sends calls of sched_getaffinity here: a kernel of `kernel_processors`, all of them allowed. */
static size_t kernel_processors;
int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
  if (!kernel_processors) return __real_sched_getaffinity(pid, size, set);
  if (size * 8 < kernel_processors) {
    errno = EINVAL;
    return -1;
  }
  CPU_ZERO_S(size, set);
  for (size_t i = 0; i < kernel_processors; i++)
    CPU_SET_S(i, size, set);
  return 0;
}

static void test_many_processors(void **state) {
  (void)state;
  int here = processor_count();
  assert_in_range(here, 1, 1 << 20);
  double limit = processor_limit("");
  static const size_t kernels[] = {1, 64, 1024, 1025, 5000};
  for (size_t i = 0; i < COUNT_OF(kernels); i++) {
    kernel_processors = kernels[i];
    assert_int_equal(processor_count(), (int)fmin((double)kernels[i], fmax(1, ceil(limit))));
  }
  kernel_processors = 0;
}

static void test_quota(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double processors;
  } cases[] = {
      {"150000 100000", 1.5}, {"max 100000\n", INFINITY}, {"-1 100000", INFINITY}, {"50000 100000\n", 0.5},
      {"", INFINITY},         {"100000", INFINITY},       {"0 100000", INFINITY},  {"100000 0", INFINITY},
      {"1 -1", INFINITY},     {"nan nan", INFINITY},      {"1 inf", INFINITY},     {"many words here", INFINITY},
      {"1e9999 1", INFINITY},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    double found = processor_quota(cases[i].text);
    if (found != cases[i].processors) fail_msg("'%s': %g", cases[i].text, found);
  }
}

static void put(const char *root, const char *path, const char *text) {
  char full[PATH_SIZE];
  struct error error = {0};
  assert_ok(path_format(full, &error, "%s%s", root, path), error);
  char *end = strrchr(full, '/');
  *end = '\0';
  assert_ok(directory_create(full, &error), error);
  *end = '/';
  FILE *file = fopen(full, "w");
  assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

struct file {
  const char *path, *text;
};

/* Mounts as containers and hosts show them. */
#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_SETS "32 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
#define MOUNT_INSIDE "33 23 0:27 /docker/0a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
#define MOUNT_ODD "34 23 0:26 / /odd\\040place rw - cgroup2 none rw\n"

static const struct {
  const char *what, *mounts, *groups;
  struct file files[4];
  double limit;
} trees[] = {
    {"nothing", NULL, NULL, {{0}}, INFINITY},
    {"no quota", MOUNT_V2, "0::/a\n", {{"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}}, INFINITY},
    {"own quota", MOUNT_V2, "0::/a/b\n", {{"/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"}}, 2.5},
    {"the parent's",
     MOUNT_V2,
     "0::/a/b\n",
     {{"/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"}, {"/sys/fs/cgroup/a/cpu.max", "50000 100000\n"}},
     0.5},
    {"a sibling's", MOUNT_V2, "0::/a\n", {{"/sys/fs/cgroup/b/cpu.max", "50000 100000\n"}}, INFINITY},
    {"in a container", MOUNT_V2, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}, 2},
    {"version 1",
     MOUNT_SETS MOUNT_V1,
     "4:cpuset:/c\n3:cpu,cpuacct:/a/b\n0::/\n",
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"}},
     3},
    {"version 1, in a container",
     MOUNT_INSIDE,
     "3:cpuacct,cpu:/docker/0a\n",
     {{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000"}, {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000"}},
     2},
    {"another container's name",
     MOUNT_INSIDE,
     "3:cpu:/docker/0ab\n",
     {{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000"},
      {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000"},
      {"/sys/fs/cgroup/cpu/b/cpu.cfs_quota_us", "1"},
      {"/sys/fs/cgroup/cpu/b/cpu.cfs_period_us", "50000"}},
     2},
    {"both versions",
     MOUNT_V1 MOUNT_V2,
     "3:cpu,cpuacct:/a\n0::/b\n",
     {{"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000"},
      {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000"},
      {"/sys/fs/cgroup/b/cpu.max", "100000 100000"}},
     1},
    {"an odd place", MOUNT_ODD, "0::/a:b c\n", {{"/odd place/a:b c/cpu.max", "70000 100000\n"}}, 0.7},
    {"a period is missing", MOUNT_V1, "3:cpu:/\n", {{"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "1\n"}}, INFINITY},
    {"no groups", MOUNT_V2, "", {{"/sys/fs/cgroup/cpu.max", "50000 100000\n"}}, INFINITY},
    {"odd lines",
     "\n - \n1 2 3\n - cgroup2\n" MOUNT_V2,
     "\n:\n0:\n0::\n::\n0::a\n0::/a\n",
     {{"/sys/fs/cgroup/a/cpu.max", "40000 20000"}},
     2},
};

static void test_groups(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(trees); i++) {
    char root[64];
    test_scratch(root);
    if (trees[i].mounts) put(root, "/proc/self/mountinfo", trees[i].mounts);
    if (trees[i].groups) put(root, "/proc/self/cgroup", trees[i].groups);
    for (size_t k = 0; k < COUNT_OF(trees[i].files) && trees[i].files[k].path; k++)
      put(root, trees[i].files[k].path, trees[i].files[k].text);
    double found = processor_limit(root);
    if (found != trees[i].limit) fail_msg("%s: %g instead of %g", trees[i].what, found, trees[i].limit);
    test_scratch_remove(root);
  }
}

/* Files of random pieces of real ones set some limit or none, and nothing breaks. */
static void test_random_files(void **state) {
  (void)state;
  static const char *const pieces[] = {MOUNT_V1, MOUNT_V2, MOUNT_INSIDE, MOUNT_ODD, "0::/",     "3:cpu:/",
                                       "/",      "..",     ":",          "\n",      " - ",      "cgroup2",
                                       "\\",     "\\0",    "cpu",        ",",       " ",        "4",
                                       "max",    "-1",     "100000",     "\xff",    "0::/a/b\n"};
  char root[64], text[4096];
  test_scratch(root);
  put(root, "/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  for (uint64_t round = 0; round < 300; round++) {
    static const char *const files[] = {"/proc/self/mountinfo", "/proc/self/cgroup", "/sys/fs/cgroup/cpu.max"};
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    for (size_t f = 0; f < COUNT_OF(files); f++) {
      text[0] = '\0';
      for (uint64_t left = rng_below(&rng, 30); left > 0; left--)
        strcat(text, pieces[rng_below(&rng, COUNT_OF(pieces))]);
      put(root, files[f], text);
    }
    double limit = processor_limit(root);
    if (!(limit > 0)) fail_msg("round %d: %g", (int)round, limit);
  }
  test_scratch_remove(root);
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_processors), cmocka_unit_test(test_quota),
                                     cmocka_unit_test(test_groups), cmocka_unit_test(test_random_files)};
  return cmocka_run_group_tests_name("processors", tests, NULL, NULL);
}
