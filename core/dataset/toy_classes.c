/* The 24 classes: every shape has two textures, every texture at least two shapes, so that neither tells the class. */
#include "core/dataset/toy_internal.h"

const struct toy_class toy_classes[TOY_CATEGORIES] = {
    {1, TOY_STRIPED, TOY_FISH, "striped fish"},
    {2, TOY_DOTTED, TOY_STAR, "dotted star"},
    {3, TOY_BRICK, TOY_HOUSE, "brick house"},
    {5, TOY_CHECKERED, TOY_TOWER, "checkered tower"},
    {6, TOY_MARBLE, TOY_MUG, "marble mug"},
    {7, TOY_WOODEN, TOY_CAR, "wooden car"},
    {8, TOY_KNITTED, TOY_CACTUS, "knitted cactus"},
    {10, TOY_CHECKERED, TOY_BALLOON, "checkered balloon"},
    {11, TOY_DOTTED, TOY_CATERPILLAR, "dotted caterpillar"},
    {13, TOY_STRIPED, TOY_BOTTLE, "striped bottle"},
    {14, TOY_SCALY, TOY_TEAPOT, "scaly teapot"},
    {15, TOY_WOODEN, TOY_GEAR, "wooden gear"},
    {17, TOY_BRICK, TOY_TOWER, "brick tower"},
    {18, TOY_SCALY, TOY_FISH, "scaly fish"},
    {19, TOY_KNITTED, TOY_STAR, "knitted star"},
    {20, TOY_STRIPED, TOY_BALLOON, "striped balloon"},
    {22, TOY_CHECKERED, TOY_CAR, "checkered car"},
    {23, TOY_DOTTED, TOY_CACTUS, "dotted cactus"},
    {25, TOY_WOODEN, TOY_HOUSE, "wooden house"},
    {27, TOY_SCALY, TOY_MUG, "scaly mug"},
    {28, TOY_KNITTED, TOY_CATERPILLAR, "knitted caterpillar"},
    {31, TOY_MARBLE, TOY_BOTTLE, "marble bottle"},
    {32, TOY_DOTTED, TOY_TEAPOT, "dotted teapot"},
    {33, TOY_MARBLE, TOY_GEAR, "marble gear"},
};

/* A long tail: weight 1 / (rank + 4), so that the first class is some seven times as frequent as the last. */
static double class_weight(int rank) {
  return 1.0 / (rank + 4.0);
}

int toy_class_draw(struct rng *rng) {
  double total = 0;
  for (int i = 0; i < TOY_CATEGORIES; i++) {
    total += class_weight(i);
  }
  double left = rng_range(rng, 0, total);
  for (int i = 0; i + 1 < TOY_CATEGORIES; i++) {
    left -= class_weight(i);
    if (left < 0) {
      return i;
    }
  }
  return TOY_CATEGORIES - 1;
}
