#include "core/base/processors.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/base.h"

double processor_quota(const char *text) {
  double quota, period;
  if (sscanf(text, "%lf %lf", &quota, &period) != 2 || !(quota > 0) || !(quota / period > 0)) return INFINITY;
  return quota / period;
}

/* The first line of a file, without its end; false if there is none. */
static bool read_line(const char *path, char *line, int size) {
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = fgets(line, size, file) != NULL;
  fclose(file);
  if (found) line[strcspn(line, "\n")] = '\0';
  return found;
}

static double group_quota(const char *folder, bool unified) {
  char path[PATH_SIZE], quota[64], period[64], both[2 * sizeof quota];
  struct error ignored;
  if (unified) {
    if (path_format(path, &ignored, "%s/cpu.max", folder) || !read_line(path, both, sizeof both)) return INFINITY;
    return processor_quota(both);
  }
  if (path_format(path, &ignored, "%s/cpu.cfs_quota_us", folder) || !read_line(path, quota, sizeof quota) ||
      path_format(path, &ignored, "%s/cpu.cfs_period_us", folder) || !read_line(path, period, sizeof period)) {
    return INFINITY;
  }
  snprintf(both, sizeof both, "%s %s", quota, period);
  return processor_quota(both);
}

/* Whether a list like "cpu,cpuacct" names "cpu". */
static bool lists_cpu(const char *list) {
  for (const char *at = list; (at = strstr(at, "cpu")); at += 3) {
    bool begins = at == list || at[-1] == ',', ends = !isalnum((unsigned char)at[3]) && at[3] != '_';
    if (begins && ends) return true;
  }
  return false;
}

/* This process's group in /proc/self/cgroup, whose lines are ID:CONTROLLERS:PATH; version 2 lists no controllers. */
static bool find_group(const char *root, bool unified, char group[PATH_SIZE]) {
  char path[PATH_SIZE], *line = NULL;
  struct error ignored;
  size_t capacity = 0;
  bool found = false;
  FILE *file = path_format(path, &ignored, "%s/proc/self/cgroup", root) ? NULL : fopen(path, "re");
  while (file && !found && getline(&line, &capacity, file) > 0) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *name = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!name || name[1] != '/') continue;
    *name = '\0';
    found = (unified ? controllers[1] == '\0' : lists_cpu(controllers + 1)) && strlen(name + 1) < PATH_SIZE;
    if (found) strcpy(group, name + 1);
  }
  if (file) fclose(file);
  free(line);
  return found;
}

/* The kernel writes spaces and other odd characters of paths as "\040". */
static void unescape(char *path) {
  char *to = path;
  for (const char *from = path; *from; to++) {
    bool octal = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
    *to = octal ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0') : *from;
    from += octal ? 4 : 1;
  }
  *to = '\0';
}

/* The group's folder and those above it, up to where groups are mounted. A container may see only what is below
 * `mount_root`; a group that is not below it cannot be seen. */
static double mounted_quota(const char *root, const char *point, const char *mount_root, bool unified) {
  char group[PATH_SIZE], folder[PATH_SIZE];
  struct error ignored;
  if (!find_group(root, unified, group)) return INFINITY;
  size_t skip = strcmp(mount_root, "/") ? strlen(mount_root) : 0;
  bool below = strncmp(group, mount_root, skip) == 0 && (group[skip] == '/' || group[skip] == '\0');
  if (path_format(folder, &ignored, "%s%s%s", root, point, below ? group + skip : "")) return INFINITY;
  double limit = INFINITY;
  for (size_t end = strlen(root) + strlen(point);; *strrchr(folder, '/') = '\0') {
    limit = fmin(limit, group_quota(folder, unified));
    if (strlen(folder) <= end) return limit;
  }
}

/* Lines of /proc/self/mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS... - TYPE SOURCE OPTIONS. */
double processor_limit(const char *root) {
  char path[PATH_SIZE], mount_root[PATH_SIZE], point[PATH_SIZE], type[32], options[256], *line = NULL;
  struct error ignored;
  size_t capacity = 0;
  double limit = INFINITY;
  FILE *file = path_format(path, &ignored, "%s/proc/self/mountinfo", root) ? NULL : fopen(path, "re");
  while (file && getline(&line, &capacity, file) > 0) {
    const char *rest = strstr(line, " - ");
    if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", mount_root, point) != 2) continue;
    if (sscanf(rest, " - %31s %*s %255s", type, options) != 2) continue;
    bool unified = strcmp(type, "cgroup2") == 0;
    if (!unified && (strcmp(type, "cgroup") != 0 || !lists_cpu(options))) continue;
    unescape(mount_root);
    unescape(point);
    limit = fmin(limit, mounted_quota(root, point, mount_root, unified));
  }
  if (file) fclose(file);
  free(line);
  return limit;
}

/* A set of processors has room for 1,024 of them unless more is asked for, and the kernel refuses sets that are smaller
 * than its own. */
static int processors_allowed(void) {
  for (int room = CPU_SETSIZE; room <= INT_MAX / 2; room *= 2) {
    cpu_set_t *set = CPU_ALLOC((size_t)room);
    if (!set) return 1;
    int status = sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)room), set), reason = errno;
    int count = status ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)room), set);
    CPU_FREE(set);
    if (status == 0) return count > 0 ? count : 1;
    if (reason != EINVAL) return 1;
  }
  return 1;
}

int processor_count(void) {
  double allowed = processors_allowed();
  return (int)fmax(1, ceil(fmin(allowed, processor_limit(""))));
}
