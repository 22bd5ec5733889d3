/* Drawings: outlines recorded as polygons, and their exact area coverage (the accumulation method of R. Levien's
 * font-rs: each edge leaves its signed area in the cells it crosses, a running sum along the row fills the rest). */
#include <assert.h>
#include <math.h>

#include "core/toy/internal.h"

#define TURN 6.28318531f

void toy_clear(struct toy_drawing *drawing) {
  drawing->point_count = 0;
  drawing->path_count = 0;
  drawing->part_count = 0;
}

static void add(struct toy_drawing *drawing, float x, float y) {
  assert(drawing->point_count < TOY_POINTS);
  drawing->points[drawing->point_count++] = (struct toy_point){x, y};
}

static void close_path(struct toy_drawing *drawing) {
  assert(drawing->path_count < TOY_PATHS);
  drawing->path_end[drawing->path_count++] = drawing->point_count;
}

void toy_path(struct toy_drawing *drawing, const struct toy_point *points, int count) {
  for (int i = 0; i < count; i++) {
    add(drawing, points[i].x, points[i].y);
  }
  close_path(drawing);
}

/* The Catmull-Rom segment from b to c, without c. */
static void add_spline(struct toy_drawing *drawing, struct toy_point a, struct toy_point b, struct toy_point c,
                       struct toy_point d) {
  enum { STEPS = 7 };
  for (int i = 0; i < STEPS; i++) {
    float t = (float)i / STEPS, t2 = t * t, t3 = t2 * t;
    float wa = -0.5f * t3 + t2 - 0.5f * t, wb = 1.5f * t3 - 2.5f * t2 + 1;
    float wc = -1.5f * t3 + 2 * t2 + 0.5f * t, wd = 0.5f * t3 - 0.5f * t2;
    add(drawing, wa * a.x + wb * b.x + wc * c.x + wd * d.x, wa * a.y + wb * b.y + wc * c.y + wd * d.y);
  }
}

void toy_curve(struct toy_drawing *drawing, const struct toy_point *points, int count) {
  for (int i = 0; i < count; i++) {
    add_spline(drawing, points[(i + count - 1) % count], points[i], points[(i + 1) % count], points[(i + 2) % count]);
  }
  close_path(drawing);
}

void toy_profile(struct toy_drawing *drawing, const struct toy_point *points, int count) {
  int first = drawing->point_count;
  for (int i = 0; i + 1 < count; i++) {
    add_spline(drawing, points[i > 0 ? i - 1 : 0], points[i], points[i + 1], points[i + 2 < count ? i + 2 : i + 1]);
  }
  add(drawing, points[count - 1].x, points[count - 1].y);
  for (int i = drawing->point_count - 1; i >= first; i--) {
    add(drawing, -drawing->points[i].x, drawing->points[i].y);
  }
  close_path(drawing);
}

static void add_arc(struct toy_drawing *drawing, float x, float y, float rx, float ry, float from, float to,
                    int steps) {
  for (int i = 0; i <= steps; i++) {
    float angle = from + (to - from) * (float)i / (float)steps;
    add(drawing, x + rx * toy_cos(angle), y + ry * toy_sin(angle));
  }
}

void toy_ellipse(struct toy_drawing *drawing, float x, float y, float rx, float ry) {
  add_arc(drawing, x, y, rx, ry, 0, TURN * 31 / 32, 31);
  close_path(drawing);
}

void toy_hole(struct toy_drawing *drawing, float x, float y, float radius) {
  add_arc(drawing, x, y, radius, radius, TURN, TURN / 32, 31);
  close_path(drawing);
}

void toy_box(struct toy_drawing *drawing, float x0, float y0, float x1, float y1, float radius) {
  float r = fminf(radius, 0.5f * fminf(x1 - x0, y1 - y0));
  add_arc(drawing, x1 - r, y1 - r, r, r, 0, TURN / 4, 5);
  add_arc(drawing, x0 + r, y1 - r, r, r, TURN / 4, TURN / 2, 5);
  add_arc(drawing, x0 + r, y0 + r, r, r, TURN / 2, TURN * 3 / 4, 5);
  add_arc(drawing, x1 - r, y0 + r, r, r, TURN * 3 / 4, TURN, 5);
  close_path(drawing);
}

static struct toy_point normal_at(const struct toy_point *points, int count, int i) {
  struct toy_point a = points[i > 0 ? i - 1 : 0], b = points[i + 1 < count ? i + 1 : i];
  float dx = b.x - a.x, dy = b.y - a.y, length = sqrtf(dx * dx + dy * dy) + 1e-9f;
  return (struct toy_point){-dy / length, dx / length};
}

void toy_stroke(struct toy_drawing *drawing, const struct toy_point *points, int count, float from, float to) {
  struct toy_point last = normal_at(points, count, count - 1), first = normal_at(points, count, 0);
  for (int i = 0; i < count; i++) {
    struct toy_point n = normal_at(points, count, i);
    float half = 0.5f * toy_mix(from, to, (float)i / (float)(count - 1));
    add(drawing, points[i].x - n.x * half, points[i].y - n.y * half);
  }
  float angle = toy_atan2(last.y, last.x);
  add_arc(drawing, points[count - 1].x, points[count - 1].y, 0.5f * to, 0.5f * to, angle - TURN / 2, angle, 8);
  for (int i = count - 1; i >= 0; i--) {
    struct toy_point n = normal_at(points, count, i);
    float half = 0.5f * toy_mix(from, to, (float)i / (float)(count - 1));
    add(drawing, points[i].x + n.x * half, points[i].y + n.y * half);
  }
  angle = toy_atan2(first.y, first.x);
  add_arc(drawing, points[0].x, points[0].y, 0.5f * from, 0.5f * from, angle, angle + TURN / 2, 8);
  close_path(drawing);
}

static void add_part(struct toy_drawing *drawing, enum toy_material material, float relief, float opacity) {
  assert(drawing->part_count < TOY_PARTS);
  int first = drawing->part_count > 0 ? drawing->parts[drawing->part_count - 1].path_end : 0;
  drawing->parts[drawing->part_count++] = (struct toy_part){first, drawing->path_count, material, relief, opacity};
}

void toy_fill(struct toy_drawing *drawing, enum toy_material material, float relief) {
  add_part(drawing, material, relief, 1);
}

void toy_glaze(struct toy_drawing *drawing, enum toy_material material, float opacity) {
  add_part(drawing, material, 0, opacity);
}

struct toy_bounds toy_drawing_bounds(const struct toy_drawing *drawing) {
  struct toy_bounds bounds = {1e9f, 1e9f, -1e9f, -1e9f};
  for (int i = 0; i < drawing->point_count; i++) {
    bounds.x0 = fminf(bounds.x0, drawing->points[i].x);
    bounds.y0 = fminf(bounds.y0, drawing->points[i].y);
    bounds.x1 = fmaxf(bounds.x1, drawing->points[i].x);
    bounds.y1 = fmaxf(bounds.y1, drawing->points[i].y);
  }
  return bounds;
}

void toy_drawing_move(struct toy_drawing *drawing, float scale, float angle, bool mirror) {
  float c = scale * toy_cos(angle), s = scale * toy_sin(angle);
  for (int i = 0; i < drawing->point_count; i++) {
    struct toy_point p = drawing->points[i];
    p.x = mirror ? -p.x : p.x;
    drawing->points[i] = (struct toy_point){c * p.x - s * p.y, s * p.x + c * p.y};
  }
}

/* Unlike fminf these need no call: there are no NaNs here. */
static inline float least(float a, float b) {
  return a < b ? a : b;
}

static inline float most(float a, float b) {
  return a > b ? a : b;
}

/* One row's share of an edge that goes from x0 to x1 while covering `d` (signed) of the row's height. */
static void accumulate(float *row, float x0, float x1, float d) {
  float left = least(x0, x1), right = most(x0, x1);
  int first = (int)left, end = (int)ceilf(right);
  float from = left - (float)first;
  if (end <= first + 1) {
    float middle = 0.5f * (x0 + x1) - (float)first;
    row[first] += d - d * middle;
    row[first + 1] += d * middle;
    return;
  }
  float slope = 1.0f / (right - left), to = right - (float)end + 1;
  float head = 0.5f * slope * (1 - from) * (1 - from), tail = 0.5f * slope * to * to;
  row[first] += d * head;
  if (end == first + 2) {
    row[first + 1] += d * (1 - head - tail);
  } else {
    float second = slope * (1.5f - from);
    row[first + 1] += d * (second - head);
    for (int x = first + 2; x < end - 1; x++) {
      row[x] += d * slope;
    }
    row[end - 1] += d * (1 - second - (float)(end - first - 3) * slope - tail);
  }
  row[end] += d * tail;
}

static void raster_edge(struct toy_point p, struct toy_point q, float *cover, int width, int height) {
  if (p.y == q.y) {
    return;
  }
  float sign = p.y < q.y ? 1.0f : -1.0f;
  struct toy_point top = p.y < q.y ? p : q, bottom = p.y < q.y ? q : p;
  float slope = (bottom.x - top.x) / (bottom.y - top.y), x = top.x;
  int last = (int)ceilf(bottom.y) < height ? (int)ceilf(bottom.y) : height;
  for (int y = (int)top.y; y < last; y++) {
    float dy = least((float)(y + 1), bottom.y) - most((float)y, top.y), next = x + slope * dy;
    next = least(most(next, 0), (float)(width - 2)); /* rounding only: the outline lies inside */
    accumulate(cover + (size_t)y * (size_t)width, x, next, sign * dy);
    x = next;
  }
}

void toy_raster(const struct toy_drawing *drawing, int first, int end, float dx, float dy, float *cover, int width,
                int height) {
  for (int path = first; path < end; path++) {
    int from = path > 0 ? drawing->path_end[path - 1] : 0, to = drawing->path_end[path];
    struct toy_point previous = drawing->points[to - 1];
    for (int i = from; i < to; i++) {
      struct toy_point p = drawing->points[i];
      raster_edge((struct toy_point){previous.x + dx, previous.y + dy}, (struct toy_point){p.x + dx, p.y + dy}, cover,
                  width, height);
      previous = p;
    }
  }
  for (int y = 0; y < height; y++) {
    float *row = cover + (size_t)y * (size_t)width, sum = 0;
    for (int x = 0; x < width; x++) {
      sum += row[x];
      row[x] = least(fabsf(sum), 1);
    }
  }
}
