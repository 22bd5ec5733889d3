/* PASCAL VOC: one XML document a picture, read with expat as a tree of the few elements that matter. */
#include "core/dataset/voc.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include <expat.h>

enum { VOC_DEPTH_MAX = 64, VOC_TEXT_MAX = 4096, VOC_POINTS_MAX = 1 << 20, VOC_SIZE_MAX = 1 << 30 };

/* The elements that are read, each known by its parent, so that the boxes of a <part> are not those of an object. */
enum element {
  OTHER,
  DOCUMENT,
  ANNOTATION,
  FILENAME,
  PATH,
  SIZE,
  WIDTH,
  HEIGHT,
  OBJECT,
  NAME,
  DIFFICULT,
  DELETED,
  BNDBOX,
  XMIN,
  YMIN,
  XMAX,
  YMAX,
  ROBNDBOX,
  CENTER_X,
  CENTER_Y,
  ROTATED_W,
  ROTATED_H,
  ANGLE,
  POLYGON, /* with all that is in it */
  POINT,   /* something in a polygon */
  ELEMENTS
};

/* In any letter case. What is written differently by different tools is the same element. */
static const struct {
  const char *name;
  enum element parent, element;
} elements[] = {
    {"annotation", DOCUMENT, ANNOTATION},
    {"filename", ANNOTATION, FILENAME},
    {"path", ANNOTATION, PATH},
    {"size", ANNOTATION, SIZE},
    {"width", SIZE, WIDTH},
    {"height", SIZE, HEIGHT},
    {"objects", ANNOTATION, ANNOTATION}, /* FAIR1M */
    {"object", ANNOTATION, OBJECT},
    {"name", OBJECT, NAME},
    {"possibleresult", OBJECT, OBJECT}, /* FAIR1M */
    {"difficult", OBJECT, DIFFICULT},
    {"deleted", OBJECT, DELETED}, /* LabelMe */
    {"bndbox", OBJECT, BNDBOX},
    {"segm", OBJECT, OBJECT}, /* LabelMe's masks: <segm><box> */
    {"box", OBJECT, BNDBOX},
    {"xmin", BNDBOX, XMIN},
    {"ymin", BNDBOX, YMIN},
    {"xmax", BNDBOX, XMAX},
    {"ymax", BNDBOX, YMAX},
    {"robndbox", OBJECT, ROBNDBOX}, /* roLabelImg */
    {"cx", ROBNDBOX, CENTER_X},
    {"cy", ROBNDBOX, CENTER_Y},
    {"w", ROBNDBOX, ROTATED_W},
    {"h", ROBNDBOX, ROTATED_H},
    {"angle", ROBNDBOX, ANGLE},
    {"polygon", OBJECT, POLYGON},
    {"points", OBJECT, POLYGON},
    {"segmentation", OBJECT, POLYGON},
};

static const char *const element_names[ELEMENTS] = {
    [ANNOTATION] = "annotation",
    [FILENAME] = "filename",
    [WIDTH] = "width",
    [HEIGHT] = "height",
    [OBJECT] = "object",
    [NAME] = "name",
    [DIFFICULT] = "difficult",
    [BNDBOX] = "bndbox",
    [XMIN] = "xmin",
    [YMIN] = "ymin",
    [XMAX] = "xmax",
    [YMAX] = "ymax",
    [ROBNDBOX] = "robndbox",
    [CENTER_X] = "cx",
    [CENTER_Y] = "cy",
    [ROTATED_W] = "w",
    [ROTATED_H] = "h",
    [ANGLE] = "angle",
    [POLYGON] = "polygon",
    [POINT] = "point",
};

struct extent {
  double low, high;
};

/* An object while it is read. */
struct object {
  uint32_t flags;
  bool deleted, boxed;
  unsigned seen; /* bits of `enum element` */
  double corners[4], rotated[5];
  struct extent points[2]; /* of a polygon */
  int64_t point_count[2];
  enum dataset_fault fault;
  char problem[300]; /* the first thing that is wrong with it, with its place; empty: none */
};

struct opened {
  enum element element;
  bool passed; /* only what is in it matters: it ends without effect */
  char axis;   /* of a POINT: 'x', 'y', or 0 for numbers in pairs */
};

struct voc {
  XML_Parser parser;
  struct dataset *dataset;
  const char *name;
  long first_line; /* lines before what the parser gets */
  struct error *error;
  bool failed;        /* the document cannot be read: the message is in `broken` */
  bool out_of_memory; /* the message is in `error` */
  struct error broken;
  struct opened open[VOC_DEPTH_MAX + 1]; /* open[0] is the DOCUMENT */
  int depth;
  struct buffer text, category, filename, path;
  struct object object;
  int width, height;
};

static unsigned long voc_line(const struct voc *voc) {
  return (unsigned long)voc->first_line + XML_GetCurrentLineNumber(voc->parser);
}

/* Keeps the first reason and stops the parser; expat may still deliver an event or two. */
PRINTF_LIKE(2, 3) static void voc_fail(struct voc *voc, const char *format, ...) {
  char message[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  if (!voc->failed) error_set(&voc->broken, "%s:%lu: %s", voc->name, voc_line(voc), message);
  voc->failed = true;
  XML_StopParser(voc->parser, XML_FALSE);
}

static void voc_out_of_memory(struct voc *voc) {
  voc->failed = voc->out_of_memory = true;
  XML_StopParser(voc->parser, XML_FALSE);
}

/* The object cannot be used. */
PRINTF_LIKE(3, 4) static void object_fail(struct voc *voc, enum dataset_fault fault, const char *format, ...) {
  struct object *object = &voc->object;
  char message[200];
  if (object->problem[0] != '\0') return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  object->fault = fault;
  snprintf(object->problem, sizeof(object->problem), "%lu: %s", voc_line(voc), message);
}

/* ---- the beginning of an element ---- */

static struct opened find_element(const struct opened *parent, const char *name) {
  struct opened found = {.element = OTHER};
  if (parent->element == POLYGON || parent->element == POINT) {
    char first = (char)(name[0] | 0x20);
    found.element = POINT;
    found.axis =
        (char)((first == 'x' || first == 'y') && strspn(name + 1, "0123456789") == strlen(name + 1) ? first : 0);
    return found;
  }
  for (size_t i = 0; i < COUNT_OF(elements); i++) {
    if (elements[i].parent != parent->element || strcasecmp(elements[i].name, name) != 0) continue;
    found.element = elements[i].element;
    found.passed = found.element == parent->element;
    break;
  }
  return found;
}

static void object_begin(struct object *object) {
  *object = (struct object){0};
  for (int axis = 0; axis < 2; axis++)
    object->points[axis] = (struct extent){INFINITY, -INFINITY};
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
  struct voc *voc = context;
  (void)attributes;
  if (voc->failed) return;
  if (voc->depth == VOC_DEPTH_MAX) {
    voc_fail(voc, "elements nested more than %d deep", VOC_DEPTH_MAX);
    return;
  }
  struct opened opened = find_element(&voc->open[voc->depth], name);
  if (voc->depth == 0 && opened.element != ANNOTATION) {
    voc_fail(voc, "expected <annotation>, found <%s>: is this PASCAL VOC?", text_show(text_of(name)).string);
    return;
  }
  voc->open[++voc->depth] = opened;
  voc->text.size = 0;
  if (opened.passed || opened.element == OTHER) return;
  if (opened.element == OBJECT) object_begin(&voc->object);
  if (opened.element == NAME || opened.element >= BNDBOX) {
    bool again = opened.element < POLYGON && (voc->object.seen >> opened.element & 1) != 0;
    if (again)
      object_fail(voc, opened.element == NAME ? DATASET_BAD_VALUE : DATASET_BAD_BOX, "a second <%s> in one <object>",
                  name);
    voc->object.seen |= 1U << opened.element;
  }
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size) {
  struct voc *voc = context;
  if (voc->failed) return;
  enum element element = voc->open[voc->depth].element;
  if (element == OTHER) return;
  bool long_text = element == POLYGON || element == POINT;
  if (voc->text.size + (size_t)size > (long_text ? VOC_POINTS_MAX : VOC_TEXT_MAX)) {
    voc_fail(voc, "<%s> holds more than %d bytes", element_names[element] == NULL ? "size" : element_names[element],
             long_text ? VOC_POINTS_MAX : VOC_TEXT_MAX);
  } else if (buffer_append(&voc->text, text, (size_t)size, voc->error) != 0) {
    voc_out_of_memory(voc);
  }
}

/* ---- the end of an element ---- */

static void read_number(struct voc *voc, enum element element, struct text text, double *value) {
  if (!text_number(text, value)) {
    object_fail(voc, DATASET_BAD_BOX, "<%s> must be a number, not \"%s\"", element_names[element],
                text_show(text).string);
  }
}

/* 0, that is unknown, for anything that is no number of pixels. */
static int read_pixels(struct text text) {
  double value = 0;
  bool valid = text_number(text, &value) && value >= 1 && value <= INT32_MAX && value == floor(value);
  return valid ? (int)value : 0;
}

/* What is neither a number other than 0 nor says yes, is 0: nothing, "Unspecified", "False". */
static bool read_flag(struct text text) {
  double value;
  if (text_number(text, &value)) return value != 0;
  return (text.size == 4 && strncasecmp(text.data, "true", 4) == 0) ||
         (text.size == 3 && strncasecmp(text.data, "yes", 3) == 0);
}

static void add_point(struct object *object, int axis, double value) {
  if (value < object->points[axis].low) object->points[axis].low = value;
  if (value > object->points[axis].high) object->points[axis].high = value;
  object->point_count[axis]++;
}

/* A coordinate, or coordinates in pairs: "1,2;3,4". Other words (<username>) are no points. */
static void read_points(struct voc *voc, const struct opened *opened, struct text text) {
  struct object *object = &voc->object;
  double value;
  if (opened->axis != 0) {
    read_number(voc, POINT, text, &value);
    if (object->problem[0] == '\0') add_point(object, opened->axis == 'y', value);
    return;
  }
  for (size_t at = 0, count = 0; at < text.size; count++) {
    size_t size = 0;
    while (at + size < text.size && memchr(" \t\r\n,;()[]", text.data[at + size], 10) == NULL)
      size++;
    if (size == 0) {
      at++;
      count--;
      continue;
    }
    if (!text_number((struct text){text.data + at, size}, &value)) return;
    add_point(object, (int)(count % 2), value);
    at += size;
  }
}

static void read_name(struct voc *voc, struct text text) {
  if (text.size == 0) {
    object_fail(voc, DATASET_NO_CATEGORY, "<name> is empty");
  } else if (voc_text_broken(text)) {
    object_fail(voc, DATASET_BAD_VALUE, "<name> \"%s\" is not in the encoding of the document: save it as UTF-8",
                text_show(text).string);
  }
  voc->category.size = 0;
  if (buffer_append(&voc->category, text.data, text.size, voc->error) != 0) voc_out_of_memory(voc);
}

/* The smallest upright box around it. Angles are radians; beyond a full turn they can only be degrees. */
static struct dataset_box around_rotated(const double rotated[5]) {
  const double pi = 3.14159265358979323846;
  double angle = fabs(rotated[4]) > 2 * pi ? rotated[4] * pi / 180 : rotated[4];
  double across = fabs(cos(angle)), along = fabs(sin(angle));
  double w = rotated[2] * across + rotated[3] * along, h = rotated[2] * along + rotated[3] * across;
  return (struct dataset_box){.x = rotated[0] - w / 2, .y = rotated[1] - h / 2, .w = w, .h = h};
}

static bool seen_all(const struct object *object, enum element first, enum element last, enum element *missing) {
  for (enum element i = last + 1; i-- > first;)
    if ((object->seen >> i & 1) == 0) *missing = i;
  return *missing == OTHER;
}

/* The box of an object, from whatever says it; an object without one has a problem. */
static struct dataset_box object_box(struct voc *voc) {
  struct object *object = &voc->object;
  enum element missing = OTHER;
  if ((object->seen >> BNDBOX & 1) != 0 && seen_all(object, XMIN, YMAX, &missing)) {
    return (struct dataset_box){
        .x = object->corners[0] - 1, /* the first pixel is 1, and the last one is inside */
        .y = object->corners[1] - 1,
        .w = object->corners[2] - object->corners[0] + 1,
        .h = object->corners[3] - object->corners[1] + 1,
    };
  }
  enum element missing_rotated = OTHER;
  if ((object->seen >> ROBNDBOX & 1) != 0 && seen_all(object, CENTER_X, ROTATED_H, &missing_rotated)) {
    return around_rotated(object->rotated);
  }
  if (object->point_count[0] >= 2 && object->point_count[0] == object->point_count[1]) {
    return (struct dataset_box){.x = object->points[0].low,
                                .y = object->points[1].low,
                                .w = object->points[0].high - object->points[0].low,
                                .h = object->points[1].high - object->points[1].low};
  }
  if (missing != OTHER) {
    object_fail(voc, DATASET_BAD_BOX, "<bndbox> without <%s>", element_names[missing]);
  } else if (missing_rotated != OTHER) {
    object_fail(voc, DATASET_BAD_BOX, "<robndbox> without <%s>", element_names[missing_rotated]);
  } else if ((object->seen >> POLYGON & 1) != 0) {
    object_fail(voc, DATASET_BAD_BOX, "<polygon> without two points");
  } else {
    object_fail(voc, DATASET_NO_BOX, "<object> without <bndbox>");
  }
  return (struct dataset_box){0};
}

static void end_object(struct voc *voc) {
  struct object *object = &voc->object;
  struct dataset *dataset = voc->dataset;
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  if (object->deleted) return;
  if ((object->seen >> NAME & 1) == 0) object_fail(voc, DATASET_NO_CATEGORY, "<object> without <name>");
  struct dataset_box box = object_box(voc);
  int status;
  if (object->problem[0] != '\0') {
    image->incomplete = true;
    status = dataset_fault(dataset, object->fault, voc->error, "%s:%s", voc->name, object->problem);
  } else {
    char place[512];
    struct text name = {(const char *)voc->category.data, voc->category.size};
    snprintf(place, sizeof(place), "%s:%lu", voc->name, voc_line(voc));
    box.flags = object->flags;
    status = build_category_named(dataset, name, place, &box.category, voc->error);
    if (status == 0) status = build_box(dataset, box, voc->error);
  }
  if (status != 0) voc_out_of_memory(voc);
}

/* The first of several that is not empty. */
static void read_file_name(struct voc *voc, struct buffer *name, struct text text) {
  if (name->size == 0 && buffer_append(name, text.data, text.size, voc->error) != 0) voc_out_of_memory(voc);
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
  struct voc *voc = context;
  (void)name;
  if (voc->failed) return;
  struct opened opened = voc->open[voc->depth--];
  struct text text = text_trim((struct text){(const char *)voc->text.data, voc->text.size});
  voc->text.size = 0;
  if (opened.passed) return;
  switch (opened.element) {
  case FILENAME:
    read_file_name(voc, &voc->filename, text);
    break;
  case PATH:
    read_file_name(voc, &voc->path, text);
    break;
  case WIDTH:
    voc->width = read_pixels(text);
    break;
  case HEIGHT:
    voc->height = read_pixels(text);
    break;
  case NAME:
    read_name(voc, text);
    break;
  case DIFFICULT:
    voc->object.flags = read_flag(text) ? DATASET_DIFFICULT : 0;
    break;
  case DELETED:
    voc->object.deleted = read_flag(text);
    break;
  case XMIN:
  case YMIN:
  case XMAX:
  case YMAX:
    read_number(voc, opened.element, text, &voc->object.corners[opened.element - XMIN]);
    break;
  case CENTER_X:
  case CENTER_Y:
  case ROTATED_W:
  case ROTATED_H:
  case ANGLE:
    read_number(voc, opened.element, text, &voc->object.rotated[opened.element - CENTER_X]);
    break;
  case POLYGON:
  case POINT:
    read_points(voc, &opened, text);
    break;
  case OBJECT:
    end_object(voc);
    break;
  default:
    break;
  }
}

/* Entities can make a small file endless, and no VOC file has any. */
static void XMLCALL on_entity(void *context, const XML_Char *entity, int parameter, const XML_Char *value, int size,
                              const XML_Char *base, const XML_Char *system, const XML_Char *public,
                              const XML_Char *notation) {
  (void)parameter, (void)value, (void)size, (void)base, (void)system, (void)public, (void)notation;
  struct voc *voc = context;
  voc_fail(voc, "declares the entity \"%s\": remove its document type", text_show(text_of(entity)).string);
}

/* ---- a document ---- */

/* The name of the picture: as written, or its last part where that leaves the folder; else that of the document. */
static int name_picture(struct voc *voc) {
  struct dataset *dataset = voc->dataset;
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  const struct buffer *const written[] = {&voc->filename, &voc->path};
  for (size_t i = 0; i < COUNT_OF(written) && image->file_name == NULL; i++) {
    struct text text = {(const char *)written[i]->data, written[i]->size};
    if (text.size == 0 || voc_text_broken(text)) continue;
    const char *name = path_clean(&dataset->arena, text, voc->error);
    if (name == NULL) return -1;
    if (i > 0 || !dataset_name_safe(name)) name = name_base(name);
    if (dataset_name_safe(name)) image->file_name = name;
  }
  if (image->file_name != NULL) return 0;
  const char *base = name_base(voc->name);
  char name[512];
  snprintf(name, sizeof(name), "%.*s.jpg", (int)name_stem(base), base);
  image->file_name = build_file_name(dataset, text_of(name), voc->name, voc->error);
  return image->file_name == NULL ? -1 : 0;
}

/* What expat says, and what to do where it does not tell. */
static void voc_fail_xml(struct voc *voc) {
  enum XML_Error code = XML_GetErrorCode(voc->parser);
  bool cut = code == XML_ERROR_NO_ELEMENTS || code == XML_ERROR_UNCLOSED_TOKEN;
  voc_fail(voc, "%s%s", XML_ErrorString(code),
           cut                               ? ": is the file cut off?"
           : code == XML_ERROR_INVALID_TOKEN ? ": a character that XML does not allow there"
                                             : "");
}

/* 0: read, 1: not well-formed, -1: memory is out. */
static int parse_once(struct voc *voc, struct text document) {
  struct dataset_image image = {.id = voc->dataset->image_count + 1};
  voc->failed = false;
  voc->depth = voc->width = voc->height = 0;
  voc->filename.size = voc->path.size = 0;
  voc->open[0] = (struct opened){.element = DOCUMENT};
  if (build_image(voc->dataset, &image, voc->error) != 0) return -1;
  voc->parser = XML_ParserCreate("UTF-8");
  if (voc->parser == NULL) return error_memory(voc->error, document.size);
  XML_SetUserData(voc->parser, voc);
  XML_SetElementHandler(voc->parser, on_start, on_end);
  XML_SetCharacterDataHandler(voc->parser, on_text);
  XML_SetEntityDeclHandler(voc->parser, on_entity);
  bool read = XML_Parse(voc->parser, document.data, (int)document.size, XML_TRUE) == XML_STATUS_OK && !voc->failed;
  if (!read && !voc->failed) voc_fail_xml(voc);
  XML_ParserFree(voc->parser);
  if (voc->out_of_memory) return -1;
  if (!read) return 1;
  struct dataset_image *last = &voc->dataset->images[voc->dataset->image_count - 1];
  last->width = voc->width;
  last->height = voc->height;
  return 0;
}

/* What a data set was before a document. */
struct mark {
  int64_t images, boxes, categories;
  struct dataset_fault_count faults[DATASET_FAULTS];
};

static void go_back(struct dataset *dataset, const struct mark *mark) {
  dataset->image_count = mark->images;
  dataset->box_count = mark->boxes;
  if (dataset->category_count > mark->categories) build_drop_categories(dataset, mark->categories);
  memcpy(dataset->faults, mark->faults, sizeof(mark->faults));
}

int voc_parse(struct dataset *dataset, const char *data, size_t size, const char *name, struct error *error) {
  struct voc voc = {.dataset = dataset, .name = name, .error = error};
  struct mark mark = {dataset->image_count, dataset->box_count, dataset->category_count, {{0}}};
  struct buffer utf8 = {0}, mended = {0};
  struct text document = {"", 0};
  memcpy(mark.faults, dataset->faults, sizeof(mark.faults));
  dataset->format = DATASET_VOC;
  int status = 1;
  if (size > VOC_SIZE_MAX) {
    error_set(&voc.broken, "%s: %zu bytes are too many for an XML document", name, size);
  } else if (voc_text_decode((struct text){data, size}, &utf8, &document, &voc.first_line, &voc.broken) != 0) {
    if (!voc.broken.machine) error_context(&voc.broken, "%s", name);
  } else {
    status = parse_once(&voc, document);
    if (status > 0) { /* perhaps a small fault; if not, what was said first is said */
      struct error first = voc.broken;
      go_back(dataset, &mark);
      status = voc_text_mend(document, &mended, error);
      if (status == 0) status = parse_once(&voc, (struct text){(const char *)mended.data, mended.size});
      voc.broken = first;
    }
  }
  if (voc.broken.machine) {
    *error = voc.broken;
    status = -1;
  }
  if (status == 0) status = name_picture(&voc);
  if (status == 0) status = build_drop_repeated(dataset, name, error);
  if (status > 0) {
    go_back(dataset, &mark);
    status = dataset_fault(dataset, DATASET_BAD_FILE, error, "%s", voc.broken.message);
  }
  buffer_free(&voc.text);
  buffer_free(&voc.category);
  buffer_free(&voc.filename);
  buffer_free(&voc.path);
  buffer_free(&utf8);
  buffer_free(&mended);
  return status;
}

/* ---- a data set ---- */

static int read_documents(struct dataset *dataset, struct voc_set *set, const struct name_list *list,
                          XXH3_state_t *hash, struct error *error) {
  struct buffer file = {0}, path = {0};
  int status = 0;
  for (size_t i = 0; i < list->count && status == 0; i++) {
    const char *document = path_build(&path, set->annotations, text_of(list->names[i]), "", error);
    int64_t images = dataset->image_count;
    status = document == NULL ? -1 : file_read(&file, document, error);
    if (status != 0) break;
    XXH3_128bits_update(hash, file.data, file.size);
    status = voc_parse(dataset, (const char *)file.data, file.size, document, error);
    if (status == 0 && dataset->image_count > images) status = voc_set_picture(set, dataset, list->names[i], error);
  }
  buffer_free(&path);
  buffer_free(&file);
  return status;
}

/* Adds the categories of all documents, so that every split of a data set numbers them alike. */
static int add_categories(struct dataset *dataset, struct voc_set *set, XXH3_state_t *hash, struct error *error) {
  struct dataset whole = {0};
  int status = read_documents(&whole, set, &set->documents, hash, error);
  for (int64_t i = 0; i < whole.category_count && status == 0; i++) {
    int32_t ignored;
    status = build_category_named(dataset, text_of(whole.categories[i].name), set->annotations, &ignored, error);
  }
  dataset_free(&whole);
  return status;
}

int voc_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
             struct error *error) {
  struct voc_set set;
  struct name_list list = {0};
  XXH3_state_t *hash = XXH3_createState();
  if (hash == NULL) return error_memory(error, sizeof(XXH128_hash_t));
  XXH3_128bits_reset(hash);
  int status = voc_set_open(&set, dataset, annotations, images, error);
  if (status == 0) status = voc_set_list(&set, dataset, split, &list, error);
  if (status == 0) status = read_documents(dataset, &set, &list, hash, error);
  if (status == 0 && split != NULL) status = add_categories(dataset, &set, hash, error);
  if (status == 0) status = build_sort_categories(dataset, error);
  if (status == 0) dataset->hash = XXH3_128bits_digest(hash);
  XXH3_freeState(hash);
  name_list_free(&list);
  voc_set_close(&set);
  return status;
}
