#include "jigsaw/rect_tree.h"

#include <stdlib.h>

enum { GROUP = 8 };

/* [x0, x1) x [y0, y1) */
struct rect_bound {
  int x0, y0, x1, y1;
};

struct rect_entry {
  struct rect_bound bound;
  uint64_t place; /* of the middle along the curve */
};

void rect_tree_clear(struct rect_tree *tree) {
  tree->count = 0;
  tree->level_count = 0;
}

/* Every bit of a 32-bit number moved to twice its place. */
static uint64_t spread(uint32_t bits) {
  uint64_t wide = bits;
  wide = (wide | wide << 16) & UINT64_C(0x0000ffff0000ffff);
  wide = (wide | wide << 8) & UINT64_C(0x00ff00ff00ff00ff);
  wide = (wide | wide << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  wide = (wide | wide << 2) & UINT64_C(0x3333333333333333);
  return (wide | wide << 1) & UINT64_C(0x5555555555555555);
}

int rect_tree_add(struct rect_tree *tree, struct rect rect, struct error *error) {
  if (rect.w <= 0 || rect.h <= 0) return 0;
  void *entries = tree->entries;
  if (array_reserve(&entries, &tree->capacity, tree->count + 1, sizeof *tree->entries, error)) return -1;
  tree->entries = entries;
  uint32_t x = (uint32_t)(rect.x + rect.w / 2), y = (uint32_t)(rect.y + rect.h / 2);
  tree->entries[tree->count++] = (struct rect_entry){
      .bound = {rect.x, rect.y, rect.x + rect.w, rect.y + rect.h},
      .place = spread(x) | spread(y) << 1,
  };
  return 0;
}

static int compare_places(const void *a, const void *b) {
  uint64_t x = ((const struct rect_entry *)a)->place, y = ((const struct rect_entry *)b)->place;
  return x < y ? -1 : x > y;
}

static struct rect_bound join(struct rect_bound a, struct rect_bound b) {
  return (struct rect_bound){
      .x0 = a.x0 < b.x0 ? a.x0 : b.x0,
      .y0 = a.y0 < b.y0 ? a.y0 : b.y0,
      .x1 = a.x1 > b.x1 ? a.x1 : b.x1,
      .y1 = a.y1 > b.y1 ? a.y1 : b.y1,
  };
}

static size_t groups_of(size_t items) {
  return (items + GROUP - 1) / GROUP;
}

/* Items of a level's groups: rectangles on the lowest, else the groups of the level below. */
static size_t items_of(const struct rect_tree *tree, int level) {
  return level == 0 ? tree->count : tree->starts[level] - tree->starts[level - 1];
}

static struct rect_bound item_bound(const struct rect_tree *tree, int level, size_t item) {
  return level == 0 ? tree->entries[item].bound : tree->bounds[tree->starts[level - 1] + item];
}

static int reserve_bounds(struct rect_tree *tree, struct error *error) {
  size_t total = 0;
  for (size_t groups = groups_of(tree->count); groups > 0; groups = groups > 1 ? groups_of(groups) : 0)
    total += groups;
  void *bounds = tree->bounds;
  int result = array_reserve(&bounds, &tree->bound_capacity, total, sizeof *tree->bounds, error);
  tree->bounds = bounds;
  return result;
}

int rect_tree_build(struct rect_tree *tree, struct error *error) {
  tree->level_count = 0;
  if (tree->count == 0) return 0;
  if (reserve_bounds(tree, error)) return -1;
  qsort(tree->entries, tree->count, sizeof *tree->entries, compare_places);
  size_t start = 0, items = tree->count;
  do {
    int level = tree->level_count++;
    tree->starts[level] = start;
    for (size_t i = 0; i < items; i++) {
      struct rect_bound item = item_bound(tree, level, i), *group = &tree->bounds[start + i / GROUP];
      *group = i % GROUP ? join(*group, item) : item;
    }
    items = groups_of(items);
    start += items;
  } while (items > 1);
  return 0;
}

static bool overlap(struct rect_bound a, struct rect_bound b) {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

static bool group_meets(const struct rect_tree *tree, int level, size_t group, struct rect_bound wanted) {
  if (!overlap(tree->bounds[tree->starts[level] + group], wanted)) return false;
  size_t first = group * GROUP, last = first + GROUP, items = items_of(tree, level);
  if (last > items) last = items;
  for (size_t i = first; i < last; i++) {
    if (level == 0 ? overlap(tree->entries[i].bound, wanted) : group_meets(tree, level - 1, i, wanted)) return true;
  }
  return false;
}

bool rect_tree_meets(const struct rect_tree *tree, struct rect rect) {
  if (tree->level_count == 0 || rect.w <= 0 || rect.h <= 0) return false;
  struct rect_bound wanted = {rect.x, rect.y, rect.x + rect.w, rect.y + rect.h};
  return group_meets(tree, tree->level_count - 1, 0, wanted);
}

void rect_tree_free(struct rect_tree *tree) {
  free(tree->entries);
  free(tree->bounds);
  *tree = (struct rect_tree){0};
}
