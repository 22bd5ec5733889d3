/* Whether the boxes can be what they are taken for: crops of the wrong places look like work well done. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <math.h>

enum {
  PROBED_MAX = 100, /* pictures whose size the annotations do not say */
  FEW = 5,          /* boxes of which nothing follows */
};

/* One box and why it is counted, for the message. */
struct example {
  const struct dataset_box *box;
  const struct dataset_image *image;
};

/* What else four numbers may be: all of a data set fit so, where as x y w h many reach beyond their pictures. */
enum reading { CORNERS, TURNED_CORNERS, INTERVALS, TURNED, CENTRES, READINGS };

static const struct {
  int percent; /* of the boxes that reach beyond as x y w h, at least */
  const char *what, *advice;
} readings[READINGS] = {
    [CORNERS] = {25, "reach beyond their picture as x y w h, but fit as x1 y1 x2 y2", "--boxes xyxy takes them so"},
    [TURNED_CORNERS] = {25, "reach beyond their picture as x y w h, but fit as y1 x1 y2 x2",
                        "write them as x1 y1 x2 y2, which --boxes xyxy takes"},
    [INTERVALS] = {25, "reach beyond their picture as x y w h, but fit as x1 x2 y1 y2",
                   "write them as x1 y1 x2 y2, which --boxes xyxy takes"},
    [TURNED] = {25, "reach beyond their picture as x y w h, but fit as y x h w", "write them as x y w h"},
    [CENTRES] = {10, "reach beyond their picture as x y w h, but fit as centre x, centre y, w, h",
                 "write x and y of the upper left corner: x - w / 2, y - h / 2"},
};

/* What a source's boxes look like, taken as x y w h. */
struct tally {
  int64_t boxes;
  int64_t empty;             /* without area, or not numbers */
  int64_t outside;           /* wholly */
  int64_t sticking_out;      /* by more than rounding and carelessness explain */
  int64_t fitting[READINGS]; /* would be fine, read so */
  int64_t percents;          /* within 0 .. 100 */
  int64_t roomy;             /* of pictures that are far larger */
  int64_t fractions;
  double reach;             /* the farthest right or lower edge */
  int64_t parts;            /* within 0 .. 1 */
  int64_t parts_sticking;   /* of these: x + w or y + h is more than 1 */
  int64_t parts_as_corners; /* of these: fine as x1 y1 x2 y2 */
  int64_t voc_parts;        /* within 0 .. 1 before 1 was taken off, as VOC's corners are counted from 1 */
  struct example first_empty, first_outside, first_part, first_percent, first_voc_part;
};

/* The upright size of a picture; of a turned one, a square that holds both ways. It stays when it cannot be read. */
static int probe_size(const struct dataset_image *image, double *width, double *height, struct error *error) {
  struct image_info info;
  bool known;
  if (picture_probe(image, &info, &known, error) != 0) return -1;
  if (!known) return 0;
  bool turned = info.orientation >= 5;
  *width = turned && info.height > info.width ? info.height : info.width;
  *height = turned && info.width > info.height ? info.width : info.height;
  return 0;
}

static void remember(struct example *first, const struct dataset_image *image, const struct dataset_box *box) {
  if (first->box == NULL) *first = (struct example){box, image};
}

static bool is_fraction(double value) {
  return value != floor(value);
}

/* Whether an interval lies within 0 .. size. */
static bool within(double low, double high, double size) {
  double slack = fmax(2, size * 0.02);
  return low < high && low >= -slack && high <= size + slack;
}

static void tally_readings(struct tally *tally, const struct dataset_box *box, double width, double height) {
  double a = box->x, b = box->y, c = box->w, d = box->h;
  tally->fitting[CORNERS] += within(a, c, width) && within(b, d, height);
  tally->fitting[TURNED_CORNERS] += within(b, d, width) && within(a, c, height);
  tally->fitting[INTERVALS] += within(a, b, width) && within(c, d, height);
  tally->fitting[TURNED] += within(b, b + d, width) && within(a, a + c, height);
  tally->fitting[CENTRES] += within(a - c / 2, a + c / 2, width) && within(b - d / 2, b + d / 2, height);
}

static void tally_percents(struct tally *tally, const struct dataset_image *image, const struct dataset_box *box,
                           double width, double height) {
  enum { ROOMY = 200 };
  double right = box->x + box->w, lower = box->y + box->h;
  tally->fractions += is_fraction(box->x) || is_fraction(box->y) || is_fraction(box->w) || is_fraction(box->h);
  tally->reach = fmax(tally->reach, fmax(right, lower));
  tally->roomy += width >= ROOMY && height >= ROOMY;
  if (!(fmin(box->x, box->y) >= -0.1 && right <= 100.1 && lower <= 100.1)) return;
  tally->percents++;
  remember(&tally->first_percent, image, box);
}

static void tally_box(struct tally *tally, const struct dataset_image *image, const struct dataset_box *box,
                      double width, double height) {
  double x = box->x, y = box->y, w = box->w, h = box->h;
  double slack_x = fmax(2, width * 0.02), slack_y = fmax(2, height * 0.02);
  tally->boxes++;
  if (!(w > 0 && h > 0) || !isfinite(x) || !isfinite(y) || !isfinite(w) || !isfinite(h)) {
    tally->empty++;
    remember(&tally->first_empty, image, box);
    return;
  }
  tally_readings(tally, box, width, height);
  tally_percents(tally, image, box, width, height);
  if (x >= width || y >= height || x + w <= 0 || y + h <= 0) {
    tally->outside++;
    remember(&tally->first_outside, image, box);
  }
  if (x < -slack_x || y < -slack_y || x + w > width + slack_x || y + h > height + slack_y) {
    tally->sticking_out++;
    remember(&tally->first_outside, image, box);
  }
  bool in_parts = fmax(fmax(x, y), fmax(w, h)) <= 1.0001 && fmin(x, y) >= -0.01;
  if (in_parts && (is_fraction(x) || is_fraction(y) || is_fraction(w) || is_fraction(h))) {
    tally->parts++;
    tally->parts_sticking += x + w > 1.01 || y + h > 1.01;
    tally->parts_as_corners += w > x && h > y;
    remember(&tally->first_part, image, box);
  }
  double right = x + w, bottom = y + h;
  bool voc_in_parts = fmax(right, bottom) <= 1.0001 && fmin(x, y) >= -1.01;
  if (voc_in_parts && (is_fraction(right) || is_fraction(bottom) || is_fraction(x) || is_fraction(y))) {
    tally->voc_parts++;
    remember(&tally->first_voc_part, image, box);
  }
}

static int tally_images(struct tally *tally, const struct dataset *dataset, int64_t first, int64_t last,
                        struct error *error) {
  int probed = 0;
  *tally = (struct tally){0};
  for (int64_t i = first; i < last; i++) {
    const struct dataset_image *image = &dataset->images[i];
    double width = image->width, height = image->height;
    if (image->box_count == 0) continue;
    if ((width <= 0 || height <= 0) && probed++ < PROBED_MAX && probe_size(image, &width, &height, error) != 0)
      return -1;
    if (width <= 0 || height <= 0) continue;
    for (int32_t k = 0; k < image->box_count; k++)
      tally_box(tally, image, &dataset->boxes[image->first_box + k], width, height);
  }
  return 0;
}

/* ---- the verdict ---- */

struct verdict {
  bool stop;
  int64_t count; /* of the boxes that speak for it */
  const char *what, *advice;
  struct example first;
};

/* What the boxes are rather than x y w h, of which valid ones never reach beyond the picture; READINGS: nothing else.
 */
static int other_reading(const struct tally *tally) {
  for (int i = 0; i < READINGS; i++) {
    if (tally->fitting[i] * 20 >= tally->boxes * 19 && tally->sticking_out >= 3 &&
        tally->sticking_out * 100 >= tally->boxes * readings[i].percent) {
      return i;
    }
  }
  return READINGS;
}

/* All in the upper left corner of pictures that are far larger than 100 pixels, and not on whole pixels. */
static bool look_like_percents(const struct tally *tally) {
  return tally->boxes >= FEW && tally->percents * 20 >= tally->boxes * 19 && tally->roomy * 2 > tally->boxes &&
         tally->fractions * 2 > tally->boxes && tally->reach > 50;
}

static struct verdict judge(const struct tally *tally, enum dataset_format format, enum dataset_boxes as) {
  bool plain = format == DATASET_COCO && as == DATASET_XYWH;
  if (plain && tally->parts * 2 > tally->boxes) {
    bool corners = tally->parts_sticking > 0 && tally->parts_as_corners * 20 >= tally->parts * 19;
    return (struct verdict){true, tally->parts, "lie within 0 .. 1, as parts of the picture's sides do",
                            corners ? "they look like x1 y1 x2 y2: --boxes relative-xyxy"
                                    : "--boxes relative takes them so",
                            tally->first_part};
  }
  int reading = plain ? other_reading(tally) : READINGS;
  if (reading < READINGS) {
    return (struct verdict){true, tally->sticking_out, readings[reading].what, readings[reading].advice,
                            tally->first_outside};
  }
  if (plain && look_like_percents(tally)) {
    return (struct verdict){true, tally->percents, "lie within 0 .. 100, as percentages of the picture's sides do",
                            "divide them by 100 for --boxes relative", tally->first_percent};
  }
  if (format == DATASET_VOC && tally->voc_parts * 2 > tally->boxes) {
    return (struct verdict){true, tally->voc_parts, "lie within 0 .. 1 before 1 is taken off their corners",
                            "VOC's are in pixels: multiply them by the picture's width and height",
                            tally->first_voc_part};
  }
  const char *advice = "are these the annotations of these pictures, at this size?";
  if (format == DATASET_YOLO) advice = "YOLO's are centre and size as parts of the picture's sides, 0 .. 1";
  if (format == DATASET_COCO) advice = "--boxes says what a bbox holds, if this is not the wrong picture or size";
  int64_t bad = tally->empty + tally->outside, odd = tally->empty + tally->sticking_out;
  if (bad * 2 > tally->boxes) {
    bool empty = tally->empty > tally->outside;
    return (struct verdict){tally->boxes >= FEW, bad, "have no area or lie outside their picture", advice,
                            empty ? tally->first_empty : tally->first_outside};
  }
  if (odd * 2 > tally->boxes) {
    return (struct verdict){tally->boxes >= FEW, odd, "have no area or reach beyond their picture", advice,
                            tally->first_outside.box != NULL ? tally->first_outside : tally->first_empty};
  }
  if (odd * 10 > tally->boxes) {
    return (struct verdict){false, odd, "have no area or reach beyond their picture", advice,
                            tally->first_outside.box != NULL ? tally->first_outside : tally->first_empty};
  }
  return (struct verdict){0};
}

static int tell(struct dataset *dataset, const char *name, const struct tally *tally, const struct verdict *verdict,
                bool stop, struct error *error) {
  const struct dataset_box *box = verdict->first.box;
  const struct dataset_image *image = verdict->first.image;
  struct error text;
  error_set(&text, "%s: %" PRId64 " of %" PRId64 " boxes %s, the first in \"%.200s\": [%g, %g, %g, %g]; %s", name,
            verdict->count, tally->boxes, verdict->what, image->file_name, box->x, box->y, box->w, box->h,
            verdict->advice);
  if (!stop) return dataset_note(dataset, error, "%s", text.message);
  return error_set(error, "%s (--boxes xywh goes on regardless)", text.message);
}

int dataset_check_boxes(struct dataset *dataset, const struct dataset_source *sources, enum dataset_boxes as, bool sure,
                        struct error *error) {
  for (int64_t first = 0, last; first < dataset->image_count; first = last) {
    struct tally tally;
    int32_t set = dataset->images[first].set;
    for (last = first; last < dataset->image_count && dataset->images[last].set == set;)
      last++;
    if (tally_images(&tally, dataset, first, last, error) != 0) return -1;
    const struct dataset_source *source = &sources[set > 0 ? set - 1 : 0];
    struct verdict verdict = judge(&tally, source->format, as);
    if (verdict.what == NULL || verdict.first.image == NULL) continue;
    if (tell(dataset, source->annotations, &tally, &verdict, verdict.stop && !sure, error) != 0) return -1;
  }
  return 0;
}
