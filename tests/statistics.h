/* Statistical bounds of tests: five standard deviations, that is, one false alarm in about two million comparisons.
 * Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_STATISTICS_H
#define JIGSAW_TESTS_STATISTICS_H

#include <math.h>

/* Bins that should be equally full. The cube root of chi-square is nearly normal (Wilson and Hilferty). */
static inline void check_uniform(const int64_t *bins, int count, const char *what) {
  double total = 0, chi = 0, degrees = count - 1, spread = 2 / (9 * degrees);
  for (int i = 0; i < count; i++) {
    total += (double)bins[i];
  }
  for (int i = 0; i < count; i++) {
    chi += pow((double)bins[i] - total / count, 2) / (total / count);
  }
  double deviations = (cbrt(chi / degrees) - (1 - spread)) / sqrt(spread);
  if (!(fabs(deviations) <= 5)) {
    fail_msg("%s: chi-square %g with %g degrees of freedom", what, chi, degrees);
  }
}

#endif
