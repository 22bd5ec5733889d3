/* core/dataset, internal: VOC documents (voc.c), their text (voc_text.c), their folders and pictures (voc_find.c). */
#ifndef JIGSAW_CORE_DATASET_VOC_H
#define JIGSAW_CORE_DATASET_VOC_H

#include "core/dataset/internal.h"

/* ---- voc_text.c: documents as people's tools write them, for a parser that takes well-formed UTF-8 --------------- */

/* A document as UTF-8, from UTF-16 or the encoding that it declares, without what is before its first "<". `*lines` is
 * how many lines that was. Bytes that mean nothing in that encoding become U+FFFD. Uses `utf8` where bytes change. */
int voc_text_decode(struct text file, struct buffer *utf8, struct text *document, long *lines, struct error *error);

/* What makes it well-formed more often: "&amp;" for a "&" that begins no entity, blanks for control characters, U+FFFD
 * for bytes that are not UTF-8. */
int voc_text_mend(struct text document, struct buffer *mended, struct error *error);

/* Whether there is a U+FFFD in it. */
bool voc_text_broken(struct text text);

/* ---- voc_find.c -------------------------------------------------------------------------------------------------- */

enum { VOC_PLACES_MAX = 64, VOC_ROOTS_MAX = 24 };

/* A folder that may hold pictures: FOLDER/BELOW, of which BELOW becomes part of the file names. */
struct voc_place {
  const char *folder, *below, *path;
};

struct voc_set {
  struct arena arena;
  const char *annotations, *parent; /* the documents, and the folder that has them and the pictures */
  const char *images;               /* as given, or NULL */
  const char *roots[VOC_ROOTS_MAX]; /* folders that may hold pictures */
  size_t root_count;
  struct name_list documents;         /* relative to `annotations` */
  struct path_table by_name, by_base; /* the documents without ".xml", with folders and without */
  struct path_table ambiguous;        /* base names of several */
  struct path_table listed, pictures; /* folders whose pictures are in the second, by name and by stem */
  struct name_list names;             /* of the pictures */
  const char *places_of;              /* the folder of documents whose places these are */
  struct voc_place places[VOC_PLACES_MAX];
  size_t place_count;
};

/* Folders that become part of images are in the arena of `dataset`. */
int voc_set_open(struct voc_set *set, struct dataset *dataset, const char *annotations, const char *images,
                 struct error *error);
void voc_set_close(struct voc_set *set);

/* The documents of a split, or all: relative to set->annotations. Free list->names. Entries of a list that are not
 * there are counted. */
int voc_set_list(struct voc_set *set, struct dataset *dataset, const char *split, struct name_list *list,
                 struct error *error);

/* Sets folder and file name of the last image, which was read from a document. */
int voc_set_picture(struct voc_set *set, struct dataset *dataset, const char *document, struct error *error);

#endif
