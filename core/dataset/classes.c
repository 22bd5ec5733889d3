/* Which classes a data set has, after what its user asked for: equal names are one class, renamed, left out. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include <utf8proc.h>

enum { LEFT_OUT = -1, NAMES_SHOWN = 20 };

/* ---- making several one ---- */

/* Category i becomes category into[i] <= i, or LEFT_OUT: what is left moves together, and boxes follow. */
static void gather(struct dataset *dataset, int32_t *into) {
  int64_t left = 0;
  for (int64_t i = 0; i < dataset->category_count; i++) {
    if (into[i] == i) {
      dataset->categories[left] = dataset->categories[i];
      into[i] = (int32_t)left++;
    } else if (into[i] != LEFT_OUT) {
      into[i] = into[into[i]]; /* lies before, and has moved already */
    }
  }
  dataset->category_count = left;
  dataset->named_count = 0; /* its table of names is of those before */
  free(dataset->named);
  dataset->named = NULL;
  for (int64_t i = 0; i < dataset->box_count; i++) {
    struct dataset_box *box = &dataset->boxes[i];
    if (box->category < 0) continue;
    box->category = into[box->category];
    if (box->category == LEFT_OUT) box->flags |= DATASET_IGNORED;
  }
}

struct named {
  const char *name;
  int32_t category;
};

static int compare_named(const void *a, const void *b) {
  const struct named *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order != 0 ? order : x->category < y->category ? -1 : x->category > y->category;
}

/* The categories sorted by name, equal ones by position; the caller frees. */
static struct named *sort_names(const struct dataset *dataset, struct error *error) {
  size_t count = (size_t)dataset->category_count;
  struct named *sorted = malloc((count + 1) * sizeof(*sorted));
  if (sorted == NULL) {
    error_memory(error, (count + 1) * sizeof(*sorted));
    return NULL;
  }
  for (size_t i = 0; i < count; i++)
    sorted[i] = (struct named){dataset->categories[i].name, (int32_t)i};
  qsort(sorted, count, sizeof(*sorted), compare_named);
  return sorted;
}

/* How many of sorted[at...] have the same name as the first. */
static size_t run_of(const struct named *sorted, size_t at, size_t count) {
  size_t run = 1;
  while (at + run < count && strcmp(sorted[at].name, sorted[at + run].name) == 0)
    run++;
  return run;
}

static int note_repeated(struct dataset *dataset, const char *source, const struct named *equal, size_t count,
                         struct error *error) {
  char ids[128] = "";
  for (size_t i = 0, used = 0; i < count && used < sizeof(ids); i++) {
    used += (size_t)snprintf(ids + used, sizeof(ids) - used, "%s%" PRId64, i == 0 ? "" : ", ",
                             dataset->categories[equal[i].category].id);
  }
  return dataset_note(dataset, error, "%s: %zu classes are called \"%s\" (ids %s): taken as one", source, count,
                      equal[0].name, ids);
}

static int compare_ids(const void *a, const void *b) {
  int64_t x = ((const struct dataset_category *)a)->id, y = ((const struct dataset_category *)b)->id;
  return x < y ? -1 : x > y;
}

/* Sets *clash when two categories share an id. */
static int ids_clash(const struct dataset *dataset, bool *clash, struct error *error) {
  size_t count = (size_t)dataset->category_count, size = (count + 1) * sizeof(*dataset->categories);
  struct dataset_category *sorted = malloc(size);
  if (sorted == NULL) return error_memory(error, size);
  if (count > 0) memcpy(sorted, dataset->categories, count * sizeof(*sorted));
  qsort(sorted, count, sizeof(*sorted), compare_ids);
  for (size_t i = 1; i < count; i++)
    *clash |= sorted[i - 1].id == sorted[i].id;
  free(sorted);
  return 0;
}

/* `differ`: some class had another id in another source. */
static int settle_ids(struct dataset *dataset, bool differ, struct error *error) {
  bool clash = false;
  if (ids_clash(dataset, &clash, error) != 0) return -1;
  if (!differ && !clash) return 0;
  for (int64_t i = 0; i < dataset->category_count; i++)
    dataset->categories[i].id = i + 1;
  return dataset_note(dataset, error,
                      "the sources number their classes differently: classes have new ids, 1 to %" PRId64,
                      dataset->category_count);
}

int classes_unite(struct dataset *dataset, const char *source, struct error *error) {
  size_t count = (size_t)dataset->category_count;
  struct named *sorted = sort_names(dataset, error);
  int32_t *into = calloc(count + 1, sizeof(*into));
  int status = sorted == NULL ? -1 : into == NULL ? error_memory(error, (count + 1) * sizeof(*into)) : 0;
  bool differ = false;
  for (size_t at = 0, run; status == 0 && at < count; at += run) {
    run = run_of(sorted, at, count);
    if (run > 1 && source != NULL) status = note_repeated(dataset, source, &sorted[at], run, error);
    for (size_t i = at; i < at + run; i++) {
      into[sorted[i].category] = sorted[at].category;
      differ |= dataset->categories[sorted[i].category].id != dataset->categories[sorted[at].category].id;
    }
  }
  if (status == 0) gather(dataset, into);
  if (status == 0 && source == NULL) status = settle_ids(dataset, differ, error);
  free(sorted);
  free(into);
  return status;
}

/* ---- names that a user gives ---- */

/* Unlike enough for a computer, alike for a person: case, Unicode form, white space, "_" and "-". NULL when memory is
 * out; free it. */
static char *loose_name(const char *name) {
  utf8proc_uint8_t *folded = NULL;
  utf8proc_ssize_t size =
      utf8proc_map((const utf8proc_uint8_t *)name, 0, &folded,
                   UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
  if (size < 0) return strdup(name);
  char *out = (char *)folded;
  for (const char *at = out; *at != '\0'; at++)
    if (strchr(" \t_-", *at) == NULL) *out++ = *at;
  *out = '\0';
  return (char *)folded;
}

static bool loosely_equal(const char *a, const char *b) {
  char *x = loose_name(a), *y = loose_name(b);
  bool equal = x != NULL && y != NULL && strcmp(x, y) == 0;
  free(x);
  free(y);
  return equal;
}

/* The class of that name, else of that name with other white space around it; or -1. */
static int32_t find_class(const struct dataset *dataset, struct text name) {
  for (int64_t i = 0; i < dataset->category_count; i++)
    if (text_equal(text_of(dataset->categories[i].name), name)) return (int32_t)i;
  for (int64_t i = 0; i < dataset->category_count; i++)
    if (text_equal(text_trim(text_of(dataset->categories[i].name)), text_trim(name))) return (int32_t)i;
  return -1;
}

static int unknown_class(const struct dataset *dataset, const char *option, struct text name, struct error *error) {
  char list[700] = "";
  char *wanted = strndup(name.data, name.size);
  if (wanted == NULL) return error_memory(error, name.size);
  const char *meant = NULL;
  for (int64_t i = 0; meant == NULL && i < dataset->category_count; i++)
    if (loosely_equal(wanted, dataset->categories[i].name)) meant = dataset->categories[i].name;
  free(wanted);
  size_t used = 0;
  int64_t shown = 0;
  while (shown < dataset->category_count && shown < NAMES_SHOWN && used + 170 < sizeof(list)) {
    used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", shown == 0 ? "" : ", ",
                             dataset->categories[shown].name);
    shown++;
  }
  if (shown < dataset->category_count)
    snprintf(list + used, sizeof(list) - used, " and %" PRId64 " more", dataset->category_count - shown);
  return error_set(error, "--%s: no class is called \"%s\"%s%s%s there are %s", option, text_show(name).string,
                   meant == NULL ? "" : "; did you mean \"", meant == NULL ? "" : meant, meant == NULL ? ";" : "\"?",
                   list);
}

/* ---- leaving out ---- */

static int ignore_classes(const struct dataset *dataset, const struct option_list *names, int32_t *into,
                          struct error *error) {
  for (size_t i = 0; i < names->count; i++) {
    struct text rest = text_of(names->items[i]);
    int32_t whole = find_class(dataset, rest); /* a name may hold commas */
    while (whole >= 0 || rest.size > 0) {
      const char *comma = whole >= 0 ? NULL : memchr(rest.data, ',', rest.size);
      struct text name = {rest.data, comma == NULL ? rest.size : (size_t)(comma - rest.data)};
      int32_t found = find_class(dataset, name);
      if (found < 0) return unknown_class(dataset, "ignore-classes", text_trim(name), error);
      into[found] = LEFT_OUT;
      if (comma == NULL) break;
      rest = (struct text){comma + 1, rest.size - name.size - 1};
    }
  }
  return 0;
}

/* ---- renaming ---- */

/* One "old=new"; either name may hold "=", so that the first "=" with a class before it counts. */
static int rename_class(struct dataset *dataset, const char **new_names, struct text pair, struct error *error) {
  const char *equals = memchr(pair.data, '=', pair.size), *end = pair.data + pair.size;
  if (equals == NULL)
    return error_set(error, "--rename-classes: \"%s\" should be OLD=NEW", text_show(text_trim(pair)).string);
  struct text old = {pair.data, (size_t)(equals - pair.data)}, first = old;
  int32_t found;
  while ((found = find_class(dataset, old)) < 0 && equals != NULL) {
    equals = memchr(equals + 1, '=', (size_t)(end - equals - 1));
    if (equals != NULL) old.size = (size_t)(equals - pair.data);
  }
  if (found < 0) return unknown_class(dataset, "rename-classes", text_trim(first), error);
  struct text name = text_trim((struct text){equals + 1, (size_t)(end - equals - 1)});
  if (name.size == 0)
    return error_set(error, "--rename-classes: \"%s\" gets no name; --ignore-classes leaves classes out",
                     text_show(text_trim(old)).string);
  if (new_names[found] != NULL)
    return error_set(error, "--rename-classes: \"%s\" is renamed twice", text_show(text_trim(old)).string);
  new_names[found] = build_name(dataset, name, "--rename-classes", error);
  return new_names[found] == NULL ? -1 : 0;
}

static int rename_classes(struct dataset *dataset, const struct option_list *pairs, const char **new_names,
                          struct error *error) {
  for (size_t i = 0; i < pairs->count; i++) {
    const char *start = pairs->items[i], *end = start;
    while (*end != '\0') { /* a piece without "=" belongs to a name with commas */
      end += strcspn(end, ",");
      bool complete = memchr(start, '=', (size_t)(end - start)) != NULL;
      if (*end == '\0' || complete) {
        if (rename_class(dataset, new_names, (struct text){start, (size_t)(end - start)}, error) != 0) return -1;
        start = end + (*end != '\0');
      }
      end += *end != '\0';
    }
  }
  for (int64_t i = 0; i < dataset->category_count; i++)
    if (new_names[i] != NULL) dataset->categories[i].name = new_names[i];
  return 0;
}

/* Sets into[i] for those that a new name makes equal to another; those left out stay so, and no other joins them. */
static int unite_renamed(const struct dataset *dataset, int32_t *into, struct error *error) {
  size_t count = (size_t)dataset->category_count;
  struct named *sorted = sort_names(dataset, error);
  if (sorted == NULL) return -1;
  for (size_t at = 0, run; at < count; at += run) {
    int32_t first = LEFT_OUT;
    run = run_of(sorted, at, count);
    for (size_t i = at; i < at + run; i++) {
      int32_t category = sorted[i].category;
      if (into[category] == LEFT_OUT) continue;
      if (first == LEFT_OUT) first = category;
      into[category] = first;
    }
  }
  free(sorted);
  return 0;
}

/* ---- names that are nearly the same ---- */

/* At most one note: who has many such names needs one hint. */
static int note_alike(struct dataset *dataset, struct error *error) {
  size_t count = (size_t)dataset->category_count, pairs = 0;
  struct named *loose = calloc(count + 1, sizeof(*loose)), first = {0}, second = {0};
  int status = loose == NULL ? error_memory(error, (count + 1) * sizeof(*loose)) : 0;
  for (size_t i = 0; status == 0 && i < count; i++) {
    loose[i] = (struct named){loose_name(dataset->categories[i].name), (int32_t)i};
    if (loose[i].name == NULL) status = error_memory(error, 0);
  }
  if (status == 0) {
    qsort(loose, count, sizeof(*loose), compare_named);
    for (size_t i = 1; i < count; i++) {
      if (strcmp(loose[i - 1].name, loose[i].name) != 0) continue;
      if (pairs++ > 0) continue;
      first = loose[i - 1];
      second = loose[i];
    }
  }
  if (pairs > 0) {
    const char *one = dataset->categories[first.category].name, *other = dataset->categories[second.category].name;
    char more[64] = "";
    if (pairs > 1) snprintf(more, sizeof(more), " (and %zu more such pairs)", pairs - 1);
    status = dataset_note(dataset, error,
                          "the classes \"%s\" and \"%s\" differ only in case or spacing%s; to make them one: "
                          "--rename-classes \"%s=%s\"",
                          one, other, more, other, one);
  }
  for (size_t i = 0; loose != NULL && i < count; i++)
    free((void *)(uintptr_t)loose[i].name);
  free(loose);
  return status;
}

int dataset_choose_classes(struct dataset *dataset, const struct option_list *ignore, const struct option_list *rename,
                           struct error *error) {
  size_t count = (size_t)dataset->category_count;
  int32_t *into = calloc(count + 1, sizeof(*into));
  const char **new_names = calloc(count + 1, sizeof(*new_names));
  int status = into == NULL || new_names == NULL ? error_memory(error, (count + 1) * sizeof(*new_names)) : 0;
  for (size_t i = 0; status == 0 && i < count; i++)
    into[i] = (int32_t)i;
  if (status == 0) status = ignore_classes(dataset, ignore, into, error);
  if (status == 0) status = rename_classes(dataset, rename, new_names, error);
  if (status == 0) status = unite_renamed(dataset, into, error);
  if (status == 0) gather(dataset, into);
  free(into);
  free(new_names);
  if (status == 0 && count > 0 && dataset->category_count == 0)
    status = error_set(error, "--ignore-classes leaves no class");
  return status == 0 ? note_alike(dataset, error) : -1;
}
