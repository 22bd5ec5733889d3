/* jigsaw/extract - from one image file to the crops of its samples, in memory. */
#ifndef JIGSAW_JIGSAW_EXTRACT_H
#define JIGSAW_JIGSAW_EXTRACT_H

#include "jigsaw/sample.h"

struct jig_extract_options {
  struct jig_sample_options sample;
  bool exif;       /* boxes are annotated on the picture as its EXIF orientation shows it */
  int64_t quality; /* of crops from sources that are not JPEG, 1 .. 100 */
};

/* One sample's JPEG: bytes [offset, offset + size) of the extractor's `crops`. */
struct jig_crop {
  size_t offset, size;
  struct rect inner; /* the exact rectangle within the JPEG */
};

/* Memory for one thread, reused from image to image. */
struct jig_extractor {
  struct buffer file; /* the source file as read */
  struct jig_samples samples;
  struct jig_crop *crop; /* one per sample */
  size_t crop_capacity;
  struct buffer crops;
  size_t memory;   /* that decoding a picture may take */
  int orientation; /* of the current image: to be applied to its crops after decoding */
  struct jpeg_cutter *cutter;
  struct image picture, part;
  struct buffer encoded;
};

enum jig_extract_result { JIG_EXTRACT_OK = 0, JIG_EXTRACT_FATAL = -1, JIG_EXTRACT_BROKEN = 1 };

/* `workers`: how many of them work at once and share the machine's memory. */
int jig_extractor_init(struct jig_extractor *extractor, int workers, struct error *error);
void jig_extractor_free(struct jig_extractor *extractor);

/* Samples image number `image` and cuts its crops. A file that is missing, damaged above the last row needed, or of
 * another size than annotated is JIG_EXTRACT_BROKEN, with the reason in `error`; it adds nothing to `counts`. With
 * `plan_only` nothing is cut and of the file only the header must be sound. */
enum jig_extract_result jig_extract(struct jig_extractor *extractor, const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, bool plan_only,
                                    struct jig_sample_counts *counts, struct error *error);

#endif
