#include <stdlib.h>
#include <string.h>

#include "jigsaw/generate.h"

static void print_bytes(FILE *stream, int64_t bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = (double)bytes;
  int unit = 0;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    unit++;
  }
  fprintf(stream, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* At most `columns` letters of a name, padded to so many (0: all of it); what a terminal should not have is a "?". */
static void print_name(FILE *stream, const char *name, int columns) {
  char tame[512];
  int used = 0;
  snprintf(tame, sizeof tame, "%s", name);
  text_tame(tame);
  for (const char *at = tame; *at; at++) {
    bool first = ((unsigned char)*at & 0xc0) != 0x80; /* of a letter's bytes in UTF-8 */
    if (first && used++ == columns && columns > 0) break;
    fputc(*at, stream);
  }
  if (used < columns) fprintf(stream, "%*s", columns - used, "");
}

/* Boxes that only a mistake makes: where the first of each kind is. */
static void print_first_drops(FILE *stream, const struct dataset *dataset, const struct jig_sample_options *options) {
  static const enum jig_drop mistakes[] = {JIG_DROP_NON_FINITE, JIG_DROP_SWAPPED, JIG_DROP_EMPTY, JIG_DROP_OUTSIDE};
  struct jig_survey survey = jig_survey(dataset, options);
  for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
    if (survey.dropped[mistakes[i]] == 0) continue;
    const struct dataset_image *image = &dataset->images[survey.first_image[mistakes[i]]];
    const struct dataset_box *box = &dataset->boxes[survey.first_box[mistakes[i]]];
    fprintf(stream, "    first %s: annotation %lld in ", jig_drop_names[mistakes[i]], (long long)box->id);
    print_name(stream, image->file_name, 0);
    fprintf(stream, ": %g x %g at (%g, %g)\n", box->w, box->h, box->x, box->y);
  }
}

static void print_boxes(FILE *stream, const struct dataset *dataset, const struct jig_sample_options *options,
                        const struct jig_sample_counts *counts) {
  int64_t dropped = 0;
  for (int i = 0; i < JIG_DROPS; i++) {
    dropped += counts->dropped[i];
  }
  fprintf(stream, "  boxes     %lld: %lld kept", (long long)counts->boxes, (long long)counts->positives);
  if (counts->clipped > 0) fprintf(stream, " (%lld of them clipped to the image)", (long long)counts->clipped);
  fprintf(stream, ", %lld left out", (long long)dropped);
  for (int i = 0, listed = 0; i < JIG_DROPS; i++) {
    if (counts->dropped[i] == 0) continue;
    fprintf(stream, "%s%lld %s", listed++ ? ", " : " (", (long long)counts->dropped[i], jig_drop_names[i]);
    dropped -= counts->dropped[i];
    if (dropped == 0) fputc(')', stream);
  }
  fputc('\n', stream);
  print_first_drops(stream, dataset, options);
}

static void print_negatives(FILE *stream, const struct jig_sample_options *options,
                            const struct jig_sample_counts *counts) {
  int64_t missing = counts->negatives_given_up;
  if (options->negatives_from == JIG_FROM_ANY) {
    missing = jig_negatives_wanted(options, counts->positives) - counts->negatives;
  }
  fprintf(stream, "  negatives %lld", (long long)counts->negatives);
  if (counts->negatives > 0) fprintf(stream, " (1 : %.1f)", (double)counts->positives / (double)counts->negatives);
  if (counts->negatives_made_up > 0) {
    fprintf(stream, ", %lld of them made up for pictures without room", (long long)counts->negatives_made_up);
  }
  if (missing > 0) fprintf(stream, ", %lld given up for want of room", (long long)missing);
  fputc('\n', stream);
}

/* What cannot be seen where the size is the same: whose pixels the boxes are on. */
static void print_orientations(FILE *stream, const struct jig_totals *totals) {
  int64_t stored = totals->images_turned - totals->images_upright;
  if (totals->images_turned == 0) return;
  fprintf(stream, "  exif      %lld with an EXIF orientation; boxes are taken to be on the ",
          (long long)totals->images_turned);
  if (totals->images_upright == 0) {
    fprintf(stream, "stored pixels; --exif if they were drawn on the upright picture\n");
  } else if (stored == 0) {
    fprintf(stream, "upright pictures\n");
  } else {
    fprintf(stream, "upright picture for %lld, on the stored pixels for %lld; --exif on|off decides for all\n",
            (long long)totals->images_upright, (long long)stored);
  }
}

static int64_t label_total(const struct jig_totals *totals, int32_t label) {
  int64_t total = 0;
  for (int group = 0; group < JIG_GROUPS; group++) {
    total += totals->labels[label][group];
  }
  return total;
}

static void print_label(FILE *stream, const char *name, const struct jig_totals *totals, int32_t label) {
  const int64_t *groups = totals->labels[label];
  fputs("    ", stream);
  print_name(stream, name, 24);
  fprintf(stream, " %9lld   T %lld  S %lld  W %lld\n", (long long)label_total(totals, label),
          (long long)groups[JIG_TALL], (long long)groups[JIG_SQUARE], (long long)groups[JIG_WIDE]);
}

/* Labels by falling number of samples. */
struct rank {
  int64_t samples;
  int32_t label;
};

static int compare_ranks(const void *a, const void *b) {
  const struct rank *x = a, *y = b;
  if (x->samples != y->samples) return x->samples < y->samples ? 1 : -1;
  return x->label < y->label ? -1 : x->label > y->label;
}

static void print_ranks(FILE *stream, const struct dataset *dataset, const struct jig_totals *totals,
                        const struct rank *ranks, int32_t count) {
  enum { SHOWN = 10 };
  int32_t used = count;
  while (used > 1 && ranks[used - 1].samples == 0)
    used--;
  fprintf(stream, "  classes   %d, %d without samples", count, count - used);
  if (ranks[used - 1].samples > 0) {
    fprintf(stream, "; imbalance %.1f (%lld : %lld)", (double)ranks[0].samples / (double)ranks[used - 1].samples,
            (long long)ranks[0].samples, (long long)ranks[used - 1].samples);
  }
  fputc('\n', stream);
  for (int32_t i = 0; i < count; i++) {
    if (count > SHOWN && i == SHOWN / 2) {
      fprintf(stream, "    ... %d more\n", count - SHOWN);
      i = count - SHOWN / 2;
    }
    print_label(stream, dataset->categories[ranks[i].label].name, totals, ranks[i].label);
  }
}

static void print_classes(FILE *stream, const struct dataset *dataset, const struct jig_totals *totals) {
  int32_t categories = (int32_t)dataset->category_count;
  struct rank *ranks = calloc((size_t)categories, sizeof *ranks);
  for (int32_t i = 0; ranks && i < categories; i++) {
    ranks[i] = (struct rank){label_total(totals, i), i};
  }
  if (ranks) {
    qsort(ranks, (size_t)categories, sizeof *ranks, compare_ranks);
    print_ranks(stream, dataset, totals, ranks, categories);
  }
  free(ranks);
  if (totals->counts.negatives > 0) print_label(stream, "background", totals, categories);
}

static void print_broken(FILE *stream, const struct jig_totals *totals) {
  enum { SHOWN = 20 };
  const char *line = (const char *)totals->broken.data, *end = line + totals->broken.size;
  for (int i = 0; i < SHOWN && line < end; i++) {
    int length = (int)strcspn(line, "\n");
    fprintf(stream, "    %.*s\n", length, line);
    line += length + 1;
  }
  if (totals->images_broken > SHOWN) {
    fprintf(stream, "    and %lld more\n", (long long)totals->images_broken - SHOWN);
  }
}

void jig_print_reading(FILE *stream, const struct dataset *dataset) {
  for (int fault = 0; fault < DATASET_FAULTS; fault++) {
    const struct dataset_fault_count *count = &dataset->faults[fault];
    if (count->count == 0) continue;
    line_print(stream, "  %s  %lld annotations %s; the first: %s",
               dataset_fault_harmless(fault) ? "note    " : "left out", (long long)count->count,
               dataset_fault_names[fault], count->first);
  }
  for (size_t i = 0; i < dataset->note_count; i++) {
    line_print(stream, "  note      %s", dataset->notes[i]);
  }
}

void jig_print_summary(FILE *stream, const struct dataset *dataset, const struct jig_generate_options *options,
                       const struct jig_totals *totals, double seconds) {
  const struct jig_sample_options *sample = &options->extract.sample;
  fprintf(stream, "\n  images    %lld, %lld without samples, %lld broken", (long long)totals->images,
          (long long)totals->images_without_samples, (long long)totals->images_broken);
  if (totals->image_bytes > 0) {
    fprintf(stream, ", ");
    print_bytes(stream, totals->image_bytes);
  }
  fputc('\n', stream);
  print_broken(stream, totals);
  print_orientations(stream, totals);
  print_boxes(stream, dataset, sample, &totals->counts);
  print_negatives(stream, sample, &totals->counts);
  double all = totals->samples > 0 ? (double)totals->samples / 100 : 1;
  fprintf(stream, "  samples   %lld", (long long)totals->samples);
  for (int group = 0; group < JIG_GROUPS; group++) {
    fprintf(stream, ", %c %lld (%.1f %%)", jig_group_letters[group], (long long)totals->groups[group],
            (double)totals->groups[group] / all);
  }
  fputc('\n', stream);
  print_classes(stream, dataset, totals);
  if (totals->store_bytes > 0) {
    fprintf(stream, "  store     ");
    print_bytes(stream, totals->store_bytes);
    if (seconds > 0) {
      fprintf(stream, ", %.0f img/s, %.0f samples/s", (double)totals->images / seconds,
              (double)totals->samples / seconds);
    }
    fputc('\n', stream);
  }
  jig_print_reading(stream, dataset);
}

void jig_print_shortage(FILE *stream, const struct jig_assembler *assembler) {
  for (int group = 0; group < JIG_GROUPS; group++) {
    int64_t own = jig_available(assembler, group);
    double asked = (double)jig_asked(assembler, group);
    char letter = jig_group_letters[group];
    bool short_of = false;
    for (int helper = 0; helper < JIG_GROUPS; helper++) {
      double taken = (double)assembler->share[group][helper];
      if (helper == group || taken == 0) continue;
      fprintf(stream, "  shortage  %c: %lld samples; %.0f %% of its regions take %c samples instead\n", letter,
              (long long)own, 100 * taken / asked, jig_group_letters[helper]);
      short_of = true;
    }
    if (!short_of && asked > 1.5 * (double)own) {
      fprintf(stream, "  note      %c: %lld samples, each used %.1f times an epoch\n", letter, (long long)own,
              asked / (double)own);
    }
  }
}
