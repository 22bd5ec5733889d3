#include <stdlib.h>
#include <unistd.h>

#include "nn/device.h"

/* Turns of libgomp's loop, tens of microseconds: what it takes itself where it knows of more threads than processors.
 * The gaps in a step are shorter. */
static const char *const SPINS = "1000";

void nn_wait_briefly(char **argv) {
  char path[PATH_SIZE];
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
  ssize_t length = readlink("/proc/self/exe", path, sizeof path); /* by its name, which the process shows */
  if (length <= 0 || length == sizeof path || setenv("GOMP_SPINCOUNT", SPINS, 1)) return;
  path[length] = '\0';
  execv(path, argv); /* or all goes on as it is */
}
