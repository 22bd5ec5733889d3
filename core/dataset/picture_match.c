/* Finding a picture that is not where its annotations say: elsewhere below the folder, or spelt otherwise. */
#include "core/dataset/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* Endings of pictures, also of such as cannot be read, in families that are one format. */
static const char *const endings[][4] = {{".jpg", ".jpeg", ".jpe", ".jfif"},
                                         {".png"},
                                         {".bmp"},
                                         {".webp"},
                                         {".tif", ".tiff"},
                                         {".gif"},
                                         {".tga"},
                                         {".ppm"},
                                         {".pgm"},
                                         {".heic", ".heif"},
                                         {".avif"}};

/* The family of a name's ending, and the length of the name without it; -1: none. */
static int ending_of(const char *name, size_t *stem) {
  *stem = strlen(name);
  for (size_t family = 0; family < COUNT_OF(endings); family++) {
    for (size_t i = 0; i < COUNT_OF(endings[0]) && endings[family][i] != NULL; i++) {
      size_t size = strlen(endings[family][i]);
      if (*stem <= size || strcmp(name + *stem - size, endings[family][i]) != 0) continue;
      *stem -= size;
      return (int)family;
    }
  }
  return -1;
}

static int hex_value(char c) {
  return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* A path in the one spelling that all its spellings share: "%20" decoded, slashes forward, composed Unicode, lower
 * case, no white space around it. */
static const char *fold_path(struct arena *arena, const char *path, struct error *error) {
  while (isspace((unsigned char)*path))
    path++;
  char *plain = arena_copy(arena, path, strlen(path)), *out = plain;
  if (plain == NULL) {
    error_memory(error, strlen(path));
    return NULL;
  }
  bool ascii = true;
  for (const char *at = path; *at != '\0'; at++) {
    int byte = (unsigned char)*at, high = byte == '%' ? hex_value(at[1]) : -1, low = high < 0 ? -1 : hex_value(at[2]);
    if (low >= 0 && high + low > 0) {
      byte = high * 16 + low;
      at += 2;
    }
    ascii &= byte < 0x80;
    *out++ = (char)(byte == '\\' ? '/' : byte < 0x80 ? tolower(byte) : byte);
  }
  while (out > plain && isspace((unsigned char)out[-1]))
    out--;
  *out = '\0';
  if (ascii) return plain;
  utf8proc_uint8_t *folded = NULL;
  utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)plain, 0, &folded,
                                       UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
  if (size < 0) return plain; /* bytes that were decoded to no UTF-8 */
  const char *copy = arena_copy(arena, (const char *)folded, (size_t)size);
  free(folded);
  if (copy == NULL) error_memory(error, (size_t)size);
  return copy;
}

/* ---- one wanted picture and one that is there ---- */

/* Takes the last folder off path[0 .. *end); false when there is none. "." is none. */
static bool take_folder(const char *path, size_t *end, struct text *folder) {
  while (*end > 0) {
    size_t stop = *end, start = stop;
    while (start > 0 && path[start - 1] != '/')
      start--;
    *folder = (struct text){path + start, stop - start};
    *end = start > 0 ? start - 1 : 0;
    if (folder->size > 0 && !text_equal(*folder, TEXT("."))) return true;
  }
  return false;
}

static size_t folders_end(const char *path) {
  size_t base = (size_t)(name_base(path) - path);
  return base > 0 ? base - 1 : 0;
}

/* How well a picture that is there fits one that is wanted, both folded, of one stem; 0: not at all. Folders that both
 * name must be the same, or one picture of two sets would be taken for the other. One with another ending must be where
 * the wanted one should be: masks lie beside. `deeper`: it lies in a folder that the wanted name does not mention. */
static int fit_of(const char *wanted, const char *there, bool *deeper) {
  size_t wanted_end = folders_end(wanted), there_end = folders_end(there), stem;
  struct text one, other;
  int shared = 0;
  bool wanted_more, there_more;
  for (;;) {
    wanted_more = take_folder(wanted, &wanted_end, &one);
    there_more = take_folder(there, &there_end, &other);
    if (!wanted_more || !there_more || !text_equal(one, other)) break;
    shared++;
  }
  if (wanted_more && there_more) return 0;
  *deeper = there_more;
  bool same = ending_of(name_base(wanted), &stem) == ending_of(name_base(there), &stem);
  if (!same && there_more) return 0;
  return 1 + (same ? 4096 : 0) + shared * 2 + !there_more;
}

/* ---- all of a folder ---- */

struct candidate {
  const char *stem; /* folded */
  size_t stem_size;
  size_t file; /* in the tree */
};

static int compare_stems(const void *a, const void *b) {
  const struct candidate *x = a, *y = b;
  size_t shorter = x->stem_size < y->stem_size ? x->stem_size : y->stem_size;
  int order = memcmp(x->stem, y->stem, shorter);
  return order != 0 ? order : x->stem_size < y->stem_size ? -1 : x->stem_size > y->stem_size;
}

static int set_stem(struct candidate *candidate, struct arena *arena, const char *base, struct error *error) {
  candidate->stem = fold_path(arena, base, error);
  if (candidate->stem == NULL) return -1;
  ending_of(candidate->stem, &candidate->stem_size);
  return 0;
}

static struct candidate *make_candidates(const struct tree *tree, struct arena *arena, struct error *error) {
  struct candidate *candidates = malloc((tree->file_count + 1) * sizeof(*candidates));
  int status = candidates == NULL ? error_memory(error, tree->file_count * sizeof(*candidates)) : 0;
  for (size_t i = 0; status == 0 && i < tree->file_count; i++) {
    candidates[i].file = i;
    status = set_stem(&candidates[i], arena, tree->files[i].name, error);
  }
  if (status == 0) {
    qsort(candidates, tree->file_count, sizeof(*candidates), compare_stems);
    return candidates;
  }
  free(candidates);
  return NULL;
}

static const char *file_path(const struct tree *tree, size_t file, struct arena *arena, struct error *error) {
  const char *folder = tree->folders[tree->files[file].folder].path;
  return folder[0] == '\0' ? tree->files[file].name : path_in(arena, folder, tree->files[file].name, error);
}

/* The position of the first candidate that is not before `key`. */
static size_t first_not_before(const struct candidate *candidates, size_t count, const struct candidate *key) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare_stems(&candidates[middle], key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* Looks for one picture; match->path stays NULL when nothing fits, and also when several fit equally. */
static int match_one(const struct tree *tree, const struct candidate *candidates, struct arena *arena, const char *name,
                     struct picture_match *match, struct error *error) {
  struct candidate key;
  const char *wanted = fold_path(arena, name, error);
  if (wanted == NULL) return -1;
  key.stem = name_base(wanted);
  ending_of(key.stem, &key.stem_size);
  int best = 0;
  for (size_t i = first_not_before(candidates, tree->file_count, &key); i < tree->file_count; i++) {
    if (compare_stems(&candidates[i], &key) != 0) break;
    const char *path = file_path(tree, candidates[i].file, arena, error);
    const char *there = path == NULL ? NULL : fold_path(arena, path, error);
    if (there == NULL) return -1;
    bool deeper = false;
    int fit = fit_of(wanted, there, &deeper);
    if (fit == 0 || fit < best) continue;
    match->ambiguous = fit == best;
    match->path = match->ambiguous ? NULL : path;
    match->deeper = deeper;
    best = fit;
  }
  return 0;
}

int picture_match_all(struct tree *tree, struct picture_match *matches, size_t count, struct error *error) {
  struct candidate *candidates = make_candidates(tree, &tree->arena, error);
  if (candidates == NULL) return -1;
  int status = 0;
  bool ambiguous = false;
  for (size_t i = 0; status == 0 && i < count; i++) {
    status = match_one(tree, candidates, &tree->arena, matches[i].wanted, &matches[i], error);
    ambiguous |= matches[i].ambiguous;
  }
  for (size_t i = 0; i < count; i++)
    if (ambiguous && matches[i].deeper) matches[i].path = NULL;
  free(candidates);
  return status;
}

/* ---- where else ---- */

struct folder_hits {
  size_t own, below;
};

const char *picture_best_folder(struct tree *tree, const struct picture_match *wanted, size_t count, size_t *hits,
                                struct error *error) {
  struct candidate *keys = malloc((count + 1) * sizeof(*keys));
  struct folder_hits *folders = calloc(tree->folder_count + 1, sizeof(*folders));
  const char *best = NULL;
  int status = keys == NULL || folders == NULL ? error_memory(error, count * sizeof(*keys)) : 0;
  for (size_t i = 0; status == 0 && i < count; i++)
    status = set_stem(&keys[i], &tree->arena, name_base(wanted[i].wanted), error);
  if (status == 0) qsort(keys, count, sizeof(*keys), compare_stems);
  for (size_t i = 0; status == 0 && i < tree->file_count; i++) {
    struct candidate there;
    status = set_stem(&there, &tree->arena, tree->files[i].name, error);
    if (status != 0) break;
    size_t at = first_not_before(keys, count, &there);
    if (at < count && compare_stems(&keys[at], &there) == 0) folders[tree->files[i].folder].own++;
  }
  for (size_t i = tree->folder_count; status == 0 && i-- > 0;) { /* folders come after those that they are in */
    folders[i].below += folders[i].own;
    if (i > 0) folders[tree->folders[i].parent].below += folders[i].below;
  }
  size_t most = 0;
  for (size_t i = 0; status == 0 && i < tree->folder_count; i++)
    if (folders[i].own > folders[most].own) most = i;
  *hits = status == 0 ? folders[most].own : 0;
  if (status == 0 && *hits * 2 < count) { /* spread over several: the last, hence innermost, that has nearly all */
    for (size_t i = 0; i < tree->folder_count; i++)
      if (folders[i].below * 10 >= folders[0].below * 9) most = i;
    *hits = folders[most].below;
  }
  if (*hits > 0) best = tree->folders[most].path;
  free(keys);
  free(folders);
  return best;
}
