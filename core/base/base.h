/* core/base - what every other folder stands on: errors as values, memory arenas, counter-based random numbers,
 * whole-or-nothing files, parallel loops, progress and command-line options.
 *
 * Conventions of the whole code base:
 *   - A function that can fail returns 0 on success and -1 on failure, and leaves one message in the `struct error`
 *     it was given: what, where in which file, and what to do about it. Libraries never print, exit or abort.
 *   - A `_close`/`_free` function accepts a zeroed struct and leaves a zeroed struct behind.
 *   - Text is UTF-8; paths are bytes.
 */
#ifndef JIGSAW_CORE_BASE_H
#define JIGSAW_CORE_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>
#include <xxhash.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* ---- error.c: errors are values ---------------------------------------------------------------------------------- */

struct error {
  char message[1024]; /* without a final newline; empty when nothing failed */
  bool machine;       /* memory, descriptors, permissions, I/O: says nothing about what a file holds */
};

/* Each writes the message and returns -1, so that a caller can `return error_set(...)`. `error_system` appends the text
 * of errno and a hint for the common ones; `error_context` puts "text: " before the message that is already there.
 * `machine` is set by `error_memory`, and by `error_system` unless errno says that there is no such file. */
int error_set(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
int error_system(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
int error_context(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
int error_memory(struct error *error, size_t bytes);
void error_hint(struct error *error, const char *text); /* appends "; text" */

#ifdef __clang_analyzer__ /* sees one file at a time, and would follow paths on which these return 0 */
#define error_set(error, ...) ((error_set)(error, __VA_ARGS__), -1)
#define error_system(error, ...) ((error_system)(error, __VA_ARGS__), -1)
#define error_context(error, ...) ((error_context)(error, __VA_ARGS__), -1)
#define error_memory(error, bytes) ((error_memory)(error, bytes), -1)
#endif

/* Checked a * b + c; false on overflow. Sizes that come from a file go through it. */
bool size_muladd(size_t a, size_t b, size_t c, size_t *result);

/* ---- text.c: text that came from outside ------------------------------------------------------------------------- */

/* Whether bytes[0..size) is well-formed UTF-8 without NUL; `*offset` (may be NULL) is the first offending byte. */
bool utf8_valid(const char *bytes, size_t size, size_t *offset);

/* The length of the character that `text` begins with if a terminal may have it as it is: well-formed UTF-8, no control
 * character (C0, DEL, C1, line separators), and none that turns the direction of writing. Else 0. */
size_t utf8_harmless(const char *text, size_t left);

/* Makes a "?" of whatever is not harmless, in place. Messages of struct error are tame. */
void text_tame(char *text);

/* Prints one line, tame whatever the arguments hold; the newline is not part of the format. */
void line_print(FILE *stream, const char *format, ...) PRINTF_LIKE(2, 3);

/* At the end of a tool: fails when what was printed on standard output did not all get where it should. */
int stdout_close(struct error *error);

/* ---- arena.c: many small allocations that die together ----------------------------------------------------------- */

struct arena {
  struct arena_block *head;
};

void *arena_alloc(struct arena *arena, size_t size); /* 16-byte aligned, uninitialised; NULL when memory is out */
char *arena_copy(struct arena *arena, const char *bytes, size_t size); /* adds a final NUL */
void arena_join(struct arena *arena, struct arena *more); /* takes over what `more` holds, which is empty afterwards */
void arena_free(struct arena *arena);

/* A growing array: makes room for `count` items of `item` bytes, doubling. `*items` and `*capacity` start as 0. */
int array_reserve(void **items, size_t *capacity, size_t count, size_t item, struct error *error);

/* A growing run of bytes, reused from one use to the next by setting `size` to 0. */
struct buffer {
  uint8_t *data;
  size_t size, capacity;
};

int buffer_reserve(struct buffer *buffer, size_t capacity, struct error *error);
int buffer_append(struct buffer *buffer, const void *bytes, size_t size, struct error *error);
int buffer_printf(struct buffer *buffer, struct error *error, const char *format, ...) PRINTF_LIKE(3, 4);
/* Appends UTF-8 text as a JSON string, quotes included. */
int buffer_json_string(struct buffer *buffer, const char *text, struct error *error);
void buffer_free(struct buffer *buffer);

/* ---- rng.c: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) ---------------- */

/* What the numbers are for; a stream is keyed by (seed, purpose, epoch, index) and by nothing else, so that item
 * `index` draws the same numbers whatever the number of workers. The values are part of the file formats: add, never
 * renumber. */
enum rng_purpose {
  RNG_SAMPLE = 1,   /* index: image position in the data set */
  RNG_PERMUTE = 2,  /* index: see rng_permute */
  RNG_ASSEMBLE = 3, /* index: jigsaw within the epoch */
  RNG_TOY = 4,      /* index: scene */
  RNG_TEST = 5,
  RNG_INITIALISE = 6, /* index: XXH64 of the parameter's name */
  RNG_HOLD_OUT = 7,   /* index: source image */
  RNG_CROP = 8,       /* index: image within the epoch */
  RNG_PROBE = 9,      /* index: see pretrain */
};

struct rng {
  uint32_t key[2];
  uint32_t counter[4];
  uint32_t block[4];
  int used;
};

void rng_init(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint32_t epoch, uint64_t index);
uint32_t rng_u32(struct rng *rng);
double rng_uniform(struct rng *rng);                        /* [0, 1), 53 bits */
double rng_range(struct rng *rng, double low, double high); /* [low, high) */
uint64_t rng_below(struct rng *rng, uint64_t count);        /* 0 .. count - 1 without bias; count >= 1 */
void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* Item `position` of a random permutation of 0 .. count - 1 in constant time and memory: a Feistel network on the next
 * power of four with cycle walking. The permutation is chosen by (seed, stream, pass). */
uint64_t rng_permute(uint64_t seed, uint32_t stream, uint64_t pass, uint64_t count, uint64_t position);

/* ---- file.c: read by mapping, write whole or not at all ---------------------------------------------------------- */

/* A read-only mapping; an empty file maps to size 0 and non-NULL data. */
struct file_map {
  const uint8_t *data;
  size_t size;
};

int file_map_open(struct file_map *map, const char *path, struct error *error);
void file_map_close(struct file_map *map);

/* Reads a whole file into `buffer`, replacing what it held. For the many small files (images) that a mapping would
 * cost more than a copy. */
int file_read(struct buffer *buffer, const char *path, struct error *error);

/* Writes PATH.tmp, and renames it to PATH in file_commit after fsync. Keeps the XXH3-128 of all bytes. */
struct file_writer {
  char *path, *temporary;
  int fd;
  uint8_t *pending;
  size_t pending_size;
  int64_t size;
  XXH3_state_t *hash;
};

int file_create(struct file_writer *writer, const char *path, struct error *error);

/* The same where a folder is not ours alone: the temporary takes a name that nothing has (PATH.0.tmp, ...). */
int file_create_beside(struct file_writer *writer, const char *path, struct error *error);
int file_create_nowhere(struct file_writer *writer, struct error *error); /* keeps but size and hash; abandon it */
int file_write(struct file_writer *writer, const void *bytes, size_t size, struct error *error);
int file_printf(struct file_writer *writer, struct error *error, const char *format, ...) PRINTF_LIKE(3, 4);
int file_commit(struct file_writer *writer, struct error *error); /* also when it fails the writer is closed */
void file_abandon(struct file_writer *writer);                    /* removes PATH.tmp; does nothing after a commit */
XXH128_hash_t file_hash(const struct file_writer *writer);

/* A place in the file to go back to: what was written since then is taken back. */
struct file_mark {
  int64_t size;
  XXH3_state_t *hash; /* owned */
};

int file_mark_set(struct file_mark *mark, const struct file_writer *writer, struct error *error);
int file_rewind(struct file_writer *writer, const struct file_mark *mark, struct error *error);
void file_mark_free(struct file_mark *mark);

/* The XXH3-128 of a whole file. */
int file_digest(const char *path, XXH128_hash_t *digest, struct error *error);

/* One call for small files. */
int file_write_all(const char *path, const void *bytes, size_t size, struct error *error);
int file_write_beside(const char *path, const void *bytes, size_t size, struct error *error);
int file_write_json(const char *path, const cJSON *json, struct error *error); /* indented, final newline */
int file_read_json(const char *path, cJSON **json, struct error *error);       /* free with cJSON_Delete */

/* Puts `item` (owned, also on failure; NULL: memory was out when it was made) into an object or, without name, an
 * array.
 */
int json_add(cJSON *container, const char *name, cJSON *item, struct error *error);

bool file_exists(const char *path);
int file_remove_tree(const char *path, struct error *error); /* a missing path is success */
int directory_create(const char *path, struct error *error); /* and its parents; existing is success */
int directory_sync(const char *path, struct error *error);   /* a rename inside it is durable afterwards */

/* The names in a folder, without "." and "..", sorted by bytes, allocated in `arena`. */
int directory_list(const char *path, struct arena *arena, char ***names, size_t *count, struct error *error);

/* "FOLDER/NAME" (or NAME when folder is empty) in memory of the arena; NULL when memory is out. */
char *path_join(struct arena *arena, const char *folder, const char *name);

/* printf into a path of the caller's; too long is an error. */
enum { PATH_SIZE = 4096 };
int path_format(char path[PATH_SIZE], struct error *error, const char *format, ...) PRINTF_LIKE(3, 4);

void hash_hex(XXH128_hash_t hash, char hex[33]); /* as xxh128sum prints it */

/* ---- parallel.c -------------------------------------------------------------------------------------------------- */

typedef int parallel_task(void *context, int worker, int64_t item, struct error *error);

/* Runs task(context, worker, item) for item = 0 .. items - 1 on `workers` threads, each taking the lowest item that is
 * left. After a failure no new item is begun; the error of the lowest failed item is reported. `worker` (0 .. workers -
 * 1) selects scratch that the caller made per thread. */
int parallel_for(int workers, int64_t items, parallel_task *task, void *context, struct error *error);
double clock_seconds(void); /* monotonic */

/* ---- processors.c ------------------------------------------------------------------------------------------------ */

/* How many processors there are for this process, at least 1: those it may run on, and no more than its control groups
 * (those of containers and batch systems) allow it time on, rounded up. */
int processor_count(void);

/* ---- progress.c -------------------------------------------------------------------------------------------------- */

/* One line redrawn in place on a terminal, a plain line every 10 s otherwise; nothing when `stream` is NULL. Safe to
 * call from several threads. */
struct progress {
  FILE *stream;
  const char *label, *unit; /* "sampling", "img" */
  int64_t total;
  bool terminal;
  double started, interval;
  atomic_llong done;
  atomic_llong skipped; /* items that were already there (resume): part of done, not of the rate */
  _Atomic double next;
};

void progress_start(struct progress *progress, FILE *stream, const char *label, const char *unit, int64_t total);
void progress_add(struct progress *progress, int64_t done);
void progress_skip(struct progress *progress, int64_t done);
void progress_finish(struct progress *progress);

/* ---- options.c --------------------------------------------------------------------------------------------------- */

/* An AUTO option may also be "auto", which no number says: OPTION_AUTO, or NaN. Its numbers are 0 or more. */
enum option_kind {
  OPTION_SECTION,
  OPTION_FLAG,
  OPTION_INT,
  OPTION_AUTO_INT,
  OPTION_REAL,
  OPTION_AUTO_REAL,
  OPTION_TEXT,
  OPTION_LIST,
  OPTION_CHOICE,
  OPTION_SWITCH, /* a choice among "auto", "on", "off", in this order, that may be given as a flag, too */
};
enum { OPTION_AUTO = -1 };
extern const char *const option_switch[];

/* The values of an option that may be given several times, in order. */
enum { OPTION_LIST_MAX = 256 };
struct option_list {
  const char *items[OPTION_LIST_MAX];
  size_t count;
};

/* One row of a table that drives parsing, --help and the resolved configuration in run.json. */
struct option {
  enum option_kind kind;
  const char *name;     /* without "--"; a section's title */
  void *value;          /* bool *, int64_t *, double *, const char **, struct option_list *, int * (index into choices);
                         * holds the default */
  const char *argument; /* "N", "FILE", ... ; for a choice NULL: "a|b|c" is made from choices */
  const char *help;
  double low, high;           /* inclusive bounds for INT and REAL; both 0: unbounded; an INT default below: off */
  const char *const *choices; /* NULL-terminated */
};

enum options_result { OPTIONS_OK = 0, OPTIONS_ERROR = -1, OPTIONS_HELP = 1, OPTIONS_VERSION = 2 };

/* Accepts --name value, --name=value and, for flags, --name and --no-name; --help and --version are built in. Anything
 * that does not start with "--" is an error. Of an option that is given twice the last value counts, unless it is a
 * list. The message about an unknown option names the nearest by its spelling, or by the words of its name and help. */
enum options_result options_parse(const struct option *table, size_t count, int argc, char **argv, struct error *error);
void options_help(const struct option *table, size_t count, FILE *stream);

/* What every tool does with its command line: --help, --version and a command without any argument (which counts as
 * OPTIONS_HELP) are answered on `stream`. */
enum options_result options_begin(const struct option *table, size_t count, const char *tool, const char *usage,
                                  int argc, char **argv, FILE *stream, struct error *error);
cJSON *options_json(const struct option *table, size_t count); /* {"name": value, ...}; NULL when memory is out */

/* ---- run.c: an output folder and its record ---------------------------------------------------------------------- */

/* A tool's output folder. FOLDER/run.json records what the tool was asked to do (`identity`: everything that its output
 * depends on), its state, and the wall time spent so far over all attempts (device_seconds is the same: one device).
 * The folder is locked while it is open. */
struct run {
  char folder[PATH_SIZE];
  int lock;
  cJSON *json;
  cJSON *attempt; /* of this process, in json; NULL before run_attempt */
  bool finished;  /* an earlier attempt with the same identity reached its end */
  bool differs;   /* after a failure: the folder holds work of this tool that was asked for otherwise */
  double started, seconds_before, last_written;
  struct run_mutex *mutex;
};

/* Creates or takes up FOLDER; owns `identity` from here on, also on failure. Refuses a folder that another process has
 * open, that holds other things or another tool's work, or that was begun by another version or with another identity:
 * an option more, fewer or different, which the message names (null is not given; a name "OPTION-xxh128" stands for the
 * contents of OPTION). With `overwrite`, such other work of this tool's goes first: DONE, the entries named in
 * `products` (NULL-terminated), run.json. Work of the same identity is taken up all the same, so that a job that is
 * started again and again with --overwrite comes to its end. */
int run_open(struct run *run, const char *folder, const char *tool, cJSON *identity, bool overwrite,
             const char *const *products, struct error *error);

/* Notes in run.json that this attempt begins: {"started_at", "seconds", and what `facts` has}; owns `facts`, NULL is
 * out of memory. Earlier ones stay, in json's "attempts". */
int run_attempt(struct run *run, cJSON *facts, struct error *error);

/* Rewrites run.json with the time spent if the last time was a while ago. Any thread; failures wait for run_finish. */
void run_tick(struct run *run);

/* Writes run.json with state "done" and, last, the empty file FOLDER/DONE. Facts to keep are added to run->json before.
 */
int run_finish(struct run *run, struct error *error);
void run_close(struct run *run); /* without run_finish: the folder stays unfinished, the time spent is recorded */

#endif
