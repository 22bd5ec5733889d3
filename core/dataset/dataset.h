/* core/dataset - detection data sets as one structure, whatever they were: COCO instances JSON, PASCAL VOC XML, YOLO
 * text files.
 *
 * Readers keep every box as it stands in the file, broken ones too (empty, outside the image, NaN), so that whoever
 * uses the boxes can count what it leaves out. An annotation that cannot be used at all is left out and counted by its
 * reason, up to a limit, and no background may be cut from its picture (incomplete). What makes the file as a whole
 * doubtful is an error: malformed syntax, ids that stand for two things, names that are not UTF-8. Messages name the
 * file and the line (the byte, too, where lines are long) and say what to do; files of other tools are called by their
 * names.
 */
#ifndef JIGSAW_CORE_DATASET_H
#define JIGSAW_CORE_DATASET_H

#include "core/base/base.h"

struct dataset_category {
  int64_t id; /* as in the file: sparse, any start, 0 included. VOC, YOLO: position in the list of names; COCO, when
               * an id is no whole number of 64 bits: position, from 1 */
  const char *name;
};

/* DATASET_IGNORED: of a class that the user wants left out; like a crowd region it is no object and no background.
 * DATASET_PARTS: in parts of the picture's sides, since the annotations do not say how large it is;
 * dataset_find_pictures makes it pixels. */
enum { DATASET_CROWD = 1, DATASET_DIFFICULT = 2, DATASET_IGNORED = 4, DATASET_PARTS = 8 };

struct dataset_box {
  int64_t id;        /* annotation id; VOC, YOLO, or where COCO has none of its own: position, from 1 */
  double x, y, w, h; /* pixels, top-left corner and size, as written: may be NaN, infinite, negative or outside */
  int32_t category;  /* index into categories; -1 if DATASET_IGNORED */
  uint32_t flags;    /* DATASET_CROWD, DATASET_DIFFICULT, DATASET_IGNORED */
};

struct dataset_image {
  int64_t id;            /* COCO: as in the file, if all are whole numbers of 64 bits; else position, from 1 */
  const char *file_name; /* relative to `folder`, safe to join with it */
  const char *folder;    /* the image folder; shared by all images of a source */
  int width, height;     /* as annotated; 0 when the annotations do not say */
  int32_t set;           /* which of several joined sources it is from, 1, 2, ...; 0: there is only one */
  int32_t box_count;
  int64_t first_box; /* boxes of an image are contiguous and in file order */
  bool upright;      /* boxes are on the picture as its EXIF orientation turns it (YOLO), not as it is stored */
  bool incomplete;   /* something annotated in it could not be read, and may lie anywhere: no part is background */
};

/* Why an annotation was left out by a reader. */
enum dataset_fault {
  DATASET_NO_BOX,      /* no bbox, nor a polygon or mask to make one of */
  DATASET_BAD_BOX,     /* a bbox of the wrong type or length */
  DATASET_NO_IMAGE,    /* its image is not listed, or is not there */
  DATASET_NO_CATEGORY, /* its category is not listed */
  DATASET_BAD_VALUE,   /* anything else in it is of the wrong type */
  DATASET_BAD_FILE,    /* a whole document or label file that cannot be read */
  DATASET_STRAY,       /* a label file that belongs to no picture */
  DATASET_REPEATED,    /* the same class and box again in the same image: harmless, not part of dataset_fault_total */
  DATASET_RENAMED,     /* a document that names another picture than the one it lies with: not part of it either */
  DATASET_FAULTS
};
extern const char *const dataset_fault_names[DATASET_FAULTS]; /* after "annotations": "without a box", ... */

struct dataset_fault_count {
  int64_t count;
  const char *first; /* the first, with its place: "FILE:12: annotation 7 has no bbox"; in the data set's arena */
};

enum dataset_format { DATASET_AUTO, DATASET_COCO, DATASET_VOC, DATASET_YOLO };

struct dataset {
  enum dataset_format format;
  struct dataset_category *categories;
  struct dataset_image *images; /* file order (COCO), split or name order (VOC, YOLO) */
  struct dataset_box *boxes;
  int64_t category_count, image_count, box_count;
  XXH128_hash_t hash;                                /* XXH3-128 over the annotation bytes; see the readers */
  struct arena arena;                                /* names */
  struct dataset_fault_count faults[DATASET_FAULTS]; /* what was left out while reading */
  const char **notes;                                /* what else a user should know, a line each */
  size_t note_count, note_capacity;
  size_t category_capacity, image_capacity, box_capacity; /* private to the readers, as is the table of names: */
  int32_t *named;                                         /* categories by the hash of their names, -1: free */
  size_t named_mask;                                      /* slots - 1 */
  int64_t named_count;                                    /* how many of the categories are in it */
};

/* What the numbers of a COCO bbox are. */
enum dataset_boxes {
  DATASET_XYWH,          /* COCO's: corner and size in pixels */
  DATASET_XYXY,          /* two corners in pixels */
  DATASET_RELATIVE,      /* corner and size as parts of the image's sides, 0 .. 1 */
  DATASET_RELATIVE_XYXY, /* two corners, in such parts */
};

struct dataset_options {
  int format;                 /* enum dataset_format */
  int boxes;                  /* enum dataset_boxes */
  const char *split;          /* NULL: everything */
  double max_bad_annotations; /* percent that may be left out, ten in any case; 0: none at all */
};

struct dataset_options dataset_defaults(void);

/* Reads `annotations` with the pictures in `images`. `options` may be NULL.
 *   format  DATASET_AUTO: a file is YOLO by its name (.yaml, .data, .txt) or else COCO, by its name (.json) or its
 *           looks. A folder with *.xml, there or in Annotations/, is VOC; one with instances_SPLIT.json,
 *           instances*.json, Roboflow's _annotations.coco.json or one JSON file that looks like COCO, there or deeper,
 *           is COCO; with labels/ or a *.yaml it is YOLO; with *.xml deeper VOC, with *.txt YOLO.
 *   images  may be NULL. COCO: the split's folder or images/, beside or below the file's folder, that folder itself, or
 *           data/, JPEGImages/, imgs/: the first that holds one of the first pictures. VOC: JPEGImages, images and what
 *           else people call it beside the documents, or the documents' own folders. YOLO: what the YAML says; or
 *           labels -> images, the folder beside the labels that has pictures of their names, or the labels' own.
 *   split   NULL: everything. "val", "valid" and "validation" are the same. COCO: picks instances_SPLIT.json, or the
 *           file with SPLIT in its name or folder. VOC: SPLIT.txt in ImageSets/Main, ImageSets or the root, of which
 *           lines "NAME -1" (the class is not in the picture) are left out, or the documents in folders of that name;
 *           the categories are those of all documents beside, so that every split numbers them alike. YOLO: the YAML's
 *           entries; or labels/SPLIT and images/SPLIT, SPLIT/labels and SPLIT/images, or the list SPLIT.txt.
 * Paths in lists and YAMLs that do not exist, as they are of another machine, are tried without their first parts.
 * Nothing is looked at in the pictures but, for YOLO, their size; nor need they exist. */
int dataset_load(struct dataset *dataset, const char *annotations, const char *images,
                 const struct dataset_options *options, struct error *error);
void dataset_free(struct dataset *dataset);

/* Adds a note: one line, control characters as "?", cut to 1023 bytes. */
int dataset_note(struct dataset *dataset, struct error *error, const char *format, ...) PRINTF_LIKE(3, 4);

/* How many annotations were left out while reading; and whether what has a fault is used all the same, or once already.
 */
int64_t dataset_fault_total(const struct dataset *dataset);
bool dataset_fault_harmless(int fault);

/* ---- several sources as one: join.c ---- */

struct dataset_source {
  const char *annotations, *images, *split; /* as in dataset_load and its options */
  enum dataset_format format;               /* what it was; set by dataset_load_all */
};

/* Loads each source and makes one data set of them. Classes of one name are one class, also within a source, with the
 * first one's id; where ids clash between sources, all classes get new ones, from 1. Ids of images and boxes are kept,
 * and may occur once in each source: image->set and image->id together tell an image. Notes say what was in each source
 * and what was made one. The hash is over the sources' hashes in order; of a single source it is that source's. */
int dataset_load_all(struct dataset *dataset, struct dataset_source *sources, size_t count,
                     const struct dataset_options *options, struct error *error);

/* ---- choosing classes: classes.c ---- */

/* Renames classes ("old=new,old=new" in each item), which may make several one; and leaves out those that are named
 * ("name,name" in each item; as they stand in the annotations): their boxes become DATASET_IGNORED. A name that no
 * class has is an error. Afterwards a note names classes that differ only in case or spacing. */
int dataset_choose_classes(struct dataset *dataset, const struct option_list *ignore, const struct option_list *rename,
                           struct error *error);

/* ---- where the pictures are: pictures.c ---- */

/* Looks for every picture, before any is opened. One that is missing is searched for below its folder, by base name,
 * whatever the letter case, Unicode form, separators, %-encoding and ending; what is found without doubt becomes the
 * image's file_name, and a note says so. Notes also name pictures that are listed twice.
 *
 * Fails when all, or more than `max_missing` percent, are missing, with the folder that seems to hold them, looked for
 * around the image folder and the annotations; with a negative max_missing that becomes a note. `hash` is over the
 * names and sizes of all files. Boxes that are DATASET_PARTS become pixels. */
int dataset_find_pictures(struct dataset *dataset, const struct dataset_source *sources, int workers,
                          double max_missing, XXH128_hash_t *hash, struct error *error);

/* ---- whether the boxes can be right: plausible.c ---- */

/* Looks at all boxes of each source, which were read as `as`, against the sizes of their images; where the annotations
 * do not say, against those of the first hundred pictures. Fails when most boxes are implausible, with what they look
 * like and which `boxes` option would fit; with `sure` that becomes a note. */
int dataset_check_boxes(struct dataset *dataset, const struct dataset_source *sources, enum dataset_boxes as, bool sure,
                        struct error *error);

/* ---- the parsers ---- */

/* On memory; `name` is for messages. The data set is zeroed by the caller before the first call, and freed
 * by the caller also after a failure. */

/* One COCO file, in UTF-8 or UTF-16.
 *   ids    of images and categories are whole numbers or any text; "7" is 7. One that is listed again with the same
 *          name is DATASET_REPEATED, with another name an error. Annotations need none: one that has no whole number
 * has its position, from 1, and where two are the same, all have. names  An image has its file_name, or the path of its
 * coco_url; name_relative makes either safe. Categories that are listed nowhere are called by their ids. boxes  What
 * the numbers of a bbox mean; they may be in quotes. Without bbox, the box is around the segmentation: polygons or a
 * run-length mask. flags  iscrowd or ignore, 1 or true: DATASET_CROWD. NaN and infinities may stand for any number: in
 * boxes they are kept. A width or height that is no whole number from 1 on is unknown. Calls `release(context,
 * offset)`, when given, now and then to say that bytes before `offset` are done with, so that a mapped file need not
 * stay resident; they are read again for a message. Sets the hash, which is over the file (as UTF-8). */
int coco_parse(struct dataset *dataset, const char *data, size_t size, const char *name, enum dataset_boxes boxes,
               void (*release)(void *context, size_t offset), void *context, struct error *error);

/* One VOC XML document: appends an image and its boxes, and categories not yet known. PASCAL's corners are pixels that
 * count from 1 and lie inside the box, so x = xmin - 1, y = ymin - 1, w = xmax - xmin + 1, h = ymax - ymin + 1.
 * Polygons and rotated boxes stand for the box around them. The image is named as <filename> says, without folders that
 * lead elsewhere; without one like the document, with .jpg. Encodings other than XML's are known, and a bare "&" is
 * taken as it is. What is not well-formed, declares an entity or is no <annotation> counts as DATASET_BAD_FILE and
 * leaves nothing.
 *
 * dataset_load looks for the picture that is named like the document, then for the one that <filename> names; when
 * there is neither, the image keeps <filename>; when both are there, that is DATASET_RENAMED. It sorts the categories
 * by the bytes of their names, so that ids do not depend on the order of the files. The hash is over the documents. */
int voc_parse(struct dataset *dataset, const char *data, size_t size, const char *name, struct error *error);

/* What lines of six numbers or more after the class are. */
enum yolo_lines {
  YOLO_POLYGONS,        /* x1 y1 x2 y2 x3 y3 ...: their bounding box counts */
  YOLO_SCORED_POLYGONS, /* the same and a confidence */
  YOLO_TRACKS,          /* a box, its confidence and the number of a track */
  YOLO_KEYPOINTS_2,     /* a box and keypoints x y */
  YOLO_KEYPOINTS_3,     /* a box and keypoints x y v, v being 0, 1 or 2 */
};

/* How the label files of a data set are read, and what was seen in them. */
struct yolo_form {
  int keypoints, dimensions; /* kpt_shape, when it is known: the lines are boxes with that many keypoints */
  bool numbered;             /* there are no class names: "class 0", "class 1", ... are added as they come */
  enum yolo_lines lines_are; /* when kpt_shape is not known */
  /* Of lines with six numbers or more: how many there were, how many numbers the last one had, whether that differed;
   * how many lines had an odd count, could end with a confidence, could begin with a box, could be keypoints of three
   * numbers or of two, could end with the number of a track, and with one beyond 1. */
  int64_t lines, numbers;
  bool varied;
  int64_t odd, scored, boxed, flagged, around, tracked, beyond;
};

/* What all lines that were seen agree with. */
enum yolo_lines yolo_form_decide(const struct yolo_form *form);

/* One YOLO label file for `picture`: "class cx cy w h" per line, relative to the picture, perhaps with a confidence; or
 * what `form` says, which also learns what was seen. Appends the image and its boxes; the categories must be there
 * unless they are numbered. Lines that cannot be used are counted as faults. A picture of 0 x 0, that is of unknown
 * size, makes boxes of NaN. UTF-16 is read as well.
 *
 * dataset_load takes sizes from the pictures, upright (turned by EXIF orientation); one that cannot be read is 0 x 0. A
 * picture without label file has no boxes; a label file without picture is a fault (but in a folder that pictures and
 * labels share, other .txt files are passed over). Labels of X.jpg are X.txt or X.jpg.txt, in any letter case; they lie
 * in the folder of labels, or where the last images/ of the picture's path is replaced by labels/, or beside it. Class
 * names are in classes.txt, obj.names, the only *.names, or a YAML, in `annotations`, with the labels, or in the two
 * folders above; without any, classes are numbered. Folders that hold a run.json, which our tools made, are no part of
 * the data set. The hash is over the class file, then each file name, its NUL and its labels. */
int yolo_parse(struct dataset *dataset, const char *data, size_t size, const char *name,
               const struct dataset_image *picture, struct yolo_form *form, struct error *error);

/* Where the image's picture is: FOLDER/FILE_NAME. */
int dataset_image_path(const struct dataset_image *image, char path[PATH_SIZE], struct error *error);

/* False when joining `name` to a folder could leave it or names no file: absolute (also "C:/"), a part "..", empty,
 * ending in a slash. Backslashes count as slashes, since they are on some systems. */
bool dataset_name_safe(const char *name);

#endif
