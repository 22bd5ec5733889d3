/* jigsaw/rect_tree - whether a rectangle meets any of many. Building sorts them along a Z-shaped curve and bounds them
 * in groups of eight, those again, and so on, so that a question asks few of them, whatever their sizes. */
#ifndef JIGSAW_JIGSAW_RECT_TREE_H
#define JIGSAW_JIGSAW_RECT_TREE_H

#include "core/image/image.h"

enum { RECT_TREE_LEVELS = 22 }; /* 8^22 > 2^64 */

/* Memory is kept from one use to the next. Zero it to begin, free with rect_tree_free. */
struct rect_tree {
  struct rect_entry *entries; /* the rectangles */
  size_t count, capacity;
  struct rect_bound *bounds; /* of groups, level after level; the last is of all */
  size_t bound_capacity;
  int level_count;                 /* 0: holds nothing, or is not built */
  size_t starts[RECT_TREE_LEVELS]; /* of each level in bounds */
};

void rect_tree_clear(struct rect_tree *tree);

/* Coordinates are 0 or more; an empty rectangle meets nothing and is passed over. */
int rect_tree_add(struct rect_tree *tree, struct rect rect, struct error *error);

/* After the last rectangle, before the first question. */
int rect_tree_build(struct rect_tree *tree, struct error *error);
bool rect_tree_meets(const struct rect_tree *tree, struct rect rect);
void rect_tree_free(struct rect_tree *tree);

#endif
