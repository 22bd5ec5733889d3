/* Data sets that grow while they are read, and the table that resolves ids. */
#include "core/dataset/internal.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_CATEGORIES_MAX = 10000 };

/* ---- names ---- */

const char *build_name(struct dataset *dataset, struct text name, const char *source, struct error *error) {
  size_t offset;
  if (!utf8_valid(name.data, name.size, &offset)) {
    error_set(error, "%s: the name \"%s\" is not UTF-8 without NUL: correct it there", source, text_show(name).string);
    return NULL;
  }
  const char *copy = arena_copy(&dataset->arena, name.data, name.size);
  if (copy == NULL) error_memory(error, name.size);
  return copy;
}

const char *build_file_name(struct dataset *dataset, struct text name, const char *source, struct error *error) {
  const char *copy = build_name(dataset, name, source, error);
  if (copy == NULL || dataset_name_safe(copy)) return copy;
  error_set(error, "%s: unsafe file name \"%s\": it must name a file inside the image folder, without \"..\"", source,
            text_show(name).string);
  return NULL;
}

/* ---- growing ---- */

int build_category(struct dataset *dataset, int64_t id, const char *name, struct error *error) {
  void *items = dataset->categories;
  size_t count = (size_t)dataset->category_count;
  if (count == INT32_MAX) return error_set(error, "more than %d categories", INT32_MAX);
  int status = array_reserve(&items, &dataset->category_capacity, count + 1, sizeof(*dataset->categories), error);
  dataset->categories = items;
  if (status != 0) return -1;
  dataset->categories[dataset->category_count++] = (struct dataset_category){.id = id, .name = name};
  return 0;
}

int build_image(struct dataset *dataset, const struct dataset_image *image, struct error *error) {
  void *items = dataset->images;
  size_t count = (size_t)dataset->image_count;
  if (count == INT32_MAX) return error_set(error, "more than %d images", INT32_MAX);
  int status = array_reserve(&items, &dataset->image_capacity, count + 1, sizeof(*dataset->images), error);
  dataset->images = items;
  if (status != 0) return -1;
  struct dataset_image *last = &dataset->images[dataset->image_count++];
  *last = *image;
  last->first_box = dataset->box_count;
  last->box_count = 0;
  return 0;
}

int build_box(struct dataset *dataset, struct dataset_box box, struct error *error) {
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  void *items = dataset->boxes;
  if (image->box_count == INT32_MAX) return error_set(error, "more than %d boxes in one image", INT32_MAX);
  int status = array_reserve(&items, &dataset->box_capacity, (size_t)dataset->box_count + 1, sizeof(box), error);
  dataset->boxes = items;
  if (status != 0) return -1;
  box.id = dataset->box_count + 1;
  dataset->boxes[dataset->box_count++] = box;
  image->box_count++;
  return 0;
}

/* NaN comes last. */
static int compare_numbers(double a, double b) {
  return a < b ? -1 : a > b ? 1 : (a != a) - (b != b);
}

static int compare_boxes(const void *a, const void *b) {
  const struct dataset_box *left = a, *right = b;
  int order = (left->category > right->category) - (left->category < right->category);
  if (order == 0) order = compare_numbers(left->x, right->x);
  if (order == 0) order = compare_numbers(left->y, right->y);
  if (order == 0) order = compare_numbers(left->w, right->w);
  if (order == 0) order = compare_numbers(left->h, right->h);
  return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static bool box_repeats(const struct dataset_box *a, const struct dataset_box *b) {
  return a->category == b->category && a->x == b->x && a->y == b->y && a->w == b->w && a->h == b->h;
}

/* Makes the id of each box negative that repeats an earlier one; the ids are positions in the data set, from 1. */
static int mark_repeated(struct dataset_box *boxes, size_t count, struct error *error) {
  enum { FEW = 16 };
  for (size_t i = 1; i < count && count <= FEW; i++)
    for (size_t k = 0; k < i && boxes[i].id > 0; k++)
      if (box_repeats(&boxes[i], &boxes[k])) boxes[i].id = -boxes[i].id;
  if (count <= FEW) return 0;
  struct dataset_box *sorted = malloc(count * sizeof(*sorted));
  if (sorted == NULL) return error_memory(error, count * sizeof(*sorted));
  memcpy(sorted, boxes, count * sizeof(*sorted));
  int64_t first = boxes[0].id;
  qsort(sorted, count, sizeof(*sorted), compare_boxes);
  for (size_t i = 1; i < count; i++)
    if (box_repeats(&sorted[i], &sorted[i - 1])) boxes[sorted[i].id - first].id = -sorted[i].id;
  free(sorted);
  return 0;
}

int build_drop_repeated(struct dataset *dataset, const char *source, struct error *error) {
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  if (image->box_count < 2) return 0;
  struct dataset_box *boxes = dataset->boxes + image->first_box;
  int32_t count = image->box_count, kept = 0;
  if (mark_repeated(boxes, (size_t)count, error) != 0) return -1;
  for (int32_t i = 0; i < count; i++) {
    if (boxes[i].id < 0) {
      const char *name = dataset->categories[boxes[i].category].name;
      if (dataset_fault(dataset, DATASET_REPEATED, error, "%s: box %d (class \"%s\") is there already", source, i + 1,
                        name) != 0) {
        return -1;
      }
      continue;
    }
    boxes[kept] = boxes[i];
    boxes[kept].id = image->first_box + kept + 1;
    kept++;
  }
  dataset->box_count -= count - kept;
  image->box_count = kept;
  return 0;
}

int build_folder(struct dataset *dataset, const char *folder, struct error *error) {
  const char *copy = arena_copy(&dataset->arena, folder, strlen(folder));
  if (copy == NULL) return error_memory(error, strlen(folder));
  for (int64_t i = 0; i < dataset->image_count; i++)
    if (dataset->images[i].folder == NULL) dataset->images[i].folder = copy;
  return 0;
}

/* ---- categories by name ---- */

/* The slot of a name: that of its category, or the free one where it belongs. */
static int32_t *named_slot(const struct dataset *dataset, struct text name) {
  size_t at = XXH3_64bits(name.data, name.size) & dataset->named_mask;
  for (;; at = (at + 1) & dataset->named_mask) {
    int32_t *slot = &dataset->named[at];
    if (*slot < 0 || text_equal(name, text_of(dataset->categories[*slot].name))) return slot;
  }
}

/* Brings the table up to the categories; half of it stays free. Of two categories of one name the first is found. */
static int named_update(struct dataset *dataset, struct error *error) {
  size_t slots = dataset->named == NULL ? 0 : dataset->named_mask + 1, wanted = slots == 0 ? 64 : slots;
  while (wanted / 2 <= (size_t)dataset->category_count)
    wanted *= 2;
  if (wanted > slots) {
    int32_t *named = malloc(wanted * sizeof(*named));
    if (named == NULL) return error_memory(error, wanted * sizeof(*named));
    free(dataset->named);
    dataset->named = named;
    dataset->named_mask = wanted - 1;
  }
  if (wanted > slots || dataset->named_count > dataset->category_count) { /* also when categories were taken back */
    memset(dataset->named, 0xFF, wanted * sizeof(*dataset->named));
    dataset->named_count = 0;
  }
  for (; dataset->named_count < dataset->category_count; dataset->named_count++) {
    int32_t *slot = named_slot(dataset, text_of(dataset->categories[dataset->named_count].name));
    if (*slot < 0) *slot = (int32_t)dataset->named_count;
  }
  return 0;
}

int build_category_named(struct dataset *dataset, struct text name, const char *source, int32_t *category,
                         struct error *error) {
  if (named_update(dataset, error) != 0) return -1;
  *category = *named_slot(dataset, name);
  if (*category >= 0) return 0;
  *category = (int32_t)dataset->category_count;
  if (dataset->category_count == NAMED_CATEGORIES_MAX) {
    return error_set(error, "%s: \"%s\" would be category %d: are these really the names of classes?", source,
                     text_show(name).string, NAMED_CATEGORIES_MAX + 1);
  }
  const char *copy = build_name(dataset, name, source, error);
  return copy == NULL ? -1 : build_category(dataset, *category, copy, error);
}

void build_drop_categories(struct dataset *dataset, int64_t count) {
  dataset->category_count = count;
  dataset->named_count = INT64_MAX; /* the table is not up to date */
}

static int compare_categories(const void *a, const void *b) {
  return strcmp(((const struct dataset_category *)a)->name, ((const struct dataset_category *)b)->name);
}

int build_sort_categories(struct dataset *dataset, struct error *error) {
  size_t count = (size_t)dataset->category_count;
  if (count == 0) return 0;
  int32_t *position = malloc(count * sizeof(*position));
  if (position == NULL) return error_memory(error, count * sizeof(*position));
  qsort(dataset->categories, count, sizeof(*dataset->categories), compare_categories);
  for (size_t i = 0; i < count; i++) {
    position[dataset->categories[i].id] = (int32_t)i; /* the id was the position when the name was new */
    dataset->categories[i].id = (int64_t)i;
  }
  dataset->named_count = INT64_MAX; /* the table's positions are not these any more */
  for (int64_t i = 0; i < dataset->box_count; i++) {
    dataset->boxes[i].category = position[dataset->boxes[i].category];
  }
  free(position);
  return 0;
}

/* ---- ids ---- */

struct id_slot {
  int64_t value;
  int64_t place; /* 2 * position + 2 + is_text; 0: free */
};

int id_table_open(struct id_table *table, int64_t count, uint64_t seed, struct error *error) {
  size_t slots = 16;
  while (slots / 2 < (size_t)count)
    slots *= 2;
  *table = (struct id_table){.mask = slots - 1, .seed = seed, .slots = calloc(slots, sizeof(struct id_slot))};
  return table->slots == NULL ? error_memory(error, slots * sizeof(struct id_slot)) : 0;
}

static struct id_slot *id_table_slot(const struct id_table *table, struct id id) {
  size_t at = XXH3_64bits_withSeed(&id.value, sizeof(id.value), table->seed) & table->mask;
  while (table->slots[at].place != 0 &&
         (table->slots[at].value != id.value || (table->slots[at].place & 1) != id.is_text))
    at = (at + 1) & table->mask;
  return &table->slots[at];
}

int64_t id_table_add(struct id_table *table, struct id id, int64_t position) {
  struct id_slot *slot = id_table_slot(table, id);
  if (slot->place == 0) *slot = (struct id_slot){.value = id.value, .place = 2 * position + 2 + id.is_text};
  return slot->place / 2 - 1;
}

int64_t id_table_find(const struct id_table *table, struct id id) {
  return id_table_slot(table, id)->place / 2 - 1;
}

void id_table_close(struct id_table *table) {
  free(table->slots);
  *table = (struct id_table){0};
}

/* ---- texts as numbers ---- */

static uint32_t *text_set_slot(const struct text_set *set, struct text text) {
  size_t at = XXH3_64bits_withSeed(text.data, text.size, set->seed) & set->mask;
  while (set->slots[at] != 0 && !text_equal(set->texts[set->slots[at] - 1], text))
    at = (at + 1) & set->mask;
  return &set->slots[at];
}

static int text_set_grow(struct text_set *set, struct error *error) {
  size_t slots = set->slots == NULL ? 64 : 2 * (set->mask + 1);
  uint32_t *fresh = calloc(slots, sizeof(*fresh));
  if (fresh == NULL) return error_memory(error, slots * sizeof(*fresh));
  if (set->slots == NULL) set->seed = (uint64_t)(uintptr_t)fresh; /* a hostile file does not know it */
  free(set->slots);
  set->slots = fresh;
  set->mask = slots - 1;
  for (size_t i = 0; i < set->count; i++)
    *text_set_slot(set, set->texts[i]) = (uint32_t)i + 1;
  return 0;
}

int64_t text_set_add(struct text_set *set, struct text text, struct arena *arena, struct error *error) {
  if (set->slots == NULL || 2 * set->count > set->mask) {
    if (text_set_grow(set, error) != 0) return -1;
  }
  uint32_t *slot = text_set_slot(set, text);
  if (*slot != 0) return (int64_t)*slot - 1;
  if (set->count == INT32_MAX) return error_set(error, "more than %d ids that are text", INT32_MAX);
  void *items = set->texts;
  int status = array_reserve(&items, &set->capacity, set->count + 1, sizeof(*set->texts), error);
  set->texts = items;
  if (status != 0) return -1;
  const char *copy = arena_copy(arena, text.data, text.size);
  if (copy == NULL) return error_memory(error, text.size);
  set->texts[set->count++] = (struct text){copy, text.size};
  *slot = (uint32_t)set->count;
  return (int64_t)set->count - 1;
}

void text_set_free(struct text_set *set) {
  free(set->slots);
  free(set->texts);
  *set = (struct text_set){0};
}
