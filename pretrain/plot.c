/* The picture of a run: loss on the left axis in blue, accuracy on the right one in orange, training as lines, held-out
 * data as lines with dots; the learning rate as a grey shape behind. */
#include "pretrain/journal_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 540, LEFT = 72, RIGHT = 884, TOP = 104, BOTTOM = 476 };
enum { TICKS_MAX = 32, REACH_MAX = 500 };

/* Beyond this a number is taken for damage, so that no sum or difference overflows. */
static const double VALUE_MAX = 1e30;

struct point {
  double x, y;
};

struct series {
  struct point *points; /* x ascends */
  size_t count, capacity;
};

/* The first LOGGED are read, the others are means of them. */
enum { LOSS, HELD_OUT_LOSS, ACCURACY, HELD_OUT_ACCURACY, RATE, LOGGED, MEAN_LOSS = LOGGED, MEAN_ACCURACY, SERIES };

static const char *const keys[LOGGED] = {
    [LOSS] = "loss",         [HELD_OUT_LOSS] = "held_out/loss",
    [ACCURACY] = "accuracy", [HELD_OUT_ACCURACY] = "held_out/accuracy",
    [RATE] = "lr",
};

struct axis {
  double low, high;
  bool logarithmic;
  double ticks[TICKS_MAX];
  int count;
};

struct plot {
  struct series series[SERIES];
  struct axis x, loss, accuracy, rate;
  struct buffer svg;
  struct error *error;
  double peak_rate;
  int failed;
};

#define emit(plot, ...) ((plot)->failed |= buffer_printf(&(plot)->svg, (plot)->error, __VA_ARGS__))

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static int add_point(struct series *series, double x, double y, struct error *error) {
  if (!(fabs(y) <= VALUE_MAX)) return 0;
  if (series->count > 0 && !(x > series->points[series->count - 1].x)) return 0;
  void *points = series->points;
  if (array_reserve(&points, &series->capacity, series->count + 1, sizeof(struct point), error)) return -1;
  series->points = points;
  series->points[series->count++] = (struct point){x, y};
  return 0;
}

static int read_log(struct plot *plot, const char *path, struct error *error) {
  struct buffer log = {0};
  struct log_line line;
  int result = file_read(&log, path, error);
  for (size_t at = 0; result == 0 && log_next(&log, &at, &line);) {
    for (int i = 0; result == 0 && line.json && i < LOGGED; i++) {
      const cJSON *number = cJSON_GetObjectItemCaseSensitive(line.json, keys[i]);
      if (!cJSON_IsNumber(number)) continue;
      result = add_point(&plot->series[i], (double)line.iteration, number->valuedouble, error);
    }
    cJSON_Delete(line.json);
  }
  buffer_free(&log);
  return result;
}

/* The mean over a thirtieth of the run around each point; the window shrinks towards the beginning, where the loss
 * falls fast. Summed anew for each, so that one wild value does not stay in the sum. */
static int average(const struct series *of, struct series *mean, struct error *error) {
  size_t reach = 1 + (of->count / 60 < REACH_MAX ? of->count / 60 : REACH_MAX);
  for (size_t i = 0; i < of->count; i++) {
    size_t around = i < reach ? i : reach, end = i + around + 1 < of->count ? i + around + 1 : of->count;
    double sum = 0;
    for (size_t k = i - around; k < end; k++) {
      sum += of->points[k].y;
    }
    if (add_point(mean, of->points[i].x, sum / (double)(end - (i - around)), error)) return -1;
  }
  return 0;
}

static int compare_reals(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void extend(double range[2], double value) {
  if (!(range[0] <= value)) range[0] = value;
  if (!(range[1] >= value)) range[1] = value;
}

static void extend_by(double range[2], const struct series *series) {
  for (size_t i = 0; i < series->count; i++) {
    extend(range, series->points[i].y);
  }
}

/* All but the wildest hundredth. */
static int extend_by_most(double range[2], const struct series *series, struct error *error) {
  if (series->count == 0) return 0;
  double *sorted = malloc(series->count * sizeof *sorted);
  if (!sorted) return error_memory(error, series->count * sizeof *sorted);
  for (size_t i = 0; i < series->count; i++) {
    sorted[i] = series->points[i].y;
  }
  qsort(sorted, series->count, sizeof *sorted, compare_reals);
  extend(range, sorted[series->count / 200]);
  extend(range, sorted[series->count - 1 - series->count / 200]);
  free(sorted);
  return 0;
}

/* ---- axes -------------------------------------------------------------------------------------------------------- */

/* The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `least`. */
static double nice_step(double least) {
  static const double steps[] = {1, 2, 2.5, 5, 10};
  double unit = pow(10, floor(log10(least)));
  size_t i = 0;
  while (i < COUNT_OF(steps) - 1 && steps[i] * unit < least * (1 - 1e-9)) {
    i++;
  }
  return steps[i] * unit;
}

/* `intervals` equal nice steps that cover low .. high. */
static struct axis linear_axis(double low, double high, int intervals) {
  double least = fmax((high - low) / intervals, fmax(fabs(high) * 1e-6, 1e-12)), step = nice_step(least);
  double first = floor(low / step * (1 + 1e-12)) * step;
  while (first + intervals * step < high - step * 1e-6) {
    step = nice_step(step * 1.1);
    first = floor(low / step * (1 + 1e-12)) * step;
  }
  struct axis axis = {.low = first, .high = first + intervals * step, .count = intervals + 1};
  for (int i = 0; i <= intervals; i++) {
    axis.ticks[i] = first + i * step;
  }
  return axis;
}

/* From one of 1, 2, 5 times a power of ten to another. */
static struct axis logarithmic_axis(double low, double high) {
  static const double steps[] = {1, 2, 5};
  int decades = (int)ceil(log10(high / low));
  struct axis axis = {.logarithmic = true};
  for (double unit = pow(10, floor(log10(low))); !(axis.high >= high); unit *= 10) {
    for (size_t i = 0; i < COUNT_OF(steps) && !(axis.high >= high); i++) {
      double tick = steps[i] * unit;
      if (tick <= low * (1 + 1e-9)) axis.low = tick;
      axis.high = tick;
      if (axis.count > 0 && axis.ticks[axis.count - 1] < axis.low) axis.count = 0;
      bool wanted = decades <= 3 || (i == 0 && (int)lround(log10(tick)) % (decades / 12 + 1) == 0);
      if (wanted && axis.count < TICKS_MAX) axis.ticks[axis.count++] = tick;
    }
  }
  return axis;
}

/* Both axes share the grid: the number of intervals is the one that leaves least room empty. */
static void linear_axes(struct plot *plot, double low, double high, double accuracy) {
  double best = INFINITY;
  if (low == 0 && high == 0) high = 1;
  if (low >= 0 && low < 0.35 * high) low = 0;
  if (high - low < 0.02 * fabs(high)) low -= 0.05 * fabs(high), high += 0.05 * fabs(high);
  for (int intervals = 4; intervals <= 6; intervals++) {
    struct axis left = linear_axis(low, high, intervals), right = linear_axis(0, accuracy, intervals);
    if (right.high > 1 + 1e-9) continue;
    double empty = (left.high - left.low) / fmax(high - low, 1e-300) + 0.3 * right.high / accuracy;
    if (empty < best) {
      best = empty;
      plot->loss = left;
      plot->accuracy = right;
    }
  }
}

static int choose_axes(struct plot *plot, struct error *error) {
  const struct series *series = plot->series;
  double loss[2] = {NAN, NAN}, accuracy[2] = {NAN, NAN}, rate[2] = {0, 0}, x = 8;
  if (extend_by_most(loss, &series[LOSS], error)) return -1;
  extend_by(loss, &series[MEAN_LOSS]);
  extend_by(loss, &series[HELD_OUT_LOSS]);
  extend_by(accuracy, &series[ACCURACY]);
  extend_by(accuracy, &series[HELD_OUT_ACCURACY]);
  extend_by(rate, &series[RATE]);
  for (int i = 0; i < SERIES; i++) {
    if (series[i].count > 0) x = fmax(x, series[i].points[series[i].count - 1].x);
  }
  if (isnan(loss[0])) loss[0] = 0, loss[1] = 1;
  linear_axes(plot, loss[0], loss[1], accuracy[1] > 0 && accuracy[1] < 1 ? accuracy[1] : 1);
  if (loss[0] > 0 && loss[1] / loss[0] >= 20) plot->loss = logarithmic_axis(loss[0], loss[1]);
  plot->x = linear_axis(0, x, 8);
  while (plot->x.count > 1 && plot->x.ticks[plot->x.count - 1] > x) {
    plot->x.count--;
  }
  plot->x.high = x;
  plot->peak_rate = rate[1];
  plot->rate = (struct axis){.low = 0, .high = rate[1] > 0 ? rate[1] * 1.04 : 1};
  return 0;
}

/* 0 at the axis' low end, 1 at its high one; not far outside, so that coordinates stay small. */
static double place(const struct axis *axis, double value) {
  double at = (value - axis->low) / (axis->high - axis->low);
  if (axis->logarithmic) at = value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : -1;
  return fmin(fmax(at, -1), 2);
}

static double place_x(const struct plot *plot, double iteration) {
  return LEFT + (RIGHT - LEFT) * place(&plot->x, iteration);
}

static double place_y(const struct axis *axis, double value) {
  return BOTTOM - (BOTTOM - TOP) * place(axis, value);
}

/* As many decimals as the ticks' distance has, so that all labels of an axis look alike. */
static void tick_text(const struct axis *axis, double value, double factor, const char *unit, char text[32]) {
  int decimals = 0;
  double step = (axis->count > 1 ? axis->ticks[1] - axis->ticks[0] : 1) * factor, scale = 1;
  for (; decimals < 6 && fabs(step * scale - round(step * scale)) > 1e-6 * step * scale; scale *= 10) {
    decimals++;
  }
  value *= factor;
  if (axis->logarithmic || decimals == 6 || fabs(value) >= 1e6) {
    snprintf(text, 32, "%.6g%s", value, unit);
  } else {
    snprintf(text, 32, "%.*f%s", decimals, fabs(value) < step / 2 ? 0 : value, unit);
  }
}

static void iteration_text(double value, double largest, char text[32]) {
  double unit = largest >= 10e6 ? 1e6 : largest >= 10e3 ? 1e3 : 1;
  snprintf(text, 32, "%.6g%s", value / unit, value == 0 || unit == 1 ? "" : unit == 1e3 ? "k" : "M");
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static const char style[] =
    "<style>\n"
    "text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif; "
    "fill: #57606a }\n"
    ".title { font-size: 18px; font-weight: 600; fill: #1f2328 }\n"
    ".value { font-weight: 600; fill: #1f2328 }\n"
    ".background { fill: #ffffff }\n"
    ".grid { stroke: #e4e8ec; stroke-width: 1 }\n"
    ".axis { stroke: #8c959f; stroke-width: 1 }\n"
    ".line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }\n"
    ".faint { stroke-width: 1; stroke-opacity: 0.22 }\n"
    ".rate { fill: #8c959f; fill-opacity: 0.13 }\n"
    ".dot { stroke: #ffffff; stroke-width: 1 }\n"
    ".blue { stroke: #1f6feb } .fill-blue { fill: #1f6feb }\n"
    ".navy { stroke: #0b3d91 } .fill-navy { fill: #0b3d91 }\n"
    ".orange { stroke: #e8820c } .fill-orange { fill: #d06f00 }\n"
    ".brown { stroke: #9a4a00 } .fill-brown { fill: #9a4a00 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #9aa4af } .title, .value { fill: #e6edf3 }\n"
    ".background { fill: #0d1117 } .grid { stroke: #22282f } .axis { stroke: #6e7681 }\n"
    ".rate { fill: #8c959f; fill-opacity: 0.16 } .dot { stroke: #0d1117 }\n"
    ".blue { stroke: #4493f8 } .fill-blue { fill: #4493f8 } .navy { stroke: #a5ceff } .fill-navy { fill: #a5ceff }\n"
    ".orange { stroke: #e8912d } .fill-orange { fill: #f0a04b } .brown { stroke: #ffd29b } .fill-brown { fill: #ffd29b "
    "}\n"
    "}\n"
    "</style>\n";

/* As XML text. What XML cannot hold becomes a question mark, and so does all that is beyond ASCII in a title that is
 * not UTF-8. */
static void emit_text(struct plot *plot, const char *text) {
  bool utf8 = utf8_valid(text, strlen(text), NULL);
  for (const char *at = text; *at; at++) {
    unsigned char c = (unsigned char)*at;
    bool noncharacter = strncmp(at, "\xef\xbf\xbe", 3) == 0 || strncmp(at, "\xef\xbf\xbf", 3) == 0;
    if (c == '<' || c == '>' || c == '&') {
      emit(plot, "&#%d;", c);
    } else if (noncharacter) {
      emit(plot, "?");
      at += 2;
    } else {
      emit(plot, "%c", c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : c);
    }
  }
}

static void draw_point(struct plot *plot, const struct axis *axis, struct point point, bool *begun) {
  emit(plot, "%s%.1f %.1f", *begun ? "L" : "M", place_x(plot, point.x), place_y(axis, point.y));
  *begun = true;
}

/* A path through the points; of many in one column of pixels, the lowest and the highest. */
static void draw_path(struct plot *plot, const struct axis *axis, const struct series *series, bool begun) {
  const struct point *points = series->points;
  for (size_t first = 0, next; first < series->count; first = next) {
    size_t low = first, high = first;
    for (next = first;
         next < series->count && floor(place_x(plot, points[next].x)) == floor(place_x(plot, points[first].x));
         next++) {
      if (points[next].y < points[low].y) low = next;
      if (points[next].y > points[high].y) high = next;
    }
    if (low != first && high != first) draw_point(plot, axis, points[first], &begun);
    draw_point(plot, axis, points[low < high ? low : high], &begun);
    if (low != high) draw_point(plot, axis, points[low < high ? high : low], &begun);
  }
}

static void draw_line(struct plot *plot, int which, const struct axis *axis, const char *class) {
  const struct series *series = &plot->series[which];
  if (series->count < 2) return;
  emit(plot, "<path class=\"line %s\" d=\"", class);
  draw_path(plot, axis, series, false);
  emit(plot, "\"/>\n");
}

/* On a series of few points, or of one alone, which makes no line. */
static void draw_dots(struct plot *plot, int which, const struct axis *axis, const char *class, size_t most) {
  const struct series *series = &plot->series[which];
  for (size_t i = 0; series->count <= most && i < series->count; i++) {
    emit(plot, "<circle class=\"dot fill-%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", class,
         place_x(plot, series->points[i].x), place_y(axis, series->points[i].y));
  }
}

static void draw_rate(struct plot *plot) {
  const struct series *rate = &plot->series[RATE];
  if (rate->count < 2) return;
  emit(plot, "<path class=\"rate\" d=\"M%.1f %d", place_x(plot, rate->points[0].x), BOTTOM);
  draw_path(plot, &plot->rate, rate, true);
  emit(plot, "L%.1f %dZ\"/>\n", place_x(plot, rate->points[rate->count - 1].x), BOTTOM);
}

static void draw_curves(struct plot *plot) {
  emit(plot, "<g clip-path=\"url(#frame)\">\n");
  draw_rate(plot);
  draw_line(plot, LOSS, &plot->loss, "faint blue");
  draw_line(plot, ACCURACY, &plot->accuracy, "faint orange");
  draw_line(plot, MEAN_ACCURACY, &plot->accuracy, "orange");
  draw_line(plot, MEAN_LOSS, &plot->loss, "blue");
  draw_line(plot, HELD_OUT_ACCURACY, &plot->accuracy, "brown");
  draw_line(plot, HELD_OUT_LOSS, &plot->loss, "navy");
  emit(plot, "</g>\n");
  draw_dots(plot, MEAN_ACCURACY, &plot->accuracy, "orange", 1);
  draw_dots(plot, MEAN_LOSS, &plot->loss, "blue", 1);
  draw_dots(plot, HELD_OUT_ACCURACY, &plot->accuracy, "brown", 40);
  draw_dots(plot, HELD_OUT_LOSS, &plot->loss, "navy", 40);
}

static void draw_axes(struct plot *plot) {
  bool loss = plot->series[LOSS].count + plot->series[HELD_OUT_LOSS].count > 0;
  bool accuracy = plot->series[ACCURACY].count + plot->series[HELD_OUT_ACCURACY].count > 0;
  const struct axis *grid = loss ? &plot->loss : &plot->accuracy;
  char text[32];
  for (int i = 0; i < grid->count; i++) {
    double y = place_y(grid, grid->ticks[i]);
    emit(plot, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, RIGHT);
  }
  for (int i = 0; loss && i < plot->loss.count; i++) {
    tick_text(&plot->loss, plot->loss.ticks[i], 1, "", text);
    emit(plot, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 10,
         place_y(&plot->loss, plot->loss.ticks[i]) + 4.5, text);
  }
  for (int i = 0; accuracy && i < plot->accuracy.count; i++) {
    tick_text(&plot->accuracy, plot->accuracy.ticks[i], 100, " %", text);
    emit(plot, "<text x=\"%d\" y=\"%.1f\">%s</text>\n", RIGHT + 10,
         place_y(&plot->accuracy, plot->accuracy.ticks[i]) + 4.5, text);
  }
  for (int i = 0; i < plot->x.count; i++) {
    double x = place_x(plot, plot->x.ticks[i]);
    iteration_text(plot->x.ticks[i], plot->x.high, text);
    emit(plot, "<path class=\"axis\" d=\"M%.1f %dv5\"/>", x, BOTTOM);
    emit(plot, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, BOTTOM + 21, text);
  }
  emit(plot, "<path class=\"axis\" d=\"M%d %dH%d\"/>\n", LEFT, BOTTOM, RIGHT);
  emit(plot, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">iteration</text>\n", (LEFT + RIGHT) / 2, BOTTOM + 44);
  if (loss)
    emit(plot, "<text class=\"fill-blue\" x=\"%d\" y=\"%d\" text-anchor=\"end\">loss</text>\n", LEFT - 10, TOP - 14);
  if (accuracy) emit(plot, "<text class=\"fill-orange\" x=\"%d\" y=\"%d\">accuracy</text>\n", RIGHT + 10, TOP - 14);
}

/* One entry with the series' last value, in percent where it is a share; where the next one begins. */
static double draw_entry(struct plot *plot, double x, int which, const char *name, const char *class, bool share) {
  const struct series *series = &plot->series[which];
  if (series->count == 0) return x;
  double last = which == RATE ? plot->peak_rate : series->points[series->count - 1].y;
  char value[32];
  snprintf(value, sizeof value, share ? "%.1f %%" : "%.3g", share ? 100 * last : last);
  double y = 62;
  if (which == RATE) {
    emit(plot, "<rect class=\"rate\" x=\"%.0f\" y=\"%.0f\" width=\"20\" height=\"12\"/>", x, y - 10);
  } else {
    emit(plot, "<path class=\"line %s\" d=\"M%.0f %.1fh20\"/>", class, x, y - 4.5);
  }
  if (which == HELD_OUT_LOSS || which == HELD_OUT_ACCURACY) {
    emit(plot, "<circle class=\"dot fill-%s\" cx=\"%.0f\" cy=\"%.1f\" r=\"3.5\"/>", class, x + 10, y - 4.5);
  }
  emit(plot, "<text x=\"%.0f\" y=\"%.0f\">%s <tspan class=\"value\">%s</tspan></text>\n", x + 28, y, name, value);
  return x + 28 + 7.4 * (double)(strlen(name) + 1 + strlen(value)) + 18;
}

static void draw_legend(struct plot *plot) {
  double x = LEFT;
  x = draw_entry(plot, x, MEAN_LOSS, "loss", "blue", false);
  x = draw_entry(plot, x, HELD_OUT_LOSS, "held-out loss", "navy", false);
  x = draw_entry(plot, x, MEAN_ACCURACY, "accuracy", "orange", true);
  x = draw_entry(plot, x, HELD_OUT_ACCURACY, "held-out accuracy", "brown", true);
  draw_entry(plot, x, RATE, "peak lr", "", false);
}

static void draw(struct plot *plot, const char *title) {
  emit(plot,
       "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n",
       WIDTH, HEIGHT, WIDTH, HEIGHT);
  emit(plot, "<title>");
  emit_text(plot, title);
  emit(plot, "</title>\n%s", style);
  emit(plot, "<clipPath id=\"frame\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n", LEFT, TOP - 2,
       RIGHT - LEFT, BOTTOM - TOP + 4);
  emit(plot, "<rect class=\"background\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", WIDTH, HEIGHT);
  emit(plot, "<text class=\"title\" x=\"%d\" y=\"36\">", LEFT);
  emit_text(plot, title);
  emit(plot, "</text>\n");
  draw_axes(plot);
  draw_curves(plot);
  draw_legend(plot);
  emit(plot, "</svg>\n");
}

int journal_draw(const char *folder, const char *title, struct error *error) {
  struct plot plot = {.error = error};
  char path[PATH_SIZE];
  int result = -1;
  if (path_format(path, error, "%s/log.jsonl", folder) || read_log(&plot, path, error)) goto done;
  if (average(&plot.series[LOSS], &plot.series[MEAN_LOSS], error)) goto done;
  if (average(&plot.series[ACCURACY], &plot.series[MEAN_ACCURACY], error) || choose_axes(&plot, error)) goto done;
  draw(&plot, title);
  if (plot.failed || path_format(path, error, "%s/loss.svg", folder)) goto done;
  result = file_write_all(path, plot.svg.data, plot.svg.size, error);
done:
  for (int i = 0; i < SERIES; i++) {
    free(plot.series[i].points);
  }
  buffer_free(&plot.svg);
  return result;
}
