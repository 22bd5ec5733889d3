/* The registry of backends, and the checked calls that everything above them uses. */
#include <string.h>

#include "nn/backend.h"

static const struct nn_backend *const backends[] = {&nn_backend_cpu, &nn_backend_ref};

int nn_device_open(struct nn_device *device, const char *name, int threads, struct error *error) {
  *device = (struct nn_device){.threads = threads > 0 ? threads : processor_count()};
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    if (strcmp(backends[i]->name, name) != 0) continue;
    device->backend = backends[i];
    if (!device->backend->open(device, error)) return 0;
    *device = (struct nn_device){0};
    return -1;
  }
  return error_set(error, "there is no device '%s'; known here: cpu, ref", name);
}

void nn_device_close(struct nn_device *device) {
  if (device->backend) device->backend->close(device);
  *device = (struct nn_device){0};
}

int nn_device_supports(const struct nn_device *device, enum nn_dtype precision, struct error *error) {
  return device->backend->supports_precision(device, precision, error);
}

void *nn_device_allocate(struct nn_device *device, size_t size, struct error *error) {
  void *memory = device->backend->allocate(device, size);
  if (!memory) error_memory(error, size);
  return memory;
}

void nn_device_free(struct nn_device *device, void *memory) {
  if (memory) device->backend->release(device, memory);
}

int nn_device_upload(struct nn_device *device, void *to, const void *host, size_t size, struct error *error) {
  return device->backend->upload(device, to, host, size, error);
}

int nn_device_download(struct nn_device *device, void *host, const void *from, size_t size, struct error *error) {
  return device->backend->download(device, host, from, size, error);
}
