/* PASCAL VOC: one XML document a picture, read with expat as a tree of the few elements that matter. */
#include "core/dataset/internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

enum { VOC_DEPTH_MAX = 64, VOC_TEXT_MAX = 4096 };

/* The elements that are read, each known by its parent, so that the boxes of a <part> are not those of an object. */
enum element {
  OTHER,
  DOCUMENT,
  ANNOTATION,
  FILENAME,
  SIZE,
  WIDTH,
  HEIGHT,
  OBJECT,
  NAME,
  DIFFICULT,
  BNDBOX,
  XMIN,
  YMIN,
  XMAX,
  YMAX
};

static const struct {
  const char *name;
  enum element parent;
} elements[] = {
    [ANNOTATION] = {"annotation", DOCUMENT},
    [FILENAME] = {"filename", ANNOTATION},
    [SIZE] = {"size", ANNOTATION},
    [WIDTH] = {"width", SIZE},
    [HEIGHT] = {"height", SIZE},
    [OBJECT] = {"object", ANNOTATION},
    [NAME] = {"name", OBJECT},
    [DIFFICULT] = {"difficult", OBJECT},
    [BNDBOX] = {"bndbox", OBJECT},
    [XMIN] = {"xmin", BNDBOX},
    [YMIN] = {"ymin", BNDBOX},
    [XMAX] = {"xmax", BNDBOX},
    [YMAX] = {"ymax", BNDBOX},
};

struct voc {
  XML_Parser parser;
  struct dataset *dataset;
  const char *name;
  struct error *error;
  bool failed;
  enum element open[VOC_DEPTH_MAX + 1]; /* open[0] is DOCUMENT */
  int depth;
  unsigned seen; /* bits of `enum element`, those of an object until it ends */
  struct buffer text;
  int32_t category;
  uint32_t flags;
  double corners[4]; /* xmin, ymin, xmax, ymax */
};

static void voc_place(const struct voc *voc, char *place, size_t size) {
  snprintf(place, size, "%s: line %lu, column %lu", voc->name, (unsigned long)XML_GetCurrentLineNumber(voc->parser),
           (unsigned long)XML_GetCurrentColumnNumber(voc->parser) + 1);
}

/* Keeps the first error and stops the parser; expat may still deliver an event or two. */
PRINTF_LIKE(2, 3) static void voc_fail(struct voc *voc, const char *format, ...) {
  char place[512], message[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  voc_place(voc, place, sizeof(place));
  if (!voc->failed) error_set(voc->error, "%s: %s", place, message);
  voc->failed = true;
  XML_StopParser(voc->parser, XML_FALSE);
}

/* The message is in the error already. */
static void voc_stop(struct voc *voc) {
  voc->failed = true;
  XML_StopParser(voc->parser, XML_FALSE);
}

static enum element find_element(enum element parent, const char *name) {
  for (enum element i = ANNOTATION; i < COUNT_OF(elements); i++) {
    if (elements[i].parent == parent && strcmp(elements[i].name, name) == 0) return i;
  }
  return OTHER;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
  struct voc *voc = context;
  (void)attributes;
  if (voc->failed) return;
  if (voc->depth == VOC_DEPTH_MAX) {
    voc_fail(voc, "elements nested more than %d deep", VOC_DEPTH_MAX);
    return;
  }
  enum element parent = voc->open[voc->depth], element = find_element(parent, name);
  if (parent == DOCUMENT && element != ANNOTATION) {
    voc_fail(voc, "expected <annotation>, found <%s>: is this PASCAL VOC?", text_show(text_of(name)).string);
    return;
  }
  voc->open[++voc->depth] = element;
  voc->text.size = 0;
  if (element == OTHER) return;
  if ((voc->seen >> element & 1) != 0) {
    voc_fail(voc, "a second <%s> in one <%s>", name, elements[parent].name);
    return;
  }
  voc->seen |= 1U << element;
  if (element == OBJECT) voc->flags = 0;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size) {
  struct voc *voc = context;
  if (voc->failed || voc->open[voc->depth] == OTHER) return;
  if (voc->text.size + (size_t)size > VOC_TEXT_MAX) {
    voc_fail(voc, "<%s> holds more than %d bytes", elements[voc->open[voc->depth]].name, VOC_TEXT_MAX);
  } else if (buffer_append(&voc->text, text, (size_t)size, voc->error) != 0) {
    voc_stop(voc);
  }
}

static void read_number(struct voc *voc, enum element element, struct text text, double *value) {
  if (!text_number(text, value)) {
    voc_fail(voc, "<%s> must be a number, not \"%s\"", elements[element].name, text_show(text).string);
  }
}

static void read_pixels(struct voc *voc, enum element element, struct text text, int *pixels) {
  double value = 0;
  read_number(voc, element, text, &value);
  if (voc->failed) return;
  if (!(value >= 0 && value <= INT32_MAX && value == floor(value))) {
    voc_fail(voc, "<%s> cannot be \"%s\"", elements[element].name, text_show(text).string);
  } else {
    *pixels = (int)value;
  }
}

static bool require(struct voc *voc, enum element object, unsigned wanted) {
  for (enum element i = ANNOTATION; i < COUNT_OF(elements); i++) {
    if ((wanted & ~voc->seen) >> i & 1) {
      voc_fail(voc, "<%s> without <%s>", elements[object].name, elements[i].name);
      return false;
    }
  }
  return true;
}

static void end_object(struct voc *voc) {
  const unsigned corners = 1U << XMIN | 1U << YMIN | 1U << XMAX | 1U << YMAX;
  const unsigned inside = 1U << OBJECT | 1U << NAME | 1U << DIFFICULT | 1U << BNDBOX | corners;
  if (!require(voc, OBJECT, 1U << NAME | 1U << BNDBOX) || !require(voc, BNDBOX, corners)) return;
  struct dataset_box box = {
      .x = voc->corners[0] - 1, /* the first pixel is 1, and the last one is inside */
      .y = voc->corners[1] - 1,
      .w = voc->corners[2] - voc->corners[0] + 1,
      .h = voc->corners[3] - voc->corners[1] + 1,
      .category = voc->category,
      .flags = voc->flags,
  };
  voc->seen &= ~inside;
  if (build_box(voc->dataset, box, voc->error) != 0) voc_stop(voc);
}

static void read_name(struct voc *voc, struct text text) {
  char place[512];
  voc_place(voc, place, sizeof(place));
  if (text.size == 0) {
    voc_fail(voc, "<name> is empty");
  } else if (build_category_named(voc->dataset, text, place, &voc->category, voc->error) != 0) {
    voc_stop(voc);
  }
}

static void read_filename(struct voc *voc, struct dataset_image *image, struct text text) {
  char place[512];
  voc_place(voc, place, sizeof(place));
  image->file_name = build_file_name(voc->dataset, text, place, voc->error);
  if (image->file_name == NULL) voc_stop(voc);
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
  struct voc *voc = context;
  (void)name;
  if (voc->failed) return;
  enum element element = voc->open[voc->depth--];
  struct text text = text_trim((struct text){(const char *)voc->text.data, voc->text.size});
  struct dataset_image *image = &voc->dataset->images[voc->dataset->image_count - 1];
  voc->text.size = 0;
  switch (element) {
  case FILENAME:
    read_filename(voc, image, text);
    break;
  case WIDTH:
    read_pixels(voc, element, text, &image->width);
    break;
  case HEIGHT:
    read_pixels(voc, element, text, &image->height);
    break;
  case NAME:
    read_name(voc, text);
    break;
  case DIFFICULT:
    if (!text_equal(text, TEXT("0")) && !text_equal(text, TEXT("1"))) {
      voc_fail(voc, "<difficult> must be 0 or 1, not \"%s\"", text_show(text).string);
    }
    voc->flags = text_equal(text, TEXT("1")) ? DATASET_DIFFICULT : 0;
    break;
  case XMIN:
  case YMIN:
  case XMAX:
  case YMAX:
    read_number(voc, element, text, &voc->corners[element - XMIN]);
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

/* The file name when the document has none: that of the document with .jpg. */
static int name_after_document(struct voc *voc) {
  const char *base = name_base(voc->name);
  char name[512];
  snprintf(name, sizeof(name), "%.*s.jpg", (int)name_stem(base), base);
  struct dataset_image *image = &voc->dataset->images[voc->dataset->image_count - 1];
  image->file_name = build_file_name(voc->dataset, text_of(name), voc->name, voc->error);
  return image->file_name == NULL ? -1 : 0;
}

/* What expat says, and what to do where it does not tell. */
static void voc_fail_xml(struct voc *voc) {
  enum XML_Error code = XML_GetErrorCode(voc->parser);
  const char *hint = "";
  switch (code) {
  case XML_ERROR_INVALID_TOKEN:
    hint = ": a character that XML does not allow there, or one that is not in the file's encoding (UTF-8 unless it "
           "declares another)";
    break;
  case XML_ERROR_UNKNOWN_ENCODING:
  case XML_ERROR_INCORRECT_ENCODING:
    hint = ": save the file as UTF-8";
    break;
  case XML_ERROR_NO_ELEMENTS:
  case XML_ERROR_UNCLOSED_TOKEN:
    hint = ": is the file cut off?";
    break;
  default:
    break;
  }
  voc_fail(voc, "%s%s", XML_ErrorString(code), hint);
}

int voc_parse(struct dataset *dataset, const char *data, size_t size, const char *name, struct error *error) {
  if (size > INT32_MAX) return error_set(error, "%s: %zu bytes are too many for an XML document", name, size);
  struct dataset_image image = {.id = dataset->image_count + 1, .file_name = ""};
  if (build_image(dataset, &image, error) != 0) return -1;
  struct voc voc = {.dataset = dataset, .name = name, .error = error, .open = {DOCUMENT}};
  voc.parser = XML_ParserCreate(NULL);
  if (voc.parser == NULL) return error_memory(error, size);
  XML_SetUserData(voc.parser, &voc);
  XML_SetElementHandler(voc.parser, on_start, on_end);
  XML_SetCharacterDataHandler(voc.parser, on_text);
  XML_SetEntityDeclHandler(voc.parser, on_entity);
  int status = XML_Parse(voc.parser, data, (int)size, XML_TRUE) == XML_STATUS_OK && !voc.failed ? 0 : -1;
  if (status != 0 && !voc.failed) voc_fail_xml(&voc);
  dataset->format = DATASET_VOC;
  if (status == 0 && (voc.seen >> FILENAME & 1) == 0) status = name_after_document(&voc);
  XML_ParserFree(voc.parser);
  buffer_free(&voc.text);
  return status;
}

/* ---- folders ---- */

static const char *const xml_suffixes[] = {".xml", NULL};

struct voc_folders {
  const char *annotations, *images, *lists;
};

/* `annotations` may be the root (with Annotations/ below it), that folder itself, or a folder of X.xml beside X.png. */
static int voc_find(struct voc_folders *folders, struct arena *arena, const char *annotations, const char *images,
                    struct error *error) {
  const char *below = path_in(arena, annotations, "Annotations", error);
  if (below == NULL) return -1;
  bool root = folder_exists(below);
  folders->annotations = root ? below : annotations;
  const char *parent = root ? annotations : path_in(arena, annotations, "..", error);
  if (parent == NULL) return -1;
  const char *pictures = path_in(arena, parent, "JPEGImages", error);
  folders->lists = path_in(arena, parent, "ImageSets/Main", error);
  if (pictures == NULL || folders->lists == NULL) return -1;
  folders->images = images != NULL ? images : folder_exists(pictures) ? pictures : folders->annotations;
  return 0;
}

/* Lines "NAME", or "NAME 1" as in the lists of one class, where -1 says that the class is not in the picture. */
static int voc_read_list(struct arena *arena, const char *path, struct buffer *file, struct name_list *list,
                         struct error *error) {
  if (file_read(file, path, error) != 0) {
    return error_context(error, "a split is read from ImageSets/Main/SPLIT.txt");
  }
  struct text rest = text_without_bom((struct text){(const char *)file->data, file->size}), line, name, column;
  for (int number = 1; text_next_line(&rest, &line); number++) {
    if (!text_next_word(&line, &name)) continue;
    if (text_next_word(&line, &column)) {
      if (text_equal(column, TEXT("-1"))) continue;
      if ((!text_equal(column, TEXT("0")) && !text_equal(column, TEXT("1"))) || line.size > 0) {
        return error_set(error, "%s:%d: expected a name and perhaps 1, 0 or -1", path, number);
      }
    }
    size_t size = name.size + sizeof(".xml");
    char *copy = arena_alloc(arena, size);
    void *names = list->names;
    if (copy == NULL) return error_memory(error, size);
    snprintf(copy, size, "%.*s.xml", (int)name.size, name.data);
    if (!utf8_valid(name.data, name.size, NULL) || !dataset_name_safe(copy)) {
      return error_set(error, "%s:%d: \"%s\" cannot be the name of a picture", path, number, text_show(name).string);
    }
    int status = array_reserve(&names, &list->capacity, list->count + 1, sizeof(*list->names), error);
    list->names = names;
    if (status != 0) return -1;
    list->names[list->count++] = copy;
  }
  return list->count > 0 ? 0 : error_set(error, "%s: the list is empty", path);
}

/* Which file the picture is: the one that <filename> names, or else one named like the document. */
static int voc_find_picture(struct dataset *dataset, const struct voc_folders *folders, const char *document,
                            struct buffer *path, struct error *error) {
  static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG", ".BMP"};
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  const char *file = path_build(path, folders->images, text_of(image->file_name), "", error);
  if (file == NULL) return -1;
  if (file_exists(file)) return 0;
  struct text stem = {document, name_stem(document)};
  for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
    if ((file = path_build(path, folders->images, stem, suffixes[i], error)) == NULL) return -1;
    if (!file_exists(file)) continue;
    const char *name = file + strlen(folders->images) + 1;
    image->file_name = build_file_name(dataset, text_of(name), folders->annotations, error);
    return image->file_name == NULL ? -1 : 0;
  }
  return 0; /* missing: whoever opens it will tell */
}

static int voc_read_documents(struct dataset *dataset, const struct voc_folders *folders, const struct name_list *list,
                              XXH3_state_t *hash, struct error *error) {
  struct buffer file = {0}, path = {0};
  int status = 0;
  for (size_t i = 0; i < list->count && status == 0; i++) {
    const char *document = path_build(&path, folders->annotations, text_of(list->names[i]), "", error);
    status = document == NULL ? -1 : file_read(&file, document, error);
    if (status != 0) break;
    XXH3_128bits_update(hash, file.data, file.size);
    status = voc_parse(dataset, (const char *)file.data, file.size, document, error);
    if (status == 0) status = voc_find_picture(dataset, folders, list->names[i], &path, error);
  }
  buffer_free(&path);
  buffer_free(&file);
  return status;
}

static int voc_list_documents(const struct voc_folders *folders, const char *split, struct arena *arena,
                              struct name_list *list, struct error *error) {
  if (split == NULL) {
    if (folder_list(folders->annotations, false, xml_suffixes, arena, list, error) != 0) return -1;
    return list->count > 0 ? 0 : error_set(error, "%s: no .xml files", folders->annotations);
  }
  struct buffer file = {0}, path = {0};
  const char *found = path_build(&path, folders->lists, text_of(split), ".txt", error);
  int status = found == NULL ? -1 : voc_read_list(arena, found, &file, list, error);
  buffer_free(&path);
  buffer_free(&file);
  return status;
}

/* Adds the categories of all documents, so that every split of a data set numbers them alike. */
static int voc_add_categories(struct dataset *dataset, const struct voc_folders *folders, struct arena *arena,
                              XXH3_state_t *hash, struct error *error) {
  struct dataset whole = {0};
  struct name_list list = {0};
  int status = voc_list_documents(folders, NULL, arena, &list, error);
  if (status == 0) status = voc_read_documents(&whole, folders, &list, hash, error);
  for (int64_t i = 0; i < whole.category_count && status == 0; i++) {
    int32_t ignored;
    status = build_category_named(dataset, text_of(whole.categories[i].name), folders->annotations, &ignored, error);
  }
  name_list_free(&list);
  dataset_free(&whole);
  return status;
}

int voc_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
             struct error *error) {
  struct voc_folders folders;
  struct arena scratch = {0};
  struct name_list list = {0};
  XXH3_state_t *hash = XXH3_createState();
  int status = -1;
  if (hash == NULL) return error_memory(error, sizeof(XXH128_hash_t));
  XXH3_128bits_reset(hash);
  if (voc_find(&folders, &scratch, annotations, images, error) != 0) goto done;
  if (voc_list_documents(&folders, split, &scratch, &list, error) != 0) goto done;
  if (voc_read_documents(dataset, &folders, &list, hash, error) != 0) goto done;
  if (split != NULL && voc_add_categories(dataset, &folders, &scratch, hash, error) != 0) goto done;
  if (build_sort_categories(dataset, error) != 0) goto done;
  dataset->hash = XXH3_128bits_digest(hash);
  status = build_folder(dataset, folders.images, error);
done:
  XXH3_freeState(hash);
  name_list_free(&list);
  arena_free(&scratch);
  return status;
}
