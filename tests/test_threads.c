/* nn/cpu: how many threads there are, whatever OpenMP's environment says, that training begins no new ones, and that
 * they are first to touch memory. OpenMP reads its environment once, so each of its cases is a process of its own: this
 * program, with arguments. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "nn/optimizer.h"
#include "nn/program.h"
#include "tests/test_support.h"

enum { BATCH = 4, SIZE = 33, WIDTH = 16, CLASSES = 10, STEPS = 4, PATIENCE = 600 /* seconds: for ever */ };

static const char *self;
static atomic_int threads_begun;

/* Called instead of the library's by OpenMP too. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  threads_begun++;
  return real(thread, attributes, start, argument);
}

/* ---- the process of a case --------------------------------------------------------------------------------------- */

struct network {
  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_graph *graph;
  struct nn_program *program;
  float *images;
  int32_t labels[BATCH];
};

static int layer(struct nn_graph *graph, int x, const char *name, int stride) {
  char norm[32];
  snprintf(norm, sizeof norm, "%s.norm", name);
  x = nn_conv(graph, x, name,
              (struct nn_conv){
                  .out = WIDTH, .kernel = 3, .stride = stride, .pad = 1, .dilation = 1, .groups = 1, .bias = true});
  return nn_relu(graph, nn_batch_norm(graph, x, norm, NN_NORM_BATCH));
}

/* Maps of 70,000 elements down to 1,600, so that some are worth all threads and some only one. */
static int open_network(struct network *n, int threads, struct error *error) {
  static const float one = 1;
  if (nn_device_open(&n->device, "cpu", threads, error)) return -1;
  nn_params_init(&n->params);
  nn_workspace_init(&n->workspace, &n->device);
  struct nn_graph *g = n->graph = nn_graph_create(&n->params);
  int x = nn_input(g, "images", NN_ACTIVATION, 3), labels = nn_input(g, "labels", NN_LABELS, 1);
  int mix = nn_input(g, "mix", NN_FLOATS, 1), scale = nn_input(g, "scale", NN_FLOATS, 1);
  x = layer(g, layer(g, layer(g, layer(g, x, "a", 1), "b", 2), "c", 2), "d", 2);
  x = nn_linear(g, nn_global_pool(g, x), "fc", CLASSES, true);
  nn_output(g, nn_cross_entropy(g, x, labels, mix, scale), "loss");
  const struct nn_input_shape shapes[] = {
      {"images", {BATCH, SIZE, SIZE, 3}}, {"labels", {BATCH, 1, 1, 1}}, {"mix", {1, 1, 1, 1}}, {"scale", {1, 1, 1, 1}}};
  const struct nn_compile_options options = {
      .training = true, .parameter_gradients = true, .shapes = shapes, .shape_count = COUNT_OF(shapes)};
  n->images = calloc(BATCH * SIZE * SIZE * 3, sizeof *n->images);
  if (!n->images) return error_memory(error, 1);
  if (nn_params_allocate(&n->params, &n->device, true, error) || nn_params_initialise(&n->params, 1, error) ||
      nn_compile(&n->program, g, &n->workspace, &options, error) ||
      nn_program_bind(n->program, "images", n->images, error) ||
      nn_program_bind(n->program, "labels", n->labels, error) || nn_program_bind(n->program, "mix", &one, error)) {
    return -1;
  }
  return nn_program_bind(n->program, "scale", &one, error);
}

static void close_network(struct network *n) {
  nn_program_free(n->program);
  nn_graph_free(n->graph);
  nn_workspace_free(&n->workspace);
  nn_params_free(&n->params);
  nn_device_close(&n->device);
  free(n->images);
}

/* Prints what the device says of itself; a complaint, and 1, if training does not go as it should. */
static int run_case(int wanted, int granted) {
  const struct nn_sgd_options sgd = {.momentum = 0.9};
  struct network n = {0};
  struct error error = {0};
  int result = open_network(&n, wanted, &error), begun = 0;
  for (int i = 0; i < STEPS && result == 0; i++) {
    if (i == 1) begun = threads_begun;
    result = nn_program_forward(n.program, &error) || nn_program_backward(n.program, &error) ||
             nn_sgd_step(&n.params, &sgd, 0.1, NULL, &error);
  }
  if (result == 0 && n.device.threads != granted) {
    result = error_set(&error, "%d threads instead of %d", n.device.threads, granted);
  }
  if (result == 0 && threads_begun != begun) {
    result = error_set(&error, "%d threads were begun after the first step", threads_begun - begun);
  }
  printf("%s\n", result ? error.message : n.device.description);
  close_network(&n);
  return result ? 1 : 0;
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

/* Runs a program with `settings` ("NAME=VALUE NAME=VALUE ...") in its environment; what it prints goes into `said`. */
static void run_program(const char *settings, const char *path, const char *first, const char *second, char *said,
                        size_t size) {
  int ends[2], status;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    char copy[128], *rest = copy;
    unsetenv("GOMP_SPINCOUNT");
    unsetenv("OMP_WAIT_POLICY");
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *each; (each = strtok_r(rest, " ", &rest));)
      putenv(each);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    alarm(PATIENCE);
    execl(path, path, first, second, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  FILE *from = fdopen(ends[0], "r");
  assert_non_null(from);
  said[fread(said, 1, size - 1, from)] = '\0';
  fclose(from);
  assert_int_equal(waitpid(child, &status, 0), child);
  if (status) fail_msg("%s %s %s, %s: status %d: %s", path, first, second, settings, status, said);
}

static void test_environment(void **state) {
  (void)state;
  static const struct {
    const char *setting;
    int wanted, granted;
    const char *says;
  } cases[] = {
      {"", 4, 4, ", 4 threads\n"},
      {"", 1, 1, ", 1 thread\n"},
      {"OMP_DYNAMIC=true", 4, 4, ", 4 threads\n"},
      {"OMP_NUM_THREADS=1", 4, 4, ", 4 threads\n"},
      {"OMP_THREAD_LIMIT=1", 2, 1, ", 1 thread of 2, as OpenMP allows no more"},
      {"OMP_THREAD_LIMIT=3", 4, 3, ", 3 threads of 4, as OpenMP allows no more"},
      {"OMP_MAX_ACTIVE_LEVELS=0", 2, 1, ", 1 thread of 2, as OpenMP allows no more"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char said[512], wanted[16], granted[16];
    snprintf(wanted, sizeof wanted, "%d", cases[i].wanted);
    snprintf(granted, sizeof granted, "%d", cases[i].granted);
    run_program(cases[i].setting, self, wanted, granted, said, sizeof said);
    if (!strstr(said, cases[i].says)) fail_msg("'%s': '%s' lacks '%s'", cases[i].setting, said, cases[i].says);
  }
}

/* Threads wait briefly, here and in the tool that trains, unless the user wants something else. */
static void test_waiting(void **state) {
  (void)state;
  static const struct {
    const char *settings;
    bool briefly;
  } cases[] = {{"", true}, {"GOMP_SPINCOUNT=77", false}, {"OMP_WAIT_POLICY=active", false}};
  char tool[PATH_SIZE];
  struct error error;
  const char *name = strrchr(self, '/');
  assert_ok(path_format(tool, &error, "%.*sjigsaw-pretrain", name ? (int)(name + 1 - self) : 0, self), error);
  for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
    char said[16384], settings[128];
    snprintf(settings, sizeof settings, "%s OMP_DISPLAY_ENV=verbose", cases[i / 2].settings);
    run_program(settings, i % 2 ? tool : self, i % 2 ? "--version" : "2", i % 2 ? NULL : "2", said, sizeof said);
    assert_non_null(strstr(said, "GOMP_SPINCOUNT = '"));
    if (cases[i / 2].briefly != (strstr(said, "GOMP_SPINCOUNT = '1000'") != NULL)) fail_msg("%s: %s", settings, said);
  }
}

static long resident_bytes(void) {
  long pages = -1;
  FILE *file = fopen("/proc/self/statm", "r");
  assert_true(file && fscanf(file, "%*d %ld", &pages) == 1);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

/* Whoever uses memory first is first to touch it; uploads come whole, of all sizes. */
static void test_memory(void **state) {
  (void)state;
  enum { LARGE = 64 << 20 };
  static const char *const names[] = {"ref", "cpu"};
  static const size_t sizes[] = {0, 1, 63, 64, 65536, 65537, 1 << 20, LARGE};
  struct nn_device device;
  struct error error;
  for (size_t d = 0; d < COUNT_OF(names); d++) {
    assert_ok(nn_device_open(&device, names[d], 3, &error), error);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
      long before = resident_bytes();
      char *memory = nn_device_allocate(&device, sizes[i], &error), *host = malloc(sizes[i] + 1);
      assert_true(memory && host && (uintptr_t)memory % 64 == 0);
      if (resident_bytes() - before > LARGE / 2) fail_msg("%s: %zu bytes were touched", names[d], sizes[i]);
      for (size_t k = 0; k < sizes[i]; k++) {
        assert_true(memory[k] == 0);
        host[k] = (char)(k * 31 >> 4);
      }
      assert_ok(nn_device_upload(&device, memory, host, sizes[i], &error), error);
      assert_memory_equal(memory, host, sizes[i]);
      nn_device_free(&device, memory);
      free(host);
    }
    assert_null(nn_device_allocate(&device, SIZE_MAX - 1, &error));
    nn_device_close(&device);
  }
}

int main(int argc, char **argv) {
  if (argc == 3) {
    nn_wait_briefly(argv);
    return run_case(atoi(argv[1]), atoi(argv[2]));
  }
  self = argv[0];
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_environment), cmocka_unit_test(test_waiting),
                                     cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
