/* core/dataset, internal: a YOLO data set while it is read: its description (yolo_yaml.c), its class names
 * (yolo_names.c), its pictures and their label files (yolo_find.c). The label files themselves are yolo_labels.c. */
#ifndef JIGSAW_CORE_DATASET_YOLO_H
#define JIGSAW_CORE_DATASET_YOLO_H

#include "core/dataset/internal.h"

/* ---- yolo_yaml.c ------------------------------------------------------------------------------------------------- */

struct yolo_entry {
  const char *split; /* "train", "val" or "test" */
  const char *path;  /* a folder or a list of pictures, as written */
};

/* What a data.yaml, or darknet's obj.data, says of the pictures and the labels. */
struct yolo_data {
  const char *path;  /* the root that it names, or NULL */
  const char *names; /* obj.data: the file of class names, or NULL */
  struct yolo_entry *entries;
  size_t entry_count, entry_capacity;
  int keypoints, dimensions; /* kpt_shape, or 0 */
};

/* The one name of a split that has several: "valid" and "validation" are "val". */
const char *yolo_split(const char *name);

/* Adds the class names (none when there are neither "names" nor "nc"), and fills `data`, whose strings are in the
 * arena. Free data->entries. */
int yolo_yaml_parse(struct dataset *dataset, struct text file, const char *name, struct arena *arena,
                    struct yolo_data *data, struct error *error);
int yolo_darknet_parse(struct text file, const char *name, struct arena *arena, struct yolo_data *data,
                       struct error *error);

/* ---- yolo_names.c ------------------------------------------------------------------------------------------------ */

/* Class names, one a line. */
int yolo_names_parse(struct dataset *dataset, struct text file, const char *name, struct error *error);

/* Reads what describes a data set: `annotations` itself, when it is a file; else the class names and the YAML that are
 * in that folder, with the labels, or in the two folders above. What was read is added to the hash. Without names there
 * are no categories. The entries of a YAML count only when it is in the folder `annotations`, or was given. */
int yolo_describe(struct dataset *dataset, const char *annotations, const char *labels, struct arena *arena,
                  struct yolo_data *data, XXH3_state_t *hash, struct error *error);

/* ---- yolo_find.c ------------------------------------------------------------------------------------------------- */

struct picture {
  const char *folder, *name; /* its path is FOLDER/NAME */
  int64_t label;             /* index into labels, or -1 */
  int width, height;         /* upright; 0 when the picture cannot be read */
};

struct label {
  const char *path;
  bool used;
  bool stray_counts; /* it is a fault when no picture has it */
};

struct yolo {
  struct dataset *dataset;
  struct error *error;
  struct arena arena;
  const char *annotations; /* as given, without final slashes */
  const char *root;        /* that, or the folder of that file */
  const char *images;      /* as given, or NULL */
  const char *split;       /* as given, or NULL */
  const char *labels;      /* the folder of labels that was found, or NULL: they are found by each picture's path */
  bool apart;              /* labels are nowhere else */
  const char *list;        /* SPLIT.txt, or NULL */
  struct yolo_data data;
  struct picture *pictures;
  size_t picture_count, picture_capacity;
  struct label *labels_found;
  size_t label_count, label_capacity;
  struct path_table stems;  /* of label files, without ".txt": index into labels_found */
  struct path_table listed; /* folders whose labels are in it */
  struct path_table known;  /* pictures */
};

const char *yolo_copy(struct yolo *yolo, struct text text); /* in the arena; NULL when memory is out */

/* The last part of a path that is called so (Images, too), or NULL; and the path with another in its place (Labels),
 * NULL also when memory is out. */
const char *yolo_find_part(const char *path, const char *part);
const char *yolo_replace_part(struct arena *arena, const char *path, const char *from, const char *to);

/* Adds the label files in a folder, once. */
int yolo_list_labels(struct yolo *yolo, const char *folder, bool recursive, bool stray_counts);

/* Unless it is there already. */
int yolo_add_picture(struct yolo *yolo, const char *folder, const char *name);

/* All pictures below a folder; with the folder of their labels, or NULL when that is to be found. */
int yolo_add_folder(struct yolo *yolo, const char *folder, const char *labels);

/* Gives each picture its label, in another letter case if need be; `*labelled` is how many have one. */
int yolo_match_labels(struct yolo *yolo, size_t *labelled);

/* For when none has: by their base names alone, where just one picture and one label have it. */
int yolo_match_bases(struct yolo *yolo, size_t *labelled);
int yolo_count_strays(struct yolo *yolo);

/* ---- yolo_lists.c ------------------------------------------------------------------------------------------------ */

/* The pictures of a list, one path a line. Such paths were often written on another machine or from another folder: as
 * many of their first parts are left out as it takes to find the picture. */
int yolo_add_list(struct yolo *yolo, const char *list);

/* The folders and lists of yolo->data that belong to the split; `*used`: how many of them are there. */
int yolo_add_entries(struct yolo *yolo, size_t *used);

#endif
