/* core/toy - the built-in scenes, which need no download. Nothing of ours needs them but tests and demos. */
#ifndef JIGSAW_CORE_TOY_H
#define JIGSAW_CORE_TOY_H

#include "core/base/base.h"

/* Renders `count` scenes (same seed, same bytes) as FOLDER/images/NNNNNN.jpg and FOLDER/annotations/instances.json
 * (COCO, file_name relative to FOLDER/images). TOY_CATEGORIES classes told apart by shape and texture together, some
 * square, some tall, some wide, with clutter, occlusion, lighting and scale variation. */
#define TOY_CATEGORIES 24
int toy_write(const char *folder, int64_t count, uint64_t seed, int workers, struct progress *progress,
              struct error *error);

#endif
