#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"

enum { PARAM_ALIGNMENT = 16 /* floats: a cache line */ };

void nn_params_init(struct nn_params *params) {
  *params = (struct nn_params){.version = 1};
}

static void free_blocks(struct nn_params *params) {
  if (!params->device) return;
  nn_device_free(params->device, params->values);
  nn_device_free(params->device, params->gradients);
  nn_device_free(params->device, params->momenta);
  params->values = params->gradients = params->momenta = NULL;
}

void nn_params_free(struct nn_params *params) {
  free_blocks(params);
  free(params->items);
  arena_free(&params->arena);
  *params = (struct nn_params){0};
}

struct nn_param *nn_params_find(const struct nn_params *params, const char *name) {
  for (size_t i = 0; i < params->count; i++) {
    if (!strcmp(params->items[i]->name, name)) return params->items[i];
  }
  return NULL;
}

static bool trained_role(enum nn_role role) {
  return role != NN_NORM_MEAN && role != NN_NORM_VARIANCE && role != NN_NORM_BATCHES;
}

/* A second declaration must agree with the first. */
static struct nn_param *check_same(struct nn_param *param, enum nn_role role, int rank, const int64_t dims[],
                                   struct error *error) {
  bool same = param->role == role && param->rank == rank;
  for (int i = 0; same && i < rank; i++)
    same = param->dims[i] == dims[i];
  if (same) return param;
  error_set(error, "parameter '%s' is declared twice with different shapes or roles", param->name);
  return NULL;
}

struct nn_param *nn_params_declare(struct nn_params *params, const char *name, enum nn_role role, int rank,
                                   const int64_t dims[], struct nn_initial initial, struct error *error) {
  struct nn_param *param = nn_params_find(params, name);
  if (param) return check_same(param, role, rank, dims, error);
  if (params->values) {
    error_set(error, "parameter '%s' is declared after the model got its memory", name);
    return NULL;
  }
  param = arena_alloc(&params->arena, sizeof *param);
  char *copy = arena_copy(&params->arena, name, strlen(name));
  if (!param || !copy) {
    error_memory(error, sizeof *param);
    return NULL;
  }
  *param = (struct nn_param){.name = copy,
                             .role = role,
                             .rank = rank,
                             .count = 1,
                             .offset = params->elements,
                             .initial = initial,
                             .trainable = trained_role(role)};
  for (int i = 0; i < rank; i++) {
    param->dims[i] = dims[i];
    if (dims[i] < 1 || param->count > ((int64_t)1 << 40) / dims[i]) {
      error_set(error, "parameter '%s' has an impossible shape", name);
      return NULL;
    }
    param->count *= dims[i];
  }
  if (array_reserve((void **)&params->items, &params->capacity, params->count + 1, sizeof(struct nn_param *), error)) {
    return NULL;
  }
  params->items[params->count++] = param;
  params->elements += (param->count + PARAM_ALIGNMENT - 1) / PARAM_ALIGNMENT * PARAM_ALIGNMENT;
  return param;
}

int64_t nn_params_trainable(const struct nn_params *params) {
  int64_t elements = 0;
  for (size_t i = 0; i < params->count; i++) {
    if (params->items[i]->trainable) elements += params->items[i]->count;
  }
  return elements;
}

size_t nn_params_freeze(struct nn_params *params, const char *prefix) {
  size_t frozen = 0;
  for (size_t i = 0; i < params->count; i++) {
    struct nn_param *param = params->items[i];
    if (strncmp(param->name, prefix, strlen(prefix)) != 0 || !param->trainable) continue;
    param->trainable = false;
    frozen++;
  }
  return frozen;
}

int nn_params_allocate(struct nn_params *params, struct nn_device *device, bool training, struct error *error) {
  if (params->values) return error_set(error, "the model has its memory already");
  size_t size = (size_t)params->elements * sizeof(float);
  params->device = device;
  float **blocks[] = {&params->values, &params->gradients, &params->momenta};
  for (size_t i = 0; i < (training ? COUNT_OF(blocks) : 1); i++) {
    *blocks[i] = nn_device_allocate(device, size, error);
    if (*blocks[i]) continue;
    free_blocks(params);
    return -1;
  }
  return 0;
}

int nn_params_finite(const struct nn_params *params, bool *finite, struct error *error) {
  double sum;
  if (params->device->backend->square_sum(params->device, params->values, params->elements, &sum, error)) return -1;
  *finite = isfinite(sum);
  return 0;
}

int nn_param_read(const struct nn_params *params, const struct nn_param *param, const float *block, float *host,
                  struct error *error) {
  size_t size = (size_t)param->count * sizeof(float);
  return nn_device_download(params->device, host, block + param->offset, size, error);
}

int nn_param_write(struct nn_params *params, const struct nn_param *param, float *block, const float *host,
                   struct error *error) {
  params->version++;
  return nn_device_upload(params->device, block + param->offset, host, (size_t)param->count * sizeof(float), error);
}
