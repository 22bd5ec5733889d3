/* Whether the pictures are where the annotations say, before any of them is opened. */
#include "core/dataset/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RUN = 256, NAMES_SHOWN = 3 };

/* How far the search goes below the image folder, and around it. */
enum { BELOW_DEPTH = 16, BELOW_ENTRIES = 4000000, AROUND_DEPTH = 4, AROUND_ENTRIES = 200000 };

struct picture {
  int64_t size; /* -1: missing */
  uint64_t device, inode;
  int64_t image;
};

/* ---- looking ---- */

struct look {
  const struct dataset *dataset;
  struct picture *pictures;
};

static bool is_absent(int code) {
  return code == ENOENT || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP;
}

static int look_at(const struct look *look, int64_t image, struct error *error) {
  const struct dataset_image *entry = &look->dataset->images[image];
  struct picture *picture = &look->pictures[image];
  struct stat status;
  struct error ignored;
  char path[PATH_SIZE];
  *picture = (struct picture){.size = -1, .image = image};
  if (dataset_image_path(entry, path, &ignored) != 0) return 0;
  if (stat(path, &status) == 0) {
    *picture = (struct picture){status.st_size, status.st_dev, status.st_ino, image};
  } else if (!is_absent(errno)) {
    return error_system(error, "%s: cannot look at the picture", path);
  }
  return 0;
}

static int look_at_run(void *context, int worker, int64_t run, struct error *error) {
  const struct look *look = context;
  int64_t last = (run + 1) * RUN;
  (void)worker;
  if (last > look->dataset->image_count) last = look->dataset->image_count;
  for (int64_t i = run * RUN; i < last; i++)
    if (look_at(look, i, error) != 0) return -1;
  return 0;
}

static int hash_pictures(const struct dataset *dataset, const struct picture *pictures, XXH128_hash_t *hash,
                         struct error *error) {
  XXH3_state_t *state = XXH3_createState();
  if (state == NULL) return error_memory(error, 0);
  XXH3_128bits_reset(state);
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const char *name = dataset->images[i].file_name;
    XXH3_128bits_update(state, name, strlen(name) + 1);
    XXH3_128bits_update(state, &pictures[i].size, sizeof(pictures[i].size));
  }
  *hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return 0;
}

/* ---- one picture, two images ---- */

static int compare_files(const void *a, const void *b) {
  const struct picture *x = a, *y = b;
  if (x->device != y->device) return x->device < y->device ? -1 : 1;
  if (x->inode != y->inode) return x->inode < y->inode ? -1 : 1;
  return x->image < y->image ? -1 : x->image > y->image;
}

static int note_repeated(struct dataset *dataset, struct picture *pictures, struct error *error) {
  size_t count = (size_t)dataset->image_count;
  int64_t repeated = 0;
  const struct picture *first = NULL; /* of those that repeat an earlier image */
  struct picture *sorted = malloc((count + 1) * sizeof(*sorted));
  if (sorted == NULL) return error_memory(error, (count + 1) * sizeof(*sorted));
  memcpy(sorted, pictures, count * sizeof(*sorted));
  qsort(sorted, count, sizeof(*sorted), compare_files);
  for (size_t i = 1; i < count; i++) {
    const struct picture *one = &sorted[i - 1], *other = &sorted[i];
    if (other->size < 0 || one->device != other->device || one->inode != other->inode) continue;
    repeated++;
    if (first == NULL || other->image < first->image) first = other;
  }
  int status = 0;
  if (repeated > 0) {
    const struct dataset_image *one = &dataset->images[first[-1].image], *other = &dataset->images[first->image];
    status =
        dataset_note(dataset, error,
                     "%" PRId64 " %s the picture of another image, the first \"%s\" (ids %" PRId64 " and %" PRId64
                     "): what only one of them has boxes for may become background in the other",
                     repeated, repeated == 1 ? "image repeats" : "images repeat", other->file_name, one->id, other->id);
  }
  free(sorted);
  return status;
}

/* ---- searching below the image folder ---- */

/* The missing pictures of one folder. */
struct search {
  struct picture_match *matches;
  int64_t *images; /* of each match */
  size_t count, match_capacity, image_capacity;
};

static void search_free(struct search *search) {
  free(search->matches);
  free(search->images);
  *search = (struct search){0};
}

/* Takes the missing pictures of `folder`, or of every folder when it is NULL. */
static int search_collect(struct search *search, const struct dataset *dataset, const struct picture *pictures,
                          const char *folder, struct error *error) {
  *search = (struct search){0};
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const struct dataset_image *image = &dataset->images[i];
    if (pictures[i].size >= 0 || (folder != NULL && strcmp(image->folder, folder) != 0)) continue;
    void *matches = search->matches, *images = search->images;
    int status = array_reserve(&matches, &search->match_capacity, search->count + 1, sizeof(*search->matches), error);
    search->matches = matches;
    if (status == 0)
      status = array_reserve(&images, &search->image_capacity, search->count + 1, sizeof(*search->images), error);
    search->images = images;
    if (status != 0) {
      search_free(search);
      return -1;
    }
    search->matches[search->count] = (struct picture_match){.wanted = image->file_name};
    search->images[search->count++] = i;
  }
  return 0;
}

struct claim {
  const char *path, *wanted;
  struct picture_match *match; /* NULL: an image that is where it should be */
};

static int compare_claims(const void *a, const void *b) {
  const struct claim *x = a, *y = b;
  return strcmp(x->path, y->path);
}

/* A file that two differently named images lay claim to is no match for either. */
static int drop_rivals(const struct dataset *dataset, const struct picture *pictures, const char *folder,
                       struct search *search, struct error *error) {
  size_t count = 0, most = (size_t)dataset->image_count + search->count + 1;
  struct claim *claims = malloc(most * sizeof(*claims));
  if (claims == NULL) return error_memory(error, most * sizeof(*claims));
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const struct dataset_image *image = &dataset->images[i];
    if (pictures[i].size >= 0 && strcmp(image->folder, folder) == 0)
      claims[count++] = (struct claim){image->file_name, image->file_name, NULL};
  }
  for (size_t i = 0; i < search->count; i++) {
    struct picture_match *match = &search->matches[i];
    if (match->path != NULL) claims[count++] = (struct claim){match->path, match->wanted, match};
  }
  qsort(claims, count, sizeof(*claims), compare_claims);
  for (size_t at = 0, end; at < count; at = end) {
    bool rivals = false;
    for (end = at; end < count && strcmp(claims[end].path, claims[at].path) == 0; end++)
      rivals |= strcmp(claims[end].wanted, claims[at].wanted) != 0;
    for (size_t i = at; rivals && i < end; i++)
      if (claims[i].match != NULL) claims[i].match->path = NULL;
  }
  free(claims);
  return 0;
}

static int take_matches(struct dataset *dataset, struct picture *pictures, const char *folder,
                        const struct search *search, struct error *error) {
  const struct look look = {dataset, pictures};
  int64_t found = 0, ambiguous = 0;
  const struct picture_match *first_found = NULL, *first_ambiguous = NULL;
  for (size_t i = 0; i < search->count; i++) {
    const struct picture_match *match = &search->matches[i];
    if (match->ambiguous && ambiguous++ == 0) first_ambiguous = match;
    if (match->path == NULL) continue;
    const char *name = arena_copy(&dataset->arena, match->path, strlen(match->path));
    if (name == NULL) return error_memory(error, strlen(match->path));
    if (!dataset_name_safe(name)) continue;
    dataset->images[search->images[i]].file_name = name;
    if (look_at(&look, search->images[i], error) != 0) return -1;
    if (found++ == 0) first_found = match;
  }
  if (found > 0 && dataset_note(dataset, error,
                                "%" PRId64 " %s not where the annotations say, but found below %s; the first: "
                                "\"%s\" is %s",
                                found, found == 1 ? "picture is" : "pictures are", folder, first_found->wanted,
                                first_found->path) != 0) {
    return -1;
  }
  if (ambiguous == 0) return 0;
  return dataset_note(dataset, error,
                      "%" PRId64 " missing %s namesakes in several folders below %s, so that names alone do "
                      "not tell which is meant; the first: \"%s\"",
                      ambiguous, ambiguous == 1 ? "picture has" : "pictures have", folder, first_ambiguous->wanted);
}

static int search_folder(struct dataset *dataset, struct picture *pictures, const char *folder, struct error *error) {
  struct search search;
  struct tree tree;
  if (search_collect(&search, dataset, pictures, folder, error) != 0) return -1;
  int status = tree_read(&tree, folder, BELOW_DEPTH, BELOW_ENTRIES, error);
  if (status == 0) status = picture_match_all(&tree, search.matches, search.count, error);
  if (status == 0) status = drop_rivals(dataset, pictures, folder, &search, error);
  if (status == 0) status = take_matches(dataset, pictures, folder, &search, error);
  tree_free(&tree);
  search_free(&search);
  return status;
}

/* Each folder of which pictures are missing, once. */
static int search_all(struct dataset *dataset, struct picture *pictures, struct error *error) {
  const char **done = NULL;
  size_t count = 0, capacity = 0, at;
  int status = 0;
  for (int64_t i = 0; status == 0 && i < dataset->image_count; i++) {
    const char *folder = dataset->images[i].folder;
    if (pictures[i].size >= 0) continue;
    for (at = count; at > 0 && strcmp(done[at - 1], folder) != 0;)
      at--;
    if (at > 0) continue;
    void *items = done;
    status = array_reserve(&items, &capacity, count + 1, sizeof(*done), error);
    done = items;
    if (status != 0) break;
    done[count++] = folder;
    status = search_folder(dataset, pictures, folder, error);
  }
  free(done);
  return status;
}

/* ---- what is missing after all ---- */

/* The folder that `path` is in, as a person would write it. */
static void parent_of(const char *path, char parent[PATH_SIZE]) {
  size_t size = strlen(path);
  while (size > 1 && path[size - 1] == '/')
    size--;
  size_t end = size;
  while (end > 0 && path[end - 1] != '/')
    end--;
  bool dots = size - end <= 2 && path[size - 1] == '.';
  if (dots) { /* "." and "..": the parent is further up */
    snprintf(parent, PATH_SIZE, "%.*s%s", (int)size, path, size - end == 1 ? "." : "/..");
  } else if (end == 0) {
    snprintf(parent, PATH_SIZE, ".");
  } else {
    snprintf(parent, PATH_SIZE, "%.*s", (int)(end > 1 ? end - 1 : 1), path);
  }
}

/* Looks around for the folder that holds the names: beside the image folder, and around the annotations. */
static int find_folder(struct arena *arena, const struct search *search, const char *images, const char *annotations,
                       const char **best, size_t *hits, struct error *error) {
  char roots[3][PATH_SIZE];
  parent_of(images, roots[0]);
  parent_of(annotations, roots[1]);
  parent_of(roots[1], roots[2]);
  *hits = 0;
  for (size_t i = 0; i < COUNT_OF(roots); i++) {
    struct tree tree;
    size_t found = 0;
    struct error own = {0};
    if (tree_read(&tree, roots[i], AROUND_DEPTH, AROUND_ENTRIES, error) != 0) return -1;
    const char *path = picture_best_folder(&tree, search->matches, search->count, &found, &own);
    if (path != NULL && found > *hits) {
      bool here = strcmp(roots[i], ".") == 0 && path[0] != '\0';
      *best = path[0] == '\0' ? arena_copy(arena, roots[i], strlen(roots[i]))
                              : path_in(arena, here ? "" : roots[i], path, &own);
      *hits = found;
      if (*best == NULL) error_memory(&own, PATH_SIZE);
    }
    tree_free(&tree);
    if (own.message[0] != '\0') {
      *error = own;
      return -1;
    }
  }
  return 0;
}

/* What the folder holds instead, by which its owner may see how the names differ. */
static int describe_others(struct buffer *text, const char *folder, struct error *error) {
  struct tree tree;
  const char *first = NULL;
  int64_t count = 0;
  if (tree_read(&tree, folder, BELOW_DEPTH, BELOW_ENTRIES, error) != 0) return -1;
  for (size_t i = 0; i < tree.file_count; i++) {
    const char *name = tree.files[i].name;
    if (!name_has_suffix(name, picture_suffixes)) continue;
    if (count++ == 0 || strcmp(name, first) < 0) first = name;
  }
  int status = count == 0 ? buffer_printf(text, error, " (it holds none)?")
                          : buffer_printf(text, error, " (it holds %" PRId64 ", as %s)?", count, first);
  tree_free(&tree);
  return status;
}

/* "12 of 20 pictures are missing from images: a.jpg, ...; what would help". */
static int describe_missing(struct dataset *dataset, const struct search *search, const struct dataset_source *sources,
                            struct buffer *text, struct error *error) {
  const struct dataset_image *first = &dataset->images[search->images[0]];
  const char *annotations = sources[first->set > 0 ? first->set - 1 : 0].annotations, *folder = NULL;
  size_t hits;
  if (find_folder(&dataset->arena, search, first->folder, annotations, &folder, &hits, error) != 0) return -1;
  if (buffer_printf(text, error, "%zu of %" PRId64 " pictures are missing from %.300s: ", search->count,
                    dataset->image_count, first->folder) != 0) {
    return -1;
  }
  for (size_t i = 0; i < search->count && i < NAMES_SHOWN; i++) {
    const char *name = search->matches[i].wanted;
    if (buffer_printf(text, error, "%s%s", i == 0 ? "" : ", ", name) != 0) return -1;
  }
  const char *more = search->count > NAMES_SHOWN ? ", ..." : "";
  if (hits == 0) {
    int status = buffer_printf(text, error, "%s; no folder near has pictures of these names: is --images right", more);
    return status == 0 ? describe_others(text, first->folder, error) : -1;
  }
  if (hits > search->count) hits = search->count; /* a name may be there as .jpg and as .png */
  if (search->count * 2 < (size_t)dataset->image_count)
    return buffer_printf(text, error, "%s; %s has %zu of these names", more, folder, hits);
  return buffer_printf(text, error, "%s; %s has %zu of these names: try --images %s", more, folder, hits, folder);
}

static int judge_missing(struct dataset *dataset, const struct picture *pictures, const struct dataset_source *sources,
                         double max_missing, struct error *error) {
  struct search search;
  struct buffer text = {0};
  if (search_collect(&search, dataset, pictures, NULL, error) != 0) return -1;
  int64_t missing = (int64_t)search.count;
  int status = 0;
  if (missing > 0) {
    status = describe_missing(dataset, &search, sources, &text, error);
    bool many = missing == dataset->image_count || (double)missing * 100 > (double)dataset->image_count * max_missing;
    if (status == 0 && many && max_missing >= 0) {
      status = error_set(error, "%s", (const char *)text.data);
      if (missing < dataset->image_count) {
        status = error_set(error, "%s; that is more than the %g %% that --max-bad allows", (const char *)text.data,
                           max_missing);
      }
    } else if (status == 0) {
      status = dataset_note(dataset, error, "%s", (const char *)text.data);
    }
  }
  buffer_free(&text);
  search_free(&search);
  return status;
}

int dataset_find_pictures(struct dataset *dataset, const struct dataset_source *sources, int workers,
                          double max_missing, XXH128_hash_t *hash, struct error *error) {
  size_t bytes = ((size_t)dataset->image_count + 1) * sizeof(struct picture);
  struct picture *pictures = malloc(bytes);
  if (pictures == NULL) return error_memory(error, bytes);
  struct look look = {dataset, pictures};
  int status = parallel_for(workers, (dataset->image_count + RUN - 1) / RUN, look_at_run, &look, error);
  if (status == 0) status = search_all(dataset, pictures, error);
  if (status == 0) status = note_repeated(dataset, pictures, error);
  if (status == 0) status = judge_missing(dataset, pictures, sources, max_missing, error);
  if (status == 0) status = scale_parts(dataset, workers, error);
  if (status == 0) status = hash_pictures(dataset, pictures, hash, error);
  free(pictures);
  return status;
}
