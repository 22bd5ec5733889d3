#include <math.h>

#include "nn/optimizer.h"

static bool is_rate(double rate) {
  return isfinite(rate) && rate >= 0;
}

int nn_schedule_check(const struct nn_schedule *schedule, struct error *error) {
  long long warmup = schedule->warmup, iterations = schedule->iterations;
  if (!is_rate(schedule->base) || !is_rate(schedule->start)) {
    return error_set(error, "learning rates from %g to %g: they must be 0 or more", schedule->start, schedule->base);
  }
  if (!(iterations > 0)) return error_set(error, "%lld iterations: at least 1 is needed", iterations);
  if (!(warmup >= 0 && warmup <= iterations)) {
    return error_set(error, "a warm-up of %lld iterations does not fit into %lld", warmup, iterations);
  }
  if (schedule->kind == NN_SCHEDULE_COSINE) return 0;
  if (!is_rate(schedule->factor))
    return error_set(error, "steps by a factor of %g: it must be 0 or more", schedule->factor);
  if (schedule->boundary_count < 0 || schedule->boundary_count > (int)COUNT_OF(schedule->boundaries)) {
    return error_set(error, "%d steps of the learning rate: at most %zu are possible", schedule->boundary_count,
                     COUNT_OF(schedule->boundaries));
  }
  for (int i = 0; i < schedule->boundary_count; i++) {
    long long boundary = schedule->boundaries[i], before = i ? schedule->boundaries[i - 1] : warmup - 1;
    if (boundary <= before) {
      return error_set(error, "the learning rate's step at iteration %lld must come after the %s", boundary,
                       i ? "one before" : "warm-up");
    }
  }
  return 0;
}

double nn_schedule_rate(const struct nn_schedule *schedule, int64_t iteration) {
  static const double PI = 3.141592653589793;
  double rate = schedule->base;
  if (iteration < schedule->warmup) {
    return schedule->start + (rate - schedule->start) * (double)iteration / (double)schedule->warmup;
  }
  if (schedule->kind == NN_SCHEDULE_COSINE) {
    double done = (double)(iteration - schedule->warmup) / (double)(schedule->iterations - schedule->warmup);
    return rate / 2 * (1 + cos(PI * done));
  }
  for (int i = 0; i < schedule->boundary_count && schedule->boundaries[i] <= iteration; i++) {
    rate *= schedule->factor;
  }
  return rate;
}
