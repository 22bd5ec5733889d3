/* nn/checkpoint - the whole state of a training run, to go on from bit by bit.
 *
 *   FOLDER/000005000.safetensors   values, "momentum:NAME" for what is trained, "state:KEY" for other arrays, and as
 *                                  metadata the iteration, a JSON object of the caller's, and the XXH3-128 of it all
 *
 * A checkpoint is written whole or not at all, and only when it is there are older ones removed: a full disk or a kill
 * at any moment leaves the last good one.
 */
#ifndef JIGSAW_NN_CHECKPOINT_H
#define JIGSAW_NN_CHECKPOINT_H

#include "nn/params.h"

struct checkpoint_array {
  const char *key;
  float *values;
  int64_t count; /* at least 1 */
};

struct checkpoint {
  int64_t iteration;
  const struct checkpoint_array *arrays; /* other state, of fixed sizes */
  size_t array_count;
};

/* Saves, and then removes all but the last `keep` checkpoints, this one included. Later ones, which a load has passed
 * by as damaged, go too, and before all else what killed runs left half written. Makes the folder when it is missing.
 * `notes` (NULL: none) is stored as it is; its text must be UTF-8. */
int checkpoint_save(const char *folder, const struct nn_params *params, const struct checkpoint *checkpoint,
                    const cJSON *notes, int keep, struct error *error);

enum checkpoint_result {
  CHECKPOINT_LOADED = 0,
  CHECKPOINT_FAILED = -1,
  CHECKPOINT_NONE = 1,    /* there is no file that could be one; nothing was changed */
  CHECKPOINT_DAMAGED = 2, /* there are, but none is whole: the error names them; nothing was changed */
};

/* Takes up the newest checkpoint that is whole, passing by damaged ones, each of which leaves a line in `skipped`.
 * Everything in it must fit: same parameters, same shapes, same arrays, else it fails. `*notes` is to be freed with
 * cJSON_Delete. What cannot be read (permissions, memory, I/O) is not damaged: that fails. */
enum checkpoint_result checkpoint_load(const char *folder, struct nn_params *params, struct checkpoint *checkpoint,
                                       cJSON **notes, struct buffer *skipped, struct error *error);

/* The path of the newest file that could be a checkpoint, unread; "" when there is none. */
int checkpoint_newest(const char *folder, char path[PATH_SIZE], struct error *error);

#endif
