/* jigsaw/extract - from one image file to the crops of its samples, one after the other. */
#ifndef JIGSAW_JIGSAW_EXTRACT_H
#define JIGSAW_JIGSAW_EXTRACT_H

#include "jigsaw/sample.h"

/* Whether boxes are annotated on a picture as its EXIF orientation turns it. */
enum jig_exif {
  JIG_EXIF_AUTO, /* where the reader says so (YOLO), or where only the turned picture has the annotated size */
  JIG_EXIF_ON,
  JIG_EXIF_OFF,
};

struct jig_extract_options {
  struct jig_sample_options sample;
  int exif;        /* enum jig_exif */
  int64_t quality; /* of crops from sources that are not JPEG, 1 .. 100 */
};

/* One sample's JPEG, and where the sample lies in it. */
struct jig_crop {
  const uint8_t *bytes; /* valid during the call that hands it over */
  size_t size;
  struct rect inner; /* the exact rectangle within the JPEG, as stored */
};

/* Memory for one thread, reused from image to image. */
struct jig_extractor {
  struct buffer file; /* the source file as read */
  struct jig_samples samples;
  size_t memory;          /* that decoding a picture may take */
  struct image_info info; /* of the current image */
  int orientation;        /* to be applied to its crops after decoding: 1, or that of `info` */
  struct jpeg_cutter *cutter;
  struct image picture, part;
  struct buffer encoded;
};

enum jig_extract_result { JIG_EXTRACT_OK = 0, JIG_EXTRACT_FATAL = -1, JIG_EXTRACT_BROKEN = 1 };

/* `workers`: how many of them work at once and share the machine's memory. */
int jig_extractor_init(struct jig_extractor *extractor, int workers, struct error *error);
void jig_extractor_free(struct jig_extractor *extractor);

/* Gets sample number `number` of extractor->samples. */
typedef int jig_take_crop(void *context, const struct jig_extractor *extractor, size_t number,
                          const struct jig_crop *crop, struct error *error);

/* Samples image number `image` and hands its crops to `take`, in order; without `take` nothing is cut, and of the file
 * only the header must be sound. `more`: negatives to make up for other pictures, see jig_sample_image.
 *
 * A file that is missing, damaged above the last row needed, or of another size than annotated is JIG_EXTRACT_BROKEN,
 * with the reason in `error`; it adds nothing to `counts`, but crops may have been handed over by then. What the
 * machine is to blame for (memory, descriptors, permissions, I/O) is JIG_EXTRACT_FATAL. */
enum jig_extract_result jig_extract(struct jig_extractor *extractor, const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, int64_t more, jig_take_crop *take,
                                    void *context, struct jig_sample_counts *counts, struct error *error);

/* Opens the header only, and says how large the picture is that the boxes belong to. */
enum jig_extract_result jig_measure(const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, int *width, int *height,
                                    struct error *error);

#endif
