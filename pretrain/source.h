/* pretrain/source - where training images come from, and what their labels are.
 *
 *   a sample store     jigsaws assembled anew in every epoch (jigsaw/assemble.h). Samples without a class (negatives,
 *                      where background is none) are left out.
 *   a jigsaw data set  STORE/jigsaws as jigsaw-gen wrote it, or any such folder: images/ and
 *                      annotations/instances.json (docs/FORMATS.md); shuffled every epoch, never flipped: the template
 *                      has a left and a right. Regions without annotation have the label -1.
 *   class folders      DIR/CLASS/picture (ImageNet's layout): random resized crop (area 8 % to 100 %, aspect 3/4 to
 *                      4/3) and flip, as torchvision's training transform; one label an image; classes by the bytes of
 *                      their names
 *
 * A part of the data is held out from training, by source image, so that no picture is on both sides: image m is held
 * out when Philox(seed, m) says so. For stores m is the source image's id; for class folders the XXH64 of
 * CLASS/picture. Written jigsaws mix source images, so they can only be held out one by one: by the XXH64 of their file
 * names. Held-out images are made without randomness that training has: jigsaws in a fixed order (epoch 0 of the
 * held-out samples), class folders by resizing the shorter side to size * 256 / 224 and a centre crop.
 */
#ifndef JIGSAW_PRETRAIN_SOURCE_H
#define JIGSAW_PRETRAIN_SOURCE_H

#include "jigsaw/assemble.h"

enum source_kind { SOURCE_STORE, SOURCE_JIGSAWS, SOURCE_FOLDERS };
enum source_part { SOURCE_TRAINING, SOURCE_HELD_OUT };

struct source_options {
  uint64_t seed;                        /* of everything, that of `assemble` is not used */
  struct jig_assemble_options assemble; /* of stores; its template is also the canvas of class folders (size) */
  double held_out;                      /* share of source images; 0: nothing is held out */
  const uint64_t *left_out;             /* ascending keys of pictures that are passed over as if they were not there */
  size_t left_out_count;                /* (see source_check); read while opening only */
  int workers;                          /* threads that will render at once, and share the machine's memory; 0: one */
};

struct source; /* may be used by many threads at once */

/* Finds out what `folder` is. `classify`: class folders are wanted, else a store or jigsaws. Fails, naming the folder
 * and what to do, for an empty store, fewer than two classes (in training: among the images that are left to it), a
 * part that would be empty. */
int source_open(struct source **source, const char *folder, bool classify, enum source_part part,
                const struct source_options *options, struct error *error);
void source_close(struct source *source);

enum source_kind source_kind(const struct source *source);
enum source_part source_part(const struct source *source);
int64_t source_epoch_length(const struct source *source); /* images of an epoch; of a held-out part: all there are */
int source_size(const struct source *source);             /* canvas: size x size */
int source_cut(const struct source *source);              /* where the template is cut; 0 for class folders */
int source_regions(const struct source *source);          /* labels an image: JIG_REGIONS or 1 */
int source_classes(const struct source *source);          /* background included, where it is a class */
const char *source_class_name(const struct source *source, int label);

/* Reads and decodes all pictures of a source's part on `workers` threads, and adds those that cannot be used (no file,
 * not a picture, damaged, of another size than annotated) to `faults`. Fails for what is the machine's fault. Sample
 * stores have no pictures, but checksums (jigsaw-gen --check). */
struct source_fault {
  uint64_t key;        /* of the picture's name: for left_out */
  const char *message; /* "PATH: what is wrong" */
};
struct source_faults {
  struct arena arena;
  struct source_fault *items;
  size_t count, capacity;
};
int source_check(const struct source *source, int workers, struct progress *progress, struct source_faults *faults,
                 struct error *error);
void source_faults_free(struct source_faults *faults);

/* A digest of what the images depend on (class names, counts, checksums of the store's shards or names and sizes of
 * files, without those left out), for a run's identity: the same for both parts; and the store's run.json, NULL when
 * there is none (free with cJSON_Delete). */
XXH128_hash_t source_digest(const struct source *source);
int source_preparation(const struct source *source, cJSON **json, struct error *error);

/* Image `index` of `epoch` (>= 0, < epoch length) as RGB of size x size, and its labels [regions]. `scratch` belongs to
 * one thread. */
struct source_scratch;
int source_scratch_create(struct source_scratch **scratch, struct error *error);
void source_scratch_free(struct source_scratch *scratch);
int source_render(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                  struct image *canvas, int32_t *labels, struct error *error);

#endif
