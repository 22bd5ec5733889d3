/* COCO ids to positions, and boxes to their images. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/dataset/coco.h"

enum { UNNAMED_CATEGORIES_MAX = 10000 };

static struct id image_of(const struct coco_item *item) {
  return (struct id){item->image, (item->flags & COCO_IMAGE_TEXT) != 0};
}

static struct id category_of(const struct coco_item *item) {
  return (struct id){item->category, (item->flags & COCO_CATEGORY_TEXT) != 0};
}

/* ---- what is listed twice ---- */

/* The id stands for two things: which one an annotation means cannot be known. */
static int fail_ambiguous(struct coco *coco, const struct coco_key *key, const char *what, const char *first,
                          const char *second, const char *advice) {
  return json_fail(&coco->json, key->offset, "%s id %s is \"%s\" and \"%s\": %s", what,
                   coco_show_id(coco, key->id).string, text_show(text_of(first)).string,
                   text_show(text_of(second)).string, advice);
}

static int tell_repeated(struct coco *coco, const struct coco_key *key, const char *what) {
  struct dataset_fault_count *count = &coco->dataset->faults[DATASET_REPEATED];
  if (count->count > 0) return dataset_fault(coco->dataset, DATASET_REPEATED, coco->error, "%s", "");
  return dataset_fault(coco->dataset, DATASET_REPEATED, coco->error, "%s%s: %s %s is listed again", coco->json.name,
                       json_place(&coco->json, key->offset).text, what, coco_show_id(coco, key->id).string);
}

static int index_images(struct coco *coco, struct id_table *table) {
  struct dataset *dataset = coco->dataset;
  int64_t kept = 0;
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const struct coco_key *key = &coco->images.keys[i];
    int64_t position = id_table_add(table, key->id, kept);
    struct dataset_image *image = &dataset->images[position];
    if (position == kept) {
      dataset->images[kept] = dataset->images[i];
      coco->images.keys[kept++] = *key;
    } else if (strcmp(image->file_name, dataset->images[i].file_name) == 0) {
      if (tell_repeated(coco, key, "image") != 0) return -1;
    } else {
      return fail_ambiguous(coco, key, "image", image->file_name, dataset->images[i].file_name,
                            "give each picture its own id (files that were merged have ids twice: give the files "
                            "themselves)");
    }
  }
  dataset->image_count = kept;
  return 0;
}

static int index_categories(struct coco *coco, struct id_table *table) {
  struct dataset *dataset = coco->dataset;
  int64_t kept = 0;
  for (int64_t i = 0; i < dataset->category_count; i++) {
    const struct coco_key *key = &coco->categories.keys[i];
    int64_t position = id_table_add(table, key->id, kept);
    const char *name = dataset->categories[i].name;
    if (position == kept) {
      dataset->categories[kept] = dataset->categories[i];
      coco->categories.keys[kept++] = *key;
    } else if (strcmp(dataset->categories[position].name, name) == 0) {
      if (tell_repeated(coco, key, "category") != 0) return -1;
    } else {
      return fail_ambiguous(coco, key, "category", dataset->categories[position].name, name, "give each its own id");
    }
  }
  dataset->category_count = kept;
  return 0;
}

/* Ids that are not whole numbers of 64 bits cannot be told to those who use the data set: all get their positions. */
static void number_ids(struct coco *coco) {
  struct dataset *dataset = coco->dataset;
  bool image_texts = false, category_texts = false;
  for (int64_t i = 0; i < dataset->image_count; i++)
    image_texts |= coco->images.keys[i].id.is_text;
  for (int64_t i = 0; i < dataset->category_count; i++)
    category_texts |= coco->categories.keys[i].id.is_text;
  for (int64_t i = 0; image_texts && i < dataset->image_count; i++)
    dataset->images[i].id = i + 1;
  for (int64_t i = 0; category_texts && i < dataset->category_count; i++)
    dataset->categories[i].id = i + 1;
}

/* ---- categories that are not listed anywhere ---- */

struct unnamed {
  struct coco_key key;
  const char *name;
};

static int compare_unnamed(const void *a, const void *b) {
  const struct unnamed *first = a, *second = b;
  struct id x = first->key.id, y = second->key.id;
  if (x.is_text != y.is_text) return x.is_text ? 1 : -1;
  if (x.is_text) return strcmp(first->name, second->name);
  return (x.value > y.value) - (x.value < y.value);
}

/* Without a list of categories, each that is used is called by its id. */
static int name_categories(struct coco *coco) {
  struct id_table seen = {0};
  struct unnamed *list = malloc(UNNAMED_CATEGORIES_MAX * sizeof(*list));
  int64_t count = 0;
  int status = -1;
  if (list == NULL) return error_memory(coco->error, UNNAMED_CATEGORIES_MAX * sizeof(*list));
  if (id_table_open(&seen, UNNAMED_CATEGORIES_MAX, coco->dataset->hash.low64, coco->error) != 0) goto done;
  for (size_t i = 0; i < coco->item_count; i++) {
    struct id id = category_of(&coco->items[i]);
    if (id_table_find(&seen, id) >= 0) continue;
    if (count == UNNAMED_CATEGORIES_MAX) {
      error_set(coco->error, "%s: no \"categories\", and more than %d different category_ids", coco->json.name,
                UNNAMED_CATEGORIES_MAX);
      goto done;
    }
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, id.value);
    struct text name = id.is_text ? coco->texts.texts[id.value] : text_of(digits);
    const char *copy = build_name(coco->dataset, name, coco->json.name, coco->error);
    if (copy == NULL) goto done;
    id_table_add(&seen, id, count);
    list[count++] = (struct unnamed){{id, coco->items[i].offset}, copy};
  }
  qsort(list, (size_t)count, sizeof(*list), compare_unnamed);
  for (int64_t i = 0; i < count; i++) {
    if (build_category(coco->dataset, list[i].key.id.value, list[i].name, coco->error) != 0) goto done;
    if (coco_add_key(coco, &coco->categories, list[i].key) != 0) goto done;
  }
  status = count == 0
               ? 0
               : dataset_note(coco->dataset, coco->error,
                              "%s has no \"categories\": its %" PRId64 " classes are called by their category_ids",
                              coco->json.name, count);
done:
  id_table_close(&seen);
  free(list);
  return status;
}

/* ---- annotations ---- */

/* Parts of the image's sides to pixels; where it does not say how large it is, that waits for the picture. */
static void scale_box(struct coco_item *item, const struct dataset_image *image) {
  if ((item->flags & COCO_RELATIVE) == 0) return;
  if (image->width <= 0 || image->height <= 0) {
    item->flags |= DATASET_PARTS;
    return;
  }
  for (int i = 0; i < 4; i++)
    item->box[i] *= i % 2 == 0 ? image->width : image->height;
}

/* What was left out while reading may lie anywhere in its image. */
static void mark_incomplete(struct coco *coco, const struct id_table *images) {
  for (size_t i = 0; i < coco->incomplete.count; i++) {
    int64_t image = id_table_find(images, coco->incomplete.keys[i].id);
    if (image >= 0) coco->dataset->images[image].incomplete = true;
  }
}

/* 1: ids became positions. 0: the annotation is left out. -1: error. */
static int resolve_item(struct coco *coco, struct coco_item *item, const struct id_table *images,
                        const struct id_table *categories) {
  int64_t image = id_table_find(images, image_of(item)), category = id_table_find(categories, category_of(item));
  int status;
  if (image < 0) {
    return coco_leave_out(coco, DATASET_NO_IMAGE, item, item->offset, "has image_id %s, which is not among the images",
                          coco_show_id(coco, image_of(item)).string);
  }
  if (category < 0) {
    struct id id = category_of(item), *unknown = &coco->unknown;
    bool same = coco->unknown_count == 0 || (id.is_text == unknown->is_text && id.value == unknown->value);
    *unknown = id;
    coco->unknown_count = same && coco->unknown_count >= 0 ? coco->unknown_count + 1 : -1;
    status = coco_leave_out(coco, DATASET_NO_CATEGORY, item, item->offset,
                            "has category_id %s, which is not among the categories",
                            coco_show_id(coco, category_of(item)).string);
  } else {
    scale_box(item, &coco->dataset->images[image]);
    item->image = image;
    item->category = category;
    return 1;
  }
  coco->dataset->images[image].incomplete = true;
  return status;
}

/* Classes counted from 0 in one place and from 1 in the other would all be taken for their neighbours. What gives them
 * away is that one id beyond an end of the list is used, and the one at its other end is not. */
static int check_shift(struct coco *coco) {
  const struct coco_key *keys = coco->categories.keys;
  int64_t last = coco->dataset->category_count - 1, low = 0, high = 0;
  if (coco->unknown_count <= 0 || coco->unknown.is_text || coco->item_count == 0 || last < 1) return 0;
  for (int64_t i = 0; i <= last; i++) {
    if (keys[i].id.is_text) return 0;
    if (keys[i].id.value < keys[low].id.value) low = i;
    if (keys[i].id.value > keys[high].id.value) high = i;
  }
  bool below = keys[low].id.value > INT64_MIN && coco->unknown.value == keys[low].id.value - 1;
  bool above = keys[high].id.value < INT64_MAX && coco->unknown.value == keys[high].id.value + 1;
  int64_t end = below ? high : low;
  if (!below && !above) return 0;
  for (size_t i = 0; i < coco->item_count; i++)
    if (coco->items[i].category == end) return 0;
  return error_set(coco->error,
                   "%s: %" PRId64 " annotations have category_id %" PRId64 ", which is not among the categories, and "
                   "none has %" PRId64 ", the id of \"%s\": are the ids shifted by one? Correct the ids of the "
                   "categories; or list %" PRId64 " there, too, if it is a class (--ignore-classes leaves it out)",
                   coco->json.name, coco->unknown_count, coco->unknown.value, keys[end].id.value,
                   text_show(text_of(coco->dataset->categories[end].name)).string, coco->unknown.value);
}

static int resolve_items(struct coco *coco, const struct id_table *images, const struct id_table *categories) {
  size_t kept = 0;
  for (size_t i = 0; i < coco->item_count; i++) {
    int resolved = resolve_item(coco, &coco->items[i], images, categories);
    if (resolved < 0) return -1;
    if (resolved == 0) continue;
    if (kept < i) coco->items[kept] = coco->items[i];
    kept++;
  }
  coco->item_count = kept;
  return check_shift(coco);
}

/* 1: no id of an annotation is there twice. 0: one is. -1: error. */
static int ids_distinct(const struct coco *coco) {
  int64_t low = INT64_MAX, high = INT64_MIN;
  for (size_t i = 0; i < coco->item_count; i++) {
    int64_t id = coco->items[i].id;
    if (id < low) low = id;
    if (id > high) high = id;
  }
  size_t count = coco->item_count, distinct = 0;
  uint64_t range = (uint64_t)high - (uint64_t)low;
  if (range / 64 <= count) { /* the usual case, for which a set of bits is faster than a table */
    uint64_t *seen = calloc((size_t)(range / 64 + 1), sizeof(*seen));
    if (seen == NULL) return error_memory(coco->error, (size_t)(range / 64 + 1) * sizeof(*seen));
    for (; distinct < count; distinct++) {
      uint64_t bit = (uint64_t)coco->items[distinct].id - (uint64_t)low, mask = UINT64_C(1) << (bit & 63);
      if ((seen[bit / 64] & mask) != 0) break;
      seen[bit / 64] |= mask;
    }
    free(seen);
    return distinct == count;
  }
  struct id_table table;
  if (id_table_open(&table, (int64_t)count, coco->dataset->hash.low64, coco->error) != 0) return -1;
  while (distinct < count &&
         id_table_add(&table, (struct id){coco->items[distinct].id, false}, (int64_t)distinct) == (int64_t)distinct)
    distinct++;
  id_table_close(&table);
  return distinct == count;
}

/* Annotations need no ids of their own. Where some are the same, all get their positions. */
static int number_items(struct coco *coco) {
  if (coco->item_count == 0) return 0;
  int distinct = ids_distinct(coco);
  for (size_t i = 0; distinct == 0 && i < coco->item_count; i++)
    coco->items[i].id = coco->items[i].number;
  return distinct < 0 ? -1 : 0;
}

/* Counting sort: boxes by image, in file order within each. */
static int group_boxes(struct coco *coco) {
  struct dataset *dataset = coco->dataset;
  size_t count = coco->item_count;
  if (count == 0) return 0;
  dataset->boxes = malloc(count * sizeof(*dataset->boxes));
  if (dataset->boxes == NULL) return error_memory(coco->error, count * sizeof(*dataset->boxes));
  dataset->box_capacity = count;
  for (size_t i = 0; i < count; i++)
    dataset->images[coco->items[i].image].box_count++;
  for (int64_t i = 0; i < dataset->image_count; i++) {
    dataset->images[i].first_box = dataset->box_count;
    dataset->box_count += dataset->images[i].box_count;
    dataset->images[i].box_count = 0;
  }
  for (size_t i = 0; i < count; i++) {
    const struct coco_item *item = &coco->items[i];
    struct dataset_image *image = &dataset->images[item->image];
    dataset->boxes[image->first_box + image->box_count++] = (struct dataset_box){
        .id = item->id,
        .x = item->box[0],
        .y = item->box[1],
        .w = item->box[2],
        .h = item->box[3],
        .category = (int32_t)item->category,
        .flags = item->flags & (DATASET_CROWD | DATASET_PARTS),
    };
  }
  return 0;
}

int coco_resolve(struct coco *coco) {
  struct dataset *dataset = coco->dataset;
  struct id_table images = {0}, categories = {0};
  uint64_t seed = dataset->hash.low64;
  int status = -1;
  if (dataset->category_count == 0 && name_categories(coco) != 0) goto done;
  if (dataset->category_count == 0) {
    error_set(coco->error, "%s: no \"categories\": list the classes there", coco->json.name);
    goto done;
  }
  if (id_table_open(&images, dataset->image_count, seed, coco->error) != 0 || index_images(coco, &images) != 0)
    goto done;
  if (id_table_open(&categories, dataset->category_count, seed, coco->error) != 0) goto done;
  if (index_categories(coco, &categories) != 0) goto done;
  number_ids(coco);
  mark_incomplete(coco, &images);
  if (resolve_items(coco, &images, &categories) != 0 || number_items(coco) != 0) goto done;
  status = group_boxes(coco);
done:
  id_table_close(&categories);
  id_table_close(&images);
  return status;
}
