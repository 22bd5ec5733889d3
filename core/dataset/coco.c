/* COCO instances JSON. Sections come in any order, so ids are resolved when all are read: until then memory holds 72
 * bytes an annotation. Each byte is touched once: parsed, hashed while still in the cache, given back. What is wrong
 * with one annotation leaves that one out; what is wrong with the file, an image or a category is an error. */
#include "core/dataset/coco.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SWEEP = 256 << 10, FIELDS_MAX = 7 };

static void sweep(void *context, const char *at) {
  struct coco *coco = context;
  XXH3_128bits_update(coco->hash, coco->swept, (size_t)(at - coco->swept));
  coco->swept = at;
  if (coco->release != NULL) coco->release(coco->context, (size_t)(at - coco->json.begin));
  coco->json.mark = coco->json.end - at > SWEEP ? at + SWEEP : coco->json.end;
}

struct coco_id_shown coco_show_id(const struct coco *coco, struct id id) {
  struct coco_id_shown shown;
  if (id.is_text) {
    snprintf(shown.string, sizeof(shown.string), "\"%s\"", text_show(coco->texts.texts[id.value]).string);
  } else {
    snprintf(shown.string, sizeof(shown.string), "%" PRId64, id.value);
  }
  return shown;
}

int coco_leave_out(struct coco *coco, enum dataset_fault fault, const struct coco_item *item, size_t offset,
                   const char *format, ...) {
  if (coco->dataset->faults[fault].count > 0) return dataset_fault(coco->dataset, fault, coco->error, "%s", "");
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  bool numbered = (item->flags & COCO_NUMBERED) != 0;
  return dataset_fault(coco->dataset, fault, coco->error, "%s%s: annotation %s%" PRId64 " %s", coco->json.name,
                       json_place(&coco->json, offset).text, numbered ? "number " : "",
                       numbered ? (int64_t)item->number : item->id, text);
}

/* ---- one object of a section ---- */

#define FIELD(literal)                                                                                                 \
  { literal, sizeof(literal) - 1 }

struct fields {
  const char *object; /* what it is called in messages */
  struct text names[FIELDS_MAX];
};

struct reading {
  const struct fields *fields;
  size_t offset; /* of the object */
  unsigned seen;
};

static int begin_object(struct json *json, struct reading *reading, const struct fields *fields) {
  *reading = (struct reading){.fields = fields, .offset = json_offset(json)};
  return json_object(json, fields->object);
}

/* The index of the next field that is known, others being skipped; FIELDS_MAX at the end of the object, -1 on error. */
static int next_field(struct json *json, struct reading *reading) {
  const struct fields *fields = reading->fields;
  struct text key;
  int more;
  while ((more = json_next_member(json, &key)) > 0) {
    int field = 0;
    while (field < FIELDS_MAX && fields->names[field].data != NULL && !text_equal(key, fields->names[field]))
      field++;
    if (field == FIELDS_MAX || fields->names[field].data == NULL) {
      if (json_skip(json) != 0) return -1;
      continue;
    }
    if ((reading->seen >> field & 1) != 0) {
      return json_fail(json, json_offset(json), "\"%s\" is given twice in %s", fields->names[field].data,
                       fields->object);
    }
    reading->seen |= 1U << field;
    return field;
  }
  return more < 0 ? -1 : FIELDS_MAX;
}

/* ---- values ---- */

/* Inlined, what is rarely needed makes what is done for every annotation a tenth slower (bench/coco_load.py). */
#define RARE __attribute__((noinline))

/* Written as a program writes an integer: not "007", not "1.0". */
static bool is_integer(struct text text, int64_t *value) {
  char copy[24] = "", again[24];
  if (text.size >= sizeof(copy)) return false;
  memcpy(copy, text.data, text.size);
  *value = strtoll(copy, NULL, 10);
  int size = snprintf(again, sizeof(again), "%" PRId64, *value);
  return text_equal(text, (struct text){again, (size_t)size});
}

/* What may stand for an id: a number, or text. A text that is a whole number is that number. 1: read; 0: something else
 * was skipped; -1: error. */
static int read_id(struct coco *coco, struct id *id) {
  struct json *json = &coco->json;
  struct text text;
  char kind = json_peek(json);
  id->is_text = false;
  if (kind == '0') {
    if (json_number_text(json, "an id", &text) != 0) return -1;
    if (json_whole(text, &id->value)) return 1;
    if (text.data[text.size - 1] > '9') return 0;
  } else if (kind == '"') {
    if (json_string(json, "an id", &text) != 0) return -1;
    if (is_integer(text, &id->value)) return 1;
  } else {
    return json_skip(json);
  }
  id->is_text = true;
  id->value = text_set_add(&coco->texts, text, &coco->dataset->arena, coco->error);
  return id->value < 0 ? -1 : 1;
}

/* The id of an image or category, without which the file cannot be understood. */
static int read_key(struct coco *coco, struct coco_key *key, const char *object) {
  size_t offset = json_offset(&coco->json);
  int read = read_id(coco, &key->id);
  if (read == 0) return json_fail(&coco->json, offset, "%s needs an id that is a number or text", object);
  return read < 0 ? -1 : 0;
}

int coco_add_key(struct coco *coco, struct coco_keys *keys, struct coco_key key) {
  void *items = keys->keys;
  int status = array_reserve(&items, &keys->capacity, keys->count + 1, sizeof(key), coco->error);
  keys->keys = items;
  if (status == 0) keys->keys[keys->count++] = key;
  return status;
}

/* Text of the file, kept. */
static const char *read_text(struct coco *coco, const char *what) {
  struct json *json = &coco->json;
  struct text text;
  size_t offset = json_offset(json);
  if (json_string(json, what, &text) != 0) return NULL;
  if (memchr(text.data, '\0', text.size) != NULL) {
    json_fail(json, offset, "a NUL (\\u0000) in %s: correct it there", what);
    return NULL;
  }
  const char *copy = arena_copy(&coco->dataset->arena, text.data, text.size);
  if (copy == NULL) error_memory(coco->error, text.size);
  return copy;
}

/* A number, or one in quotes, as some tools write them; -1 on error, else whether there was one. */
static int read_number(struct json *json, double *value) {
  char kind = json_peek(json);
  struct text text;
  if (kind == '0') return json_number(json, "a number", value) != 0 ? -1 : 1;
  if (kind != '"') return json_skip(json);
  if (json_string(json, "a number", &text) != 0) return -1;
  return text_number(text_trim(text), value);
}

/* Yes or no in any spelling; -1 on error, else whether it could be understood. */
static RARE int read_flag(struct json *json, bool *yes) {
  char kind = json_peek(json);
  double value = 0;
  *yes = kind == 't';
  if (kind == 't' || kind == 'f' || kind == 'n') return json_skip(json) != 0 ? -1 : 1;
  struct text text;
  if (kind != '"') {
    int read = read_number(json, &value);
    *yes = value != 0;
    return read;
  }
  if (json_string(json, "yes or no", &text) != 0) return -1;
  text = text_trim(text);
  static const char *const words[] = {"", "false", "no", "true", "yes"};
  for (size_t i = 0; i < COUNT_OF(words); i++) {
    if (text.size != strlen(words[i]) || strncasecmp(text.data, words[i], text.size) != 0) continue;
    *yes = i > 2;
    return 1;
  }
  int number = text_number(text, &value);
  *yes = value != 0;
  return number;
}

/* ---- categories and images ---- */

static int read_category(struct coco *coco) {
  static const struct fields fields = {"a category", {FIELD("id"), FIELD("name")}};
  struct json *json = &coco->json;
  struct reading reading;
  struct text number;
  const char *name = NULL;
  struct coco_key key = {.offset = json_offset(json)};
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    if (field < 0) return -1;
    if (field == 0) {
      if (read_key(coco, &key, fields.object) != 0) return -1;
    } else if (json_peek(json) == '0') {
      if (json_number_text(json, "a name", &number) != 0) return -1;
      if ((name = arena_copy(&coco->dataset->arena, number.data, number.size)) == NULL)
        return error_memory(coco->error, number.size);
    } else if ((name = read_text(coco, "a category's name in quotes")) == NULL) {
      return -1;
    }
  }
  if ((reading.seen & 1) == 0 || name == NULL)
    return json_fail(json, reading.offset, "a category has no \"%s\"", name == NULL ? "name" : "id");
  if (build_category(coco->dataset, key.id.value, name, coco->error) != 0) return -1;
  return coco_add_key(coco, &coco->categories, key);
}

/* A side of an image; 0, unknown, when it is anything but a whole number from 1 on. */
static int read_pixels(struct json *json, int *pixels) {
  double value = 0;
  int read = read_number(json, &value);
  *pixels = read > 0 && value >= 1 && value <= INT32_MAX && value == floor(value) ? (int)value : 0;
  return read < 0 ? -1 : 0;
}

/* Null or empty text gives NULL. A number is a name without its ending. */
static int read_name(struct coco *coco, const char **name) {
  struct text number;
  *name = NULL;
  if (json_peek(&coco->json) == '0') {
    if (json_number_text(&coco->json, "a file_name", &number) != 0) return -1;
    *name = arena_copy(&coco->dataset->arena, number.data, number.size);
    return *name == NULL ? error_memory(coco->error, number.size) : 0;
  }
  if (json_peek(&coco->json) == 'n') return json_skip(&coco->json);
  if ((*name = read_text(coco, "a file_name in quotes")) == NULL) return -1;
  if (**name == '\0') *name = NULL;
  return 0;
}

/* Of the two, the file name; safe to join with a folder. LVIS has only the address. */
static int choose_name(struct coco *coco, const char *file_name, const char *url, size_t offset, const char **name) {
  const char *written = file_name != NULL ? file_name : url;
  *name = written;
  bool plain = strpbrk(written, "\\?") == NULL && strstr(written, "://") == NULL;
  if (plain && dataset_name_safe(written)) return 0;
  if ((*name = name_relative(&coco->dataset->arena, written)) == NULL)
    return error_memory(coco->error, strlen(written));
  if (**name != '\0') return 0;
  return json_fail(&coco->json, offset, "\"%s\" names no picture", text_show(text_of(written)).string);
}

static int read_image(struct coco *coco) {
  static const struct fields fields = {
      "an image", {FIELD("id"), FIELD("file_name"), FIELD("width"), FIELD("height"), FIELD("coco_url")}};
  struct json *json = &coco->json;
  struct reading reading;
  struct dataset_image image = {0};
  const char *file_name = NULL, *url = NULL;
  struct coco_key key = {.offset = json_offset(json)};
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field, status = 0;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    switch (field) {
    case 0:
      status = read_key(coco, &key, fields.object);
      break;
    case 1:
      status = read_name(coco, &file_name);
      break;
    case 2:
      status = read_pixels(json, &image.width);
      break;
    case 3:
      status = read_pixels(json, &image.height);
      break;
    case 4:
      status = file_name != NULL ? json_skip(json) : read_name(coco, &url);
      break;
    default:
      return -1;
    }
    if (status != 0) return -1;
  }
  if ((reading.seen & 1) == 0) return json_fail(json, reading.offset, "an image has no \"id\"");
  if (file_name == NULL && url == NULL) { /* told in the end: when there are others, only this one is left out */
    if (coco->nameless++ == 0) coco->first_nameless = reading.offset;
    return 0;
  }
  if (choose_name(coco, file_name, url, reading.offset, &image.file_name) != 0) return -1;
  image.id = key.id.value;
  if (build_image(coco->dataset, &image, coco->error) != 0) return -1;
  return coco_add_key(coco, &coco->images, key);
}

/* ---- annotations ---- */

/* What an annotation lacks: told when all of it is read, since its id may come last. */
struct lack {
  enum dataset_fault fault;
  size_t offset;
  char text[96]; /* empty: nothing */
};

static void lacks(struct lack *lack, enum dataset_fault fault, size_t offset, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void lacks(struct lack *lack, enum dataset_fault fault, size_t offset, const char *format, ...) {
  va_list arguments;
  if (lack->text[0] != '\0') return; /* the first counts */
  lack->fault = fault;
  lack->offset = offset;
  va_start(arguments, format);
  vsnprintf(lack->text, sizeof(lack->text), format, arguments);
  va_end(arguments);
}

static const char *kind_name(char kind) {
  return kind == '{'   ? "an object"
         : kind == '[' ? "an array"
         : kind == '"' ? "text"
         : kind == 'n' ? "null"
         : kind == '0' ? "a number"
                       : "true or false";
}

static int read_bbox(struct json *json, double box[4], struct lack *lack) {
  size_t offset = json_offset(json);
  char kind = json_peek(json);
  size_t count = 0;
  int more;
  if (kind != '[') {
    lacks(lack, kind == 'n' ? DATASET_NO_BOX : DATASET_BAD_BOX, offset,
          "has a bbox that is %s, not [x, y, width, height]", kind_name(kind));
    return json_skip(json);
  }
  if (json_array(json, "a bbox") != 0) return -1;
  while ((more = json_next_element(json)) > 0) {
    double value = 0;
    kind = json_peek(json);
    size_t at = json_offset(json);
    int read = read_number(json, &value);
    if (read < 0) return -1;
    if (read == 0) lacks(lack, DATASET_BAD_BOX, at, "has %s in its bbox, where a number should be", kind_name(kind));
    if (count < 4) box[count] = value;
    count++;
  }
  if (count == 0) lacks(lack, DATASET_NO_BOX, offset, "has an empty bbox");
  if (count != 4) lacks(lack, DATASET_BAD_BOX, offset, "has a bbox of %zu numbers, not [x, y, width, height]", count);
  return more;
}

static int read_reference(struct coco *coco, int64_t *value, uint32_t *flags, uint32_t text_flag, struct lack *lack,
                          enum dataset_fault fault, const char *what) {
  struct id id = {0};
  size_t offset = json_offset(&coco->json);
  int read = read_id(coco, &id);
  if (read == 0) lacks(lack, fault, offset, "has %s that is neither a number nor text", what);
  *value = id.value;
  if (id.is_text) *flags |= text_flag;
  return read < 0 ? -1 : 0;
}

/* An own id that is not a whole number is as good as none. */
static int read_own_id(struct coco *coco, struct coco_item *item) {
  struct json *json = &coco->json;
  struct text text;
  if (json_peek(json) != '0') return json_skip(json);
  int64_t id;
  if (json_number_text(json, "an annotation's id", &text) != 0) return -1;
  if (!json_whole(text, &id)) return 0;
  item->id = id;
  item->flags &= ~(uint32_t)COCO_NUMBERED;
  return 0;
}

/* Makes a box of the segmentation for an annotation that lacks a bbox. */
static int use_mask(struct coco *coco, size_t segmentation, struct coco_item *item, struct lack *lack) {
  enum coco_mask mask = segmentation == 0 ? COCO_MASK_NONE : coco_mask_box(&coco->json, segmentation, item->box);
  switch (mask) {
  case COCO_MASK_POLYGON:
    if (coco->boxes == DATASET_RELATIVE || coco->boxes == DATASET_RELATIVE_XYXY) item->flags |= COCO_RELATIVE;
    lack->text[0] = '\0';
    return 0;
  case COCO_MASK_RLE:
    lack->text[0] = '\0';
    return 0;
  case COCO_MASK_BAD:
    lack->text[0] = '\0';
    lacks(lack, DATASET_BAD_BOX, segmentation,
          "has no usable bbox, and a segmentation that is neither polygons nor RLE");
    return 0;
  case COCO_MASK_NONE:
    return 0;
  default:
    return -1;
  }
}

/* Some tools write polygons or masks, and a bbox of zeros. */
static RARE int use_better_mask(struct coco *coco, size_t segmentation, struct coco_item *item) {
  struct coco_item other = *item;
  struct lack lack = {.text = ""};
  other.flags &= ~(uint32_t)COCO_RELATIVE;
  if (use_mask(coco, segmentation, &other, &lack) != 0) return -1;
  if (lack.text[0] == '\0' && other.box[2] > 0 && other.box[3] > 0) *item = other;
  return 0;
}

static int keep_annotation(struct coco *coco, const struct coco_item *item) {
  void *items = coco->items;
  int status = array_reserve(&items, &coco->item_capacity, coco->item_count + 1, sizeof(*item), coco->error);
  coco->items = items;
  if (status == 0) coco->items[coco->item_count++] = *item;
  return status;
}

enum { IMAGE_ID, CATEGORY_ID, BBOX, ID, ISCROWD, IGNORE, SEGMENTATION };

static int read_annotation(struct coco *coco) {
  static const struct fields fields = {"an annotation",
                                       {FIELD("image_id"), FIELD("category_id"), FIELD("bbox"), FIELD("id"),
                                        FIELD("iscrowd"), FIELD("ignore"), FIELD("segmentation")}};
  struct json *json = &coco->json;
  struct reading reading;
  struct lack lack, no_box; /* mostly nothing: not even cleared */
  struct coco_item item = {.number = ++coco->number, .flags = COCO_NUMBERED, .offset = json_offset(json)};
  size_t segmentation = 0;
  bool yes = false;
  item.id = item.number;
  lack.text[0] = no_box.text[0] = '\0';
  char kind = json_peek(json);
  if (item.number == INT32_MAX) return json_fail(json, item.offset, "more than %d annotations", INT32_MAX - 1);
  if (kind == 'n' || kind == '[' || kind == '"' || kind == '0' || kind == 't' || kind == 'f') {
    if (coco_leave_out(coco, DATASET_BAD_VALUE, &item, item.offset, "is %s, not an object", kind_name(kind)) != 0)
      return -1;
    return json_skip(json);
  }
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field, status = 0;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    size_t offset = json_offset(json);
    switch (field) {
    case IMAGE_ID:
      status = read_reference(coco, &item.image, &item.flags, COCO_IMAGE_TEXT, &lack, DATASET_NO_IMAGE, "an image_id");
      break;
    case CATEGORY_ID:
      status = read_reference(coco, &item.category, &item.flags, COCO_CATEGORY_TEXT, &lack, DATASET_NO_CATEGORY,
                              "a category_id");
      break;
    case BBOX:
      status = read_bbox(json, item.box, &no_box);
      break;
    case ID:
      status = read_own_id(coco, &item);
      break;
    case ISCROWD:
    case IGNORE:
      status = read_flag(json, &yes);
      if (status == 0) lacks(&lack, DATASET_BAD_VALUE, offset, "has %s that is not 0 or 1", fields.names[field].data);
      if (status >= 0 && yes) item.flags |= DATASET_CROWD;
      status = status < 0 ? -1 : 0;
      break;
    case SEGMENTATION:
      segmentation = offset;
      status = json_skip(json);
      break;
    default:
      return -1;
    }
    if (status != 0) return -1;
  }
  if ((reading.seen & 1U << IMAGE_ID) == 0) lacks(&lack, DATASET_NO_IMAGE, reading.offset, "has no image_id");
  if ((reading.seen & 1U << CATEGORY_ID) == 0) lacks(&lack, DATASET_NO_CATEGORY, reading.offset, "has no category_id");
  if ((reading.seen & 1U << BBOX) == 0) lacks(&no_box, DATASET_NO_BOX, reading.offset, "has no bbox");
  if (no_box.text[0] != '\0') {
    if (use_mask(coco, segmentation, &item, &no_box) != 0) return -1;
  } else {
    if (coco->boxes == DATASET_XYXY || coco->boxes == DATASET_RELATIVE_XYXY) {
      item.box[2] -= item.box[0];
      item.box[3] -= item.box[1];
    }
    if (coco->boxes == DATASET_RELATIVE || coco->boxes == DATASET_RELATIVE_XYXY) item.flags |= COCO_RELATIVE;
    bool area = item.box[2] > 0 && item.box[3] > 0;
    if (!area && segmentation != 0 && use_better_mask(coco, segmentation, &item) != 0) return -1;
  }
  if (lack.text[0] == '\0') lack = no_box;
  if (lack.text[0] == '\0') return keep_annotation(coco, &item);
  if (coco_leave_out(coco, lack.fault, &item, lack.offset, "%s", lack.text) != 0) return -1;
  struct coco_key image = {{item.image, (item.flags & COCO_IMAGE_TEXT) != 0}, item.offset};
  return lack.fault == DATASET_NO_IMAGE ? 0 : coco_add_key(coco, &coco->incomplete, image);
}

/* ---- the document ---- */

static int read_section(struct coco *coco, const char *what, int (*read_item)(struct coco *coco)) {
  int more;
  if (json_array(&coco->json, what) != 0) return -1;
  while ((more = json_next_element(&coco->json)) > 0) {
    if (read_item(coco) != 0) return -1;
  }
  return more;
}

static int read_document(struct coco *coco) {
  static const struct fields fields = {"the file", {FIELD("images"), FIELD("annotations"), FIELD("categories")}};
  struct json *json = &coco->json;
  struct reading reading = {.fields = &fields, .offset = json_offset(json)};
  if (json_object(json, "\"{\", the start of COCO instances JSON") != 0) return -1;
  int section, status = 0;
  while ((section = next_field(json, &reading)) < FIELDS_MAX) {
    if (section == 0) {
      status = read_section(coco, "an array of images", read_image);
    } else if (section == 1) {
      status = read_section(coco, "an array of annotations", read_annotation);
    } else if (section == 2) {
      status = json_peek(json) == 'n' ? json_skip(json) : read_section(coco, "an array of categories", read_category);
    } else {
      return -1;
    }
    if (status != 0) return -1;
  }
  if (json_finish(json) != 0) return -1;
  if ((reading.seen & 1) == 0) return json_fail(json, reading.offset, "COCO instances JSON has \"images\": not here");
  if ((reading.seen & 2) == 0) {
    return json_fail(json, reading.offset,
                     "there are \"images\" but no \"annotations\": is it the list of a test set (image_info)?");
  }
  return 0;
}

static int check_nameless(struct coco *coco) {
  static const char fault[] = "an image has no \"file_name\" and no \"coco_url\"";
  if (coco->nameless == 0) return 0;
  if (coco->dataset->image_count == 0) return json_fail(&coco->json, coco->first_nameless, "%s", fault);
  return dataset_note(coco->dataset, coco->error, "%s%s: %s: left out, as %" PRId64 " of %" PRId64 " are",
                      coco->json.name, json_place(&coco->json, coco->first_nameless).text, fault, coco->nameless,
                      coco->nameless + coco->dataset->image_count);
}

static int parse(struct coco *coco, const char *data, size_t size, const char *name) {
  json_open(&coco->json, data, size, name, coco->error);
  json_watch(&coco->json, size > SWEEP ? data + SWEEP : data + size, sweep, coco);
  coco->swept = data;
  coco->hash = XXH3_createState();
  if (coco->hash == NULL) return error_memory(coco->error, sizeof(XXH128_hash_t));
  XXH3_128bits_reset(coco->hash);
  if (read_document(coco) != 0 || check_nameless(coco) != 0) return -1;
  sweep(coco, data + size);
  coco->dataset->hash = XXH3_128bits_digest(coco->hash);
  coco->dataset->format = DATASET_COCO;
  return coco_resolve(coco);
}

int coco_parse(struct dataset *dataset, const char *data, size_t size, const char *name, enum dataset_boxes boxes,
               void (*release)(void *context, size_t offset), void *context, struct error *error) {
  struct coco coco = {.dataset = dataset, .error = error, .boxes = boxes, .release = release, .context = context};
  struct buffer utf8 = {0};
  int status = -1;
  if (text_is_utf16((struct text){data, size})) {
    if (text_from_utf16((struct text){data, size}, name, &utf8, error) != 0) goto done;
    data = (const char *)utf8.data;
    size = utf8.size;
    coco.release = NULL;
  }
  status = parse(&coco, data, size, name);
done:
  free(coco.items);
  free(coco.images.keys);
  free(coco.categories.keys);
  free(coco.incomplete.keys);
  text_set_free(&coco.texts);
  XXH3_freeState(coco.hash);
  json_close(&coco.json);
  buffer_free(&utf8);
  return status;
}
