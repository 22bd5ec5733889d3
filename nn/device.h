/* nn/device - where a network lives and runs: a backend (nn/backend.h) that was opened.
 *
 *   ref   plain C loops, float32, one thread: the oracle that the others are tested against
 *   cpu   oneDNN's convolutions and our own kernels, float32 or bf16, on all processors
 */
#ifndef JIGSAW_NN_DEVICE_H
#define JIGSAW_NN_DEVICE_H

#include "nn/tensor.h"

struct nn_backend;

struct nn_device {
  const struct nn_backend *backend;
  void *context;         /* the backend's own */
  int threads;           /* that compute: may be fewer than asked for, and the description says so */
  char description[256]; /* "cpu: oneDNN 2.6.3, AVX-512 with bf16, 2 threads" */
};

/* Opens "ref" or "cpu"; an unknown name lists the known ones. `threads` 0: all processors this process may run on. */
int nn_device_open(struct nn_device *device, const char *name, int threads, struct error *error);
void nn_device_close(struct nn_device *device);

/* For the first line of main. Threads that wait for each other shall spin for microseconds and then sleep: OpenMP's
 * milliseconds are lost to everybody else, and where two programs share processors each step takes ten times as long,
 * not twice. OpenMP reads such settings when it is loaded, so this starts the program anew with GOMP_SPINCOUNT set,
 * unless the user has set that or OMP_WAIT_POLICY. */
void nn_wait_briefly(char **argv);

/* Whether the device computes in this type; if not, the error says so. */
int nn_device_supports(const struct nn_device *device, enum nn_dtype precision, struct error *error);

/* Memory of the device, aligned to 64 bytes, zeroed. Every model and every program on a device takes its memory here;
 * nothing else does. */
void *nn_device_allocate(struct nn_device *device, size_t size, struct error *error);
void nn_device_free(struct nn_device *device, void *memory);
int nn_device_upload(struct nn_device *device, void *to, const void *host, size_t size, struct error *error);
int nn_device_download(struct nn_device *device, void *host, const void *from, size_t size, struct error *error);

#endif
