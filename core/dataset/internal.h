/* core/dataset, internal: what the readers share. */
#ifndef JIGSAW_CORE_DATASET_INTERNAL_H
#define JIGSAW_CORE_DATASET_INTERNAL_H

#include <string.h>

#include "core/dataset/dataset.h"
#include "core/image/image.h"

/* ---- text.c: pieces of a file that is somewhere in memory -------------------------------------------------------- */

struct text {
  const char *data; /* not NUL-terminated */
  size_t size;
};

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

struct text text_of(const char *string);

static inline bool text_equal(struct text a, struct text b) {
  return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

struct text text_trim(struct text text);        /* without ASCII white space around it */
struct text text_without_bom(struct text text); /* without UTF-8's byte order mark */

/* Take the next line (trimmed) or word off the front of `rest`; false when there is none. */
bool text_next_line(struct text *rest, struct text *line);
bool text_next_word(struct text *rest, struct text *word);

/* Commas separate its fields: no decimal commas in a line of words. */
bool text_has_commas_between(struct text line);

/* For messages: quotes, backslashes and what is not harmless (utf8_harmless) as \xNN, cut to fit. */
struct text_shown {
  char string[160];
};
struct text_shown text_show(struct text text);

/* UTF-16 with a byte order mark, or text that begins with two ASCII characters in it; as UTF-8, in a buffer. */
bool text_is_utf16(struct text text);
int text_from_utf16(struct text text, const char *name, struct buffer *utf8, struct error *error);

size_t utf8_put(uint8_t *out, uint32_t code); /* its bytes, up to 4 */

/* A decimal number as a person or program may write it ("1", "-.5", "2e3", "nan", "Infinity"), whatever the locale, to
 * the nearest double. False when the text is anything else. */
bool text_number(struct text text, double *value);

/* The same for what is already known to be sign, digits, point and exponent. decimal_integer is false when the value is
 * not a whole number or does not fit; 12.0 and 1e3 are whole. */
double decimal_value(struct text text);
bool decimal_integer(struct text text, int64_t *value);

/* ---- build.c: data sets that grow -------------------------------------------------------------------------------- */

/* Copies text that came out of a file; `source` is "FILE: byte 12" or "FILE:3" for messages. The file name must be safe
 * to join with the image folder. Both refuse NUL, and bytes that are not UTF-8. */
const char *build_name(struct dataset *dataset, struct text name, const char *source, struct error *error);
const char *build_file_name(struct dataset *dataset, struct text name, const char *source, struct error *error);

int build_category(struct dataset *dataset, int64_t id, const char *name, struct error *error);
int build_image(struct dataset *dataset, const struct dataset_image *image, struct error *error);
int build_box(struct dataset *dataset, struct dataset_box box,
              struct error *error); /* of the last image; sets the id */

/* Leaves out boxes of the last image that are the same as an earlier one, class included: counted as DATASET_REPEATED,
 * of the file `source`. */
int build_drop_repeated(struct dataset *dataset, const char *source, struct error *error);

/* Names the pictures' folder, for all images that have none yet. */
int build_folder(struct dataset *dataset, const char *folder, struct error *error);

/* The index of a category by its name, added when it is new. */
int build_category_named(struct dataset *dataset, struct text name, const char *source, int32_t *category,
                         struct error *error);

/* Takes back categories that came after the first `count`; no box may have them. */
void build_drop_categories(struct dataset *dataset, int64_t count);

/* Orders categories by the bytes of their names, ids being the positions. */
int build_sort_categories(struct dataset *dataset, struct error *error);

/* An id in a file: a whole number of 64 bits; or any other text, by its number in a text_set. */
struct id {
  int64_t value;
  bool is_text;
};

/* Where an id stands in a list. The seed keeps a hostile file from choosing ids that collide: take it from the hash of
 * the whole file. */
struct id_table {
  struct id_slot *slots;
  size_t mask;
  uint64_t seed;
};

int id_table_open(struct id_table *table, int64_t count, uint64_t seed, struct error *error);
/* Add an id, and find one: its position. One that is there already keeps the position that it has; -1: not there. */
int64_t id_table_add(struct id_table *table, struct id id, int64_t position);
int64_t id_table_find(const struct id_table *table, struct id id);
void id_table_close(struct id_table *table);

/* ---- path_table.c ------------------------------------------------------------------------------------------------ */

/* Paths, each with a number of 0 or more. A zeroed struct is an empty table. */
struct path_table {
  struct path_slot *slots;
  size_t mask, count;
};

/* Adds a path, which must live as long as the table; one that is there already keeps its number. */
int path_table_add(struct path_table *table, struct text path, int64_t value, struct error *error);
int64_t path_table_find(const struct path_table *table, struct text path); /* its number, or -1 */
void path_table_free(struct path_table *table);

/* Texts, each once, numbered from 0 in the order of their coming. A zeroed struct is an empty set. */
struct text_set {
  struct text *texts; /* each with a NUL behind it, in the arena */
  uint32_t *slots;    /* number + 1; 0: free */
  size_t count, capacity, mask;
  uint64_t seed;
};

/* Its number, or -1 when memory is out. */
int64_t text_set_add(struct text_set *set, struct text text, struct arena *arena, struct error *error);
void text_set_free(struct text_set *set);

/* ---- name.c ------------------------------------------------------------------------------------------------------ */

/* What is left of a picture's name when it is to be looked for below some folder, in the arena. "C:\\a\\b.jpg",
 * "/a/b.jpg", "../a/b.jpg", "http://host/a/b.jpg?size=2" and Label Studio's "/data/local-files/?d=a%2Fb.jpg" are all
 * "a/b.jpg". Empty when nothing is left; NULL when memory is out. */
const char *name_relative(struct arena *arena, const char *written);

/* ---- fault.c ----------------------------------------------------------------------------------------------------- */

/* Counts an annotation that is left out, and keeps the message when it is the first of its reason. */
int dataset_fault(struct dataset *dataset, enum dataset_fault fault, struct error *error, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* Fails when more than ten, or all, and more than max_percent were left out. */
int dataset_check_faults(const struct dataset *dataset, const char *name, double max_percent, struct error *error);

/* ---- folder.c ---------------------------------------------------------------------------------------------------- */

extern const char *const picture_suffixes[]; /* lower case, NULL-terminated */

/* Whether a name ends in one of the suffixes, in upper or lower case. */
bool name_has_suffix(const char *name, const char *const *suffixes);

struct name_list {
  char **names; /* free names itself; the strings are in the arena */
  size_t count, capacity;
};

/* The files below `folder` that end in one of the suffixes, relative to it, sorted by bytes; hidden ones and
 * folders that hold a run.json (what our tools make) are left out. A name that is not UTF-8 is an error. */
int folder_list(const char *folder, bool recursive, const char *const *suffixes, struct arena *arena,
                struct name_list *list, struct error *error);
void name_list_free(struct name_list *list);

bool folder_exists(const char *path);

/* FOLDER/STEM+SUFFIX in a buffer that is used again and again; NULL when memory is out. */
const char *path_build(struct buffer *path, const char *folder, struct text stem, const char *suffix,
                       struct error *error);
char *path_in(struct arena *arena, const char *folder, const char *name, struct error *error); /* path_join, checked */

size_t name_stem(const char *name);        /* length without the suffix */
const char *name_base(const char *path);   /* what follows the last slash */
struct text name_folder(const char *path); /* what is before it; "/" for what lies at the root */

/* A copy in the arena with slashes for backslashes, and without ".", empty parts and final slashes. */
const char *path_clean(struct arena *arena, struct text written, struct error *error);
const char *path_without(const char *path, size_t parts); /* what follows the first so many parts */

/* ---- tree.c ------------------------------------------------------------------------------------------------------ */

/* The pictures below a folder, by their endings, found by listing folders alone. Hidden names, names that are not
 * UTF-8, what our tools made, and folders that may not be read are passed over. */
struct tree_folder {
  const char *path; /* below the root, which is "" */
  size_t parent;
  bool linked; /* reached through a symbolic link */
  int depth;
  uint64_t device, inode;
};

struct tree {
  struct tree_folder *folders; /* the root first, parents before what is in them */
  struct tree_file {
    const char *name;
    size_t folder;
  } * files;
  size_t folder_count, file_count, folder_capacity, file_capacity;
  int64_t entries_left;
  struct arena arena;
};

/* Stops after `entries_max` names of any kind: a search is a help, and must not take for ever. */
int tree_read(struct tree *tree, const char *root, int depth_max, int64_t entries_max, struct error *error);
void tree_free(struct tree *tree);

/* ---- picture_match.c --------------------------------------------------------------------------------------------- */

struct picture_match {
  const char *wanted; /* as in the annotations */
  const char *path;   /* below the tree's root, in its arena; NULL: nothing fits */
  bool ambiguous;     /* several fit equally */
  bool deeper;        /* in a folder that `wanted` does not mention */
};

/* Looks for pictures by base name, whatever their letter case, Unicode form, separators, %-encoding and ending. Folders
 * that both names have must agree. Where a base name is in several folders, names alone prove nothing, and none is
 * taken from a deeper folder. */
int picture_match_all(struct tree *tree, struct picture_match *matches, size_t count, struct error *error);

/* The folder of the tree that holds most of the base names, and how many; NULL when none does, or on error. */
const char *picture_best_folder(struct tree *tree, const struct picture_match *wanted, size_t count, size_t *hits,
                                struct error *error);

/* ---- probe.c ----------------------------------------------------------------------------------------------------- */

/* Reads the header of an image's picture. What is wrong with the picture makes it unknown; only the machine's faults
 * fail. */
int picture_probe(const struct dataset_image *image, struct image_info *info, bool *known, struct error *error);

/* ---- scale.c ----------------------------------------------------------------------------------------------------- */

/* Makes DATASET_PARTS boxes pixels, by the sizes of the pictures as stored; NaN where a picture cannot be read. */
int scale_parts(struct dataset *dataset, int workers, struct error *error);

/* ---- classes.c --------------------------------------------------------------------------------------------------- */

/* Makes categories of one name one. Within `source` that is worth a note; NULL: among joined sources it is what was
 * asked for, but ids may clash. */
int classes_unite(struct dataset *dataset, const char *source, struct error *error);

/* ---- coco_find.c ------------------------------------------------------------------------------------------------- */

/* Sets *file to the COCO file in a folder, NULL when there is none: instances_SPLIT.json before another instances*.json
 * of that split, Roboflow's _annotations.coco.json, and any .json of that split with COCO in it; the less deep the
 * better. Several that are as good are an error. */
int coco_find(struct arena *arena, const char *folder, const char *split, const char **file, struct error *error);

/* The folder of the pictures of a COCO file that was read: the first of those that usually have them in which one of
 * the first pictures lies. NULL on error. */
const char *coco_find_images(struct dataset *dataset, const char *file, struct error *error);

/* ---- recognise.c ------------------------------------------------------------------------------------------------- */

/* What a file is that is none of ours, and what to do with it, from its first bytes and its name; NULL: unknown. */
const char *recognise(struct text head, const char *name);

bool name_is_note(const char *name); /* README, LICENSE, requirements.txt */

/* 1: it looks like COCO instances JSON. 0: no. -1: error. */
int recognise_coco(const char *folder, const char *name, struct error *error);

/* After a failure to read `path` (of a folder: files of the format): puts in the place of the message what it is, if
 * that is known. */
void recognise_explain(const char *path, enum dataset_format format, struct error *error);

/* ---- voc.c, yolo.c ----------------------------------------------------------------------------------------------- */

int voc_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
             struct error *error);
int yolo_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
              struct error *error);

#endif
