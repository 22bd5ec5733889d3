/* Every value gets a place in the workspace such that values which live at the same time do not overlap: the largest
 * first, each at the lowest offset that is free while it lives. */
#include <stdlib.h>
#include <string.h>

#include "nn/internal.h"

enum { VALUE_ALIGNMENT = 64 };

/* What a step may write over what it reads, where that dies with the step (nn/backend.h). */
static const struct {
  enum nn_op op;
  enum nn_slot out, in;
} overlays[] = {
    {NN_OP_NORM, NN_Y, NN_X},     {NN_OP_NORM_BACKWARD, NN_DX, NN_DY}, {NN_OP_NORM_BACKWARD, NN_DADDEND, NN_DY2},
    {NN_OP_RELU, NN_Y, NN_X},     {NN_OP_RELU_BACKWARD, NN_DX, NN_DY}, {NN_OP_ADD, NN_Y, NN_X},
    {NN_OP_ADD, NN_Y, NN_ADDEND},
};

static struct nn_value *root(struct nn_value *value) {
  while (value->under)
    value = value->under;
  return value;
}

/* An operand that stands in two slots of a step must not be overwritten while it is still read through the other. */
static bool read_once(const struct nn_step *step, const struct nn_operand *operand) {
  int reads = 0;
  for (int slot = 0; slot < NN_SLOTS; slot++)
    reads += step->in[slot] == operand;
  return reads == 1;
}

static void overlay(struct nn_program *program) {
  for (int i = 0; i < (int)program->step_count; i++) {
    const struct nn_step *step = &program->steps[i];
    for (size_t k = 0; k < COUNT_OF(overlays); k++) {
      struct nn_value *in = (struct nn_value *)step->in[overlays[k].in];
      struct nn_value *out = (struct nn_value *)step->out[overlays[k].out];
      if (step->op != overlays[k].op || !in || !out || out->under) continue;
      bool fits = in->size == out->size && in->operand.dtype == out->operand.dtype;
      bool dies = !in->external && root(in)->last == i && read_once(step, step->in[overlays[k].in]);
      if (!fits || !dies || out->first != i) continue;
      out->under = in;
      root(in)->last = out->last;
    }
  }
}

static int larger_first(const void *a, const void *b) {
  const struct nn_value *x = *(struct nn_value *const *)a, *y = *(struct nn_value *const *)b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  return x->first - y->first;
}

static int lower_first(const void *a, const void *b) {
  const struct nn_value *x = *(struct nn_value *const *)a, *y = *(struct nn_value *const *)b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* `placed` are those with an offset, `busy` is room for as many. */
static void place(struct nn_value *value, struct nn_value **placed, size_t count, struct nn_value **busy) {
  size_t busy_count = 0;
  for (size_t i = 0; i < count; i++) {
    if (placed[i]->first <= value->last && value->first <= placed[i]->last) busy[busy_count++] = placed[i];
  }
  qsort(busy, busy_count, sizeof(struct nn_value *), lower_first);
  value->offset = 0;
  for (size_t i = 0; i < busy_count && busy[i]->offset < value->offset + value->size; i++) {
    size_t end = busy[i]->offset + busy[i]->size;
    if (end > value->offset) value->offset = end;
  }
}

int nn_plan(struct nn_program *program, struct error *error) {
  size_t count = 0;
  overlay(program);
  struct nn_value **own = calloc(program->value_count * 2 + 1, sizeof(struct nn_value *));
  if (!own) return error_memory(error, program->value_count);
  for (size_t i = 0; i < program->value_count; i++) {
    struct nn_value *value = program->values[i];
    if (value->external || value->under || value->first < 0) continue;
    value->size = (value->size + VALUE_ALIGNMENT - 1) / VALUE_ALIGNMENT * VALUE_ALIGNMENT;
    own[count++] = value;
  }
  qsort(own, count, sizeof(struct nn_value *), larger_first);
  for (size_t i = 0; i < count; i++) {
    place(own[i], own, i, own + program->value_count);
    size_t end = own[i]->offset + own[i]->size;
    if (end > program->size) program->size = end;
  }
  for (size_t i = 0; i < program->value_count; i++)
    program->values[i]->offset = root(program->values[i])->offset;
  free(own);
  return nn_workspace_reserve(program->workspace, program->size, error);
}

/* ---- the workspace ----------------------------------------------------------------------------------------------- */

void nn_workspace_init(struct nn_workspace *workspace, struct nn_device *device) {
  *workspace = (struct nn_workspace){.device = device, .version = 1};
}

void nn_workspace_free(struct nn_workspace *workspace) {
  if (workspace->device) nn_device_free(workspace->device, workspace->memory);
  *workspace = (struct nn_workspace){0};
}

/* What the memory held is lost, unless there is no more of it: then everything stays as it was. */
int nn_workspace_reserve(struct nn_workspace *workspace, size_t size, struct error *error) {
  if (size <= workspace->size) return 0;
  void *memory = nn_device_allocate(workspace->device, size, error);
  if (!memory) return error_context(error, "activations and gradients; use a smaller batch or image");
  nn_device_free(workspace->device, workspace->memory);
  workspace->memory = memory;
  workspace->size = size;
  workspace->version++;
  workspace->holder = NULL;
  return 0;
}
