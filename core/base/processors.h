/* core/base/processors - what the kernel's files say about processors; for processors.c and its test. */
#ifndef JIGSAW_PROCESSORS_H
#define JIGSAW_PROCESSORS_H

/* How many processors' time "QUOTA PERIOD", both in microseconds, allows: 1.5 for "150000 100000". INFINITY for "max"
 * or -1 instead of a quota, and for what makes no sense. */
double processor_quota(const char *text);

/* The least quota of this process's control groups and their parents, of version 1 and 2, INFINITY without one. `root`
 * stands before all paths: "" but in tests. Files that are missing or make no sense set no limit. */
double processor_limit(const char *root);

#endif
