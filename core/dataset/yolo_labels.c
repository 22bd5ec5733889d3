/* YOLO label files: one object a line, relative to the picture. A line is a class and a box, or a box and what some
 * tools write behind it, or a polygon; which of them cannot always be told from the line alone. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

enum { NUMBERED_CLASSES_MAX = 10000, CORNERS_OF_A_ROTATED_BOX = 8, LIKELY = 3 };

struct extent {
  double low, high;
};

static void extent_add(struct extent *extent, double value) {
  if (isnan(value)) *extent = (struct extent){NAN, NAN};
  if (value < extent->low) extent->low = value;
  if (value > extent->high) extent->high = value;
}

/* The numbers after the class, and what they could be. */
struct shape {
  int64_t count;
  double box[4]; /* the first of them: center, width and height if it is a box */
  double last;
  struct extent polygon[2];
  struct extent before;    /* the horizontal one without the last number, when that is the confidence */
  struct extent points[2]; /* of what follows the box, in pairs; points 0 0 are not there */
  bool visible;            /* of three numbers behind the box each third is 0, 1 or 2 */
};

static void shape_add(struct shape *shape, double value) {
  int64_t at = shape->count++;
  int axis = (int)(at % 2);
  shape->last = value;
  if (axis == 0) shape->before = shape->polygon[0];
  extent_add(&shape->polygon[axis], value);
  if (at < 4) {
    shape->box[at] = value;
    return;
  }
  if (value != 0) extent_add(&shape->points[axis], value);
  if ((at - 4) % 3 == 2) shape->visible &= value == 0 || value == 1 || value == 2;
}

static struct extent shape_side(const struct shape *shape, int axis) {
  double middle = shape->box[axis], half = shape->box[axis + 2] / 2;
  return (struct extent){middle - half, middle + half};
}

/* Whether the first four numbers are a box of the picture, with all points in it if `around`. */
static bool shape_begins_with_box(const struct shape *shape, bool around) {
  const double slack = 0.01;
  for (int axis = 0; axis < 2; axis++) {
    struct extent side = shape_side(shape, axis), points = shape->points[axis];
    if (!(side.high > side.low && side.low >= -slack && side.high <= 1 + slack)) return false;
    if (around && !(points.low >= side.low - slack && points.high <= side.high + slack)) return false;
  }
  return true;
}

static void collect_evidence(struct yolo_form *form, const struct shape *shape) {
  bool six = shape->count == 6, whole = shape->last >= 1 && shape->last == floor(shape->last);
  form->lines++;
  form->varied |= form->lines > 1 && form->numbers != shape->count;
  form->numbers = shape->count;
  form->odd += shape->count % 2;
  form->boxed += shape_begins_with_box(shape, false);
  form->scored += shape->count % 2 != 0 && shape->last >= 0 && shape->last <= 1;
  form->flagged += (shape->count - 4) % 3 == 0 && shape->visible && shape_begins_with_box(shape, false);
  form->around += shape->count % 2 == 0 && shape_begins_with_box(shape, true);
  form->tracked += six && whole;
  form->beyond += six && whole && shape->last > 1;
}

/* Polygons rarely have as many corners each, never begin with a box that holds all their other corners throughout, and
 * never have 0, 1 or 2 at each third place; four corners are rotated boxes. */
enum yolo_lines yolo_form_decide(const struct yolo_form *form) {
  bool same = form->lines > 0 && !form->varied;
  if (form->lines == 0) return YOLO_POLYGONS;
  if (same && form->tracked == form->lines && form->beyond > 0) return YOLO_TRACKS;
  if (form->flagged == form->lines) return YOLO_KEYPOINTS_3;
  if (same && form->around == form->lines && form->lines >= LIKELY && form->numbers != CORNERS_OF_A_ROTATED_BOX) {
    return YOLO_KEYPOINTS_2;
  }
  bool keypoints = same && ((form->numbers - 4) % 3 == 0 || form->boxed == form->lines);
  return !keypoints && form->scored == form->lines ? YOLO_SCORED_POLYGONS : YOLO_POLYGONS;
}

/* ---- one line ---- */

struct reading {
  struct dataset *dataset;
  struct yolo_form *form;
  const char *name;
  long long line;
  struct error *error;
};

PRINTF_LIKE(3, 4)
static int leave_out(const struct reading *reading, enum dataset_fault fault, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  reading->dataset->images[reading->dataset->image_count - 1].incomplete = true;
  return dataset_fault(reading->dataset, fault, reading->error, "%s:%lld: %s", reading->name, reading->line, text);
}

enum shape_kind { SHAPE_BAD, SHAPE_BOX, SHAPE_POLYGON, SHAPE_SCORED_POLYGON };

/* With and without a confidence behind it. */
static bool counts(int64_t count, int64_t wanted) {
  return count == wanted || count == wanted + 1;
}

static enum shape_kind shape_kind(const struct yolo_form *form, const struct shape *shape) {
  int64_t count = shape->count;
  if (count == 4 || (count == 5 && ((shape->last >= 0 && shape->last <= 1) ||
                                    (shape->last > 1 && shape->last == floor(shape->last))))) {
    return SHAPE_BOX; /* behind it a confidence or the number of a track */
  }
  if (form->keypoints > 0)
    return counts(count, 4 + (int64_t)form->keypoints * form->dimensions) ? SHAPE_BOX : SHAPE_BAD;
  if (count < 6) return SHAPE_BAD;
  if (form->lines_are == YOLO_SCORED_POLYGONS) return SHAPE_SCORED_POLYGON;
  if (form->lines_are != YOLO_POLYGONS) return SHAPE_BOX;
  return count % 2 == 0 ? SHAPE_POLYGON : SHAPE_BAD;
}

static int refuse_shape(struct reading *reading, const struct shape *shape) {
  const struct yolo_form *form = reading->form;
  if (form->keypoints > 0) {
    return leave_out(reading, DATASET_BAD_BOX,
                     "%" PRId64 " numbers after the class; with kpt_shape [%d, %d] there are 4, or %" PRId64,
                     shape->count, form->keypoints, form->dimensions, 4 + (int64_t)form->keypoints * form->dimensions);
  }
  if (shape->count == 5) {
    return leave_out(reading, DATASET_BAD_BOX,
                     "the fifth number %g is no confidence (0 .. 1): write rotated boxes as their four corners",
                     shape->last);
  }
  return leave_out(
      reading, DATASET_BAD_BOX,
      "%" PRId64
      " numbers after the class; a box has 4 (center x, center y, width, height) and perhaps a confidence, a "
      "polygon 6 or more in pairs; for keypoints write kpt_shape: [number, 2 or 3] into data.yaml",
      shape->count);
}

/* The class of that name; -1: none. */
static int32_t find_class(const struct dataset *dataset, struct text name) {
  for (int32_t i = 0; i < dataset->category_count; i++)
    if (text_equal(name, text_of(dataset->categories[i].name))) return i;
  return -1;
}

/* Whether the line's class is there, or can be made; it is left out if not. Before more than a box a name is a label of
 * another tool, as KITTI's. */
static int read_class(struct reading *reading, struct text word, bool boxed, int32_t *category) {
  struct dataset *dataset = reading->dataset;
  double value;
  *category = -1;
  bool numbered = reading->form->numbered;
  if (!text_number(word, &value)) {
    if (!numbered && boxed) *category = find_class(dataset, word);
    if (*category >= 0) return 0;
    return leave_out(reading, DATASET_BAD_VALUE, "class \"%s\" is not a number, nor in a list of names (classes.txt)",
                     text_show(word).string);
  }
  int64_t classes = numbered ? NUMBERED_CLASSES_MAX : dataset->category_count;
  if (!(value >= 0 && value < (double)classes && value == floor(value))) {
    return leave_out(reading, DATASET_NO_CATEGORY,
                     "class %s is not one of 0 .. %" PRId64 ": does the list of names belong to these labels%s?",
                     text_show(word).string, classes - 1, value == (double)classes ? ", or do they count from 1" : "");
  }
  while (dataset->category_count <= (int64_t)value) {
    char name[32];
    snprintf(name, sizeof(name), "class %" PRId64, dataset->category_count);
    const char *copy = build_name(dataset, text_of(name), reading->name, reading->error);
    if (copy == NULL || build_category(dataset, dataset->category_count, copy, reading->error) != 0) return -1;
  }
  *category = (int32_t)value;
  return 0;
}

/* A class and a box, perhaps a confidence, with commas between; other tools' lines of commas have more. */
static bool is_comma_line(struct text line) {
  size_t commas = 0;
  for (size_t i = 0; i + 1 < line.size; i++)
    commas += line.data[i] == ',';
  return (commas == 4 || commas == 5) && text_has_commas_between(line);
}

static bool next_word(struct text *rest, bool commas, struct text *word) {
  if (!commas) return text_next_word(rest, word);
  const char *comma = memchr(rest->data, ',', rest->size);
  size_t size = comma == NULL ? rest->size : (size_t)(comma - rest->data), taken = size + (comma != NULL);
  *word = text_trim((struct text){rest->data, size});
  *rest = (struct text){rest->data + taken, rest->size - taken};
  return taken > 0;
}

static size_t count_words(struct text rest, bool commas) {
  struct text word;
  size_t count = 0;
  while (next_word(&rest, commas, &word))
    count++;
  return count;
}

static int read_line(struct reading *reading, struct text line) {
  bool commas = is_comma_line(line);
  struct shape shape = {.visible = true};
  struct text word;
  int32_t category;
  for (int axis = 0; axis < 2; axis++)
    shape.polygon[axis] = shape.points[axis] = (struct extent){INFINITY, -INFINITY};
  next_word(&line, commas, &word);
  if (read_class(reading, word, count_words(line, commas) <= 6, &category) != 0) return -1;
  if (category < 0) return 0;
  while (next_word(&line, commas, &word)) {
    double value;
    if (!text_number(word, &value)) {
      bool decimal = memchr(word.data, ',', word.size) != NULL;
      return leave_out(reading, DATASET_BAD_VALUE, "\"%s\" is not a number%s", text_show(word).string,
                       decimal ? ": write a point for a decimal comma" : "");
    }
    shape_add(&shape, value);
  }
  if (shape.count >= 6) collect_evidence(reading->form, &shape);
  enum shape_kind kind = shape_kind(reading->form, &shape);
  if (kind == SHAPE_BAD) return refuse_shape(reading, &shape);
  if (kind == SHAPE_SCORED_POLYGON) shape.polygon[0] = shape.before;
  struct extent x = kind == SHAPE_BOX ? shape_side(&shape, 0) : shape.polygon[0];
  struct extent y = kind == SHAPE_BOX ? shape_side(&shape, 1) : shape.polygon[1];
  const struct dataset_image *image = &reading->dataset->images[reading->dataset->image_count - 1];
  bool sized = image->width > 0 && image->height > 0;
  double width = sized ? image->width : NAN, height = sized ? image->height : NAN;
  struct dataset_box box = {.x = x.low * width,
                            .y = y.low * height,
                            .w = (x.high - x.low) * width,
                            .h = (y.high - y.low) * height,
                            .category = category};
  return build_box(reading->dataset, box, reading->error);
}

/* ---- a file ---- */

int yolo_parse(struct dataset *dataset, const char *data, size_t size, const char *name,
               const struct dataset_image *picture, struct yolo_form *form, struct error *error) {
  if (!dataset_name_safe(picture->file_name)) {
    return error_set(error, "%s: unsafe file name \"%s\"", name, text_show(text_of(picture->file_name)).string);
  }
  if (build_image(dataset, picture, error) != 0) return -1;
  dataset->images[dataset->image_count - 1].id = dataset->image_count;
  dataset->format = DATASET_YOLO;
  struct reading reading = {dataset, form, name, 0, error};
  struct buffer utf8 = {0};
  struct text rest = text_without_bom((struct text){data, size}), line;
  struct error broken = {0};
  int status = 0;
  if (text_is_utf16(rest)) {
    bool converted = text_from_utf16(rest, name, &utf8, &broken) == 0;
    rest = converted ? (struct text){(const char *)utf8.data, utf8.size} : TEXT("\0");
    if (broken.machine) {
      *error = broken;
      status = -1;
    }
  }
  if (status == 0 && rest.size > 0 && memchr(rest.data, '\0', rest.size) != NULL) {
    dataset->images[dataset->image_count - 1].incomplete = true;
    status = dataset_fault(dataset, DATASET_BAD_FILE, error, "%s: binary data, no lines of text", name);
    rest.size = 0;
  }
  while (status == 0 && text_next_line(&rest, &line)) {
    reading.line++;
    if (line.size > 0) status = read_line(&reading, line);
  }
  if (status == 0) status = build_drop_repeated(dataset, name, error);
  buffer_free(&utf8);
  return status;
}
