/* Boxes around segmentations, for annotations that have no bbox.
 *
 * A run-length mask goes down the columns, from left to right: so many pixels outside, so many inside, and so on by
 * turns. As text (COCO's "compressed" form) each run is a signed number in groups of five bits, lowest first, in
 * characters from '0' on, of which bit 5 says that more follow; from the fourth run on it is the difference to the run
 * two before. */
#include <math.h>

#include "core/dataset/coco.h"

struct bounds {
  double low[2], high[2]; /* x, y */
  bool bad;
};

static void bounds_add(struct bounds *bounds, int axis, double value) {
  if (!isfinite(value)) bounds->bad = true;
  if (value < bounds->low[axis]) bounds->low[axis] = value;
  if (value > bounds->high[axis]) bounds->high[axis] = value;
}

/* ---- polygons ---- */

/* x and y by turns, or arrays of such. */
static int read_points(struct json *json, struct bounds *bounds) {
  int axis = 0, more;
  if (json_array(json, "polygons") != 0) return -1;
  while ((more = json_next_element(json)) > 0) {
    char kind = json_peek(json);
    double value;
    if (kind == '[') {
      if (read_points(json, bounds) != 0) return -1;
    } else if (kind == '0') {
      if (json_number(json, "a coordinate", &value) != 0) return -1;
      bounds_add(bounds, axis, value);
      axis ^= 1;
    } else {
      if (json_skip(json) != 0) return -1;
      bounds->bad = true;
    }
  }
  if (axis == 1) bounds->bad = true;
  return more;
}

/* ---- run-length masks ---- */

struct mask {
  int64_t height, width;
  size_t counts; /* where they are; 0: nowhere */
  int64_t at;    /* pixels passed */
  bool inside;
  struct bounds bounds;
};

static void add_run(struct mask *mask, int64_t length) {
  int64_t left = mask->height * mask->width - mask->at;
  if (length < 0 || length > left) {
    mask->bounds.bad = true;
    return;
  }
  if (mask->inside && length > 0) {
    int64_t last = mask->at + length - 1, columns[2] = {mask->at / mask->height, last / mask->height};
    bool one = columns[0] == columns[1]; /* else the run passes the end of a column */
    for (int i = 0; i < 2; i++)
      bounds_add(&mask->bounds, 0, (double)columns[i] + i);
    bounds_add(&mask->bounds, 1, one ? (double)(mask->at % mask->height) : 0);
    bounds_add(&mask->bounds, 1, one ? (double)(last % mask->height) + 1 : (double)mask->height);
  }
  mask->at += length;
  mask->inside = !mask->inside;
}

static int read_runs(struct json *json, struct mask *mask) {
  int more;
  int64_t length;
  if (json_array(json, "counts") != 0) return -1;
  while ((more = json_next_element(json)) > 0) {
    struct text text;
    if (json_peek(json) == '0' && json_number_text(json, "a count", &text) == 0 && json_whole(text, &length)) {
      add_run(mask, length);
    } else {
      mask->bounds.bad = true;
      return 0;
    }
  }
  return more;
}

static void decode_runs(struct text text, struct mask *mask) {
  int64_t before[2] = {0, 0}; /* the last two, the older first */
  size_t at = 0;
  for (int run = 0; at < text.size && !mask->bounds.bad; run++) {
    uint64_t bits = 0, group = 0x20;
    int shift = 0;
    for (; (group & 0x20) != 0; shift += 5) {
      group = at < text.size ? (uint64_t)((unsigned char)text.data[at++] - '0') : UINT64_MAX;
      if (group > 0x3F || shift > 55) {
        mask->bounds.bad = true;
        return;
      }
      bits |= (group & 0x1F) << shift;
    }
    if ((group & 0x10) != 0) bits |= UINT64_MAX << shift;
    int64_t length = (int64_t)bits + (run > 2 ? before[0] : 0);
    before[0] = before[1];
    before[1] = length;
    add_run(mask, length);
  }
}

static int read_size(struct json *json, struct mask *mask) {
  int64_t sides[2] = {0, 0}, side;
  int count = 0, more;
  if (json_peek(json) != '[') return json_skip(json);
  if (json_array(json, "size") != 0) return -1;
  while ((more = json_next_element(json)) > 0) {
    struct text text;
    if (json_peek(json) != '0') {
      if (json_skip(json) != 0) return -1;
      continue;
    }
    if (json_number_text(json, "a side", &text) != 0) return -1;
    if (count < 2 && json_whole(text, &side) && side > 0 && side <= INT32_MAX) sides[count++] = side;
  }
  mask->height = sides[0];
  mask->width = sides[1];
  return more;
}

static int read_mask(struct json *json, struct mask *mask) {
  struct text key;
  int more;
  if (json_object(json, "a mask") != 0) return -1;
  while ((more = json_next_member(json, &key)) > 0) {
    if (text_equal(key, TEXT("size"))) {
      if (read_size(json, mask) != 0) return -1;
    } else {
      if (text_equal(key, TEXT("counts"))) mask->counts = json_offset(json);
      if (json_skip(json) != 0) return -1;
    }
  }
  if (more < 0) return -1;
  if (mask->counts == 0 || mask->width == 0) {
    mask->bounds.bad = true;
    return 0;
  }
  json->at = json->begin + mask->counts;
  char kind = json_peek(json);
  if (kind == '[') return read_runs(json, mask);
  struct text text;
  mask->bounds.bad = kind != '"';
  if (kind != '"' || json_string(json, "counts", &text) != 0) return kind == '"' ? -1 : 0;
  decode_runs(text, mask);
  return 0;
}

enum coco_mask coco_mask_box(const struct json *document, size_t offset, double box[4]) {
  struct json json = {.begin = document->begin,
                      .at = document->begin + offset,
                      .end = document->end,
                      .mark = document->end,
                      .name = document->name,
                      .error = document->error};
  struct mask mask = {.bounds = {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}, false}};
  char kind = json_peek(&json);
  int status = kind == '[' ? read_points(&json, &mask.bounds) : kind == '{' ? read_mask(&json, &mask) : 0;
  json_close(&json);
  if (status != 0) return COCO_MASK_ERROR;
  if (mask.bounds.bad || (kind != '[' && kind != '{' && kind != 'n')) return COCO_MASK_BAD;
  for (int axis = 0; axis < 2; axis++) {
    if (!(mask.bounds.low[axis] <= mask.bounds.high[axis])) return COCO_MASK_NONE;
    box[axis] = mask.bounds.low[axis];
    box[axis + 2] = mask.bounds.high[axis] - mask.bounds.low[axis];
  }
  return kind == '{' ? COCO_MASK_RLE : COCO_MASK_POLYGON;
}
