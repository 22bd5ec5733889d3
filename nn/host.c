/* Memory of backends that compute where the host does. */
#include <stdlib.h>
#include <string.h>

#include "nn/backend.h"

enum { ALIGNMENT = 64 };

/* Fresh memory from calloc is zero without being touched. So it comes to lie near the processor whose thread is first
 * to use it. What calloc gave stands before what is given on. */
void *nn_host_allocate(struct nn_device *device, size_t size) {
  (void)device;
  if (size > PTRDIFF_MAX - 2 * ALIGNMENT) return NULL;
  char *start = calloc(1, size + 2 * ALIGNMENT);
  if (!start) return NULL;
  void **memory = (void **)(void *)(start + 2 * ALIGNMENT - (uintptr_t)start % ALIGNMENT);
  memory[-1] = start;
  return memory;
}

void nn_host_release(struct nn_device *device, void *memory) {
  (void)device;
  free(((void **)memory)[-1]);
}

int nn_host_copy(struct nn_device *device, void *to, const void *from, size_t size, struct error *error) {
  (void)device, (void)error;
  memcpy(to, from, size);
  return 0;
}

int nn_host_clear(struct nn_device *device, void *memory, size_t size, struct error *error) {
  (void)device, (void)error;
  memset(memory, 0, size);
  return 0;
}
