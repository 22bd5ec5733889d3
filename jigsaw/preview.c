#include <math.h>
#include <sys/stat.h>

#include "jigsaw/generate.h"

/* The sheet is held in memory, and written as one PNG. */
#define SHEET_PIXELS_MAX ((int64_t)256 << 20)

enum { MARGIN = 10, TEXT_HEIGHT = 10 };

static const struct color paper = {24, 26, 30}, border = {255, 255, 255}, box_color = {255, 176, 0},
                          label_back = {0, 0, 0}, label_text = {255, 255, 255};

static void draw_label(struct image *sheet, const struct rect *tile, const char *name) {
  int width = draw_text_width(1, name) + 4;
  struct rect back = {tile->x + 1, tile->y + 1, width < tile->w - 2 ? width : tile->w - 2, TEXT_HEIGHT + 2};
  struct image part = {0};
  struct error ignored;
  draw_fill(sheet, back, label_back);
  /* Text is drawn on a picture of its own so that long names end at the tile's edge. */
  if (image_alloc(&part, back.w, back.h, &ignored)) return;
  draw_text(&part, 2, 2, 1, label_text, name);
  draw_image(sheet, back.x, back.y, &part);
  image_free(&part);
}

static void draw_tile(struct image *sheet, const struct jig_assembler *assembler, const struct jig_tile *tile, int x,
                      int y) {
  double box[4];
  struct rect region = {x + tile->region.x, y + tile->region.y, tile->region.w, tile->region.h};
  if (jig_tile_box(assembler, tile, box)) {
    int left = (int)floor(box[0]), top = (int)floor(box[1]);
    struct rect frame = {x + left, y + top, (int)ceil(box[0] + box[2]) - left, (int)ceil(box[1] + box[3]) - top};
    draw_frame(sheet, frame, 1, box_color);
  }
  draw_frame(sheet, region, 1, border);
  draw_label(sheet, &region, jig_store_label_name(assembler->store, tile->label));
}

/* A sheet about one and a half times as wide as high. */
static int sheet_columns(int count) {
  int columns = (int)floor(sqrt(1.5 * count) + 0.5);
  return columns < 1 ? 1 : columns;
}

int jig_preview_check(const struct jig_template *template, int count, const char *path, struct error *error) {
  int64_t columns = sheet_columns(count), rows = (count + columns - 1) / columns, step = template->size + MARGIN;
  int64_t width = columns * step + MARGIN, height = rows * step + MARGIN;
  if (width * height > SHEET_PIXELS_MAX) {
    return error_set(error, "%s: a preview of %d jigsaws would be %lld x %lld pixels; choose a smaller --preview-count",
                     path, count, (long long)width, (long long)height);
  }
  struct stat status;
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
    return error_set(error, "%s: not a regular file; choose another name for the preview", path);
  }
  struct file_writer trial;
  if (file_create_beside(&trial, path, error)) return -1;
  file_abandon(&trial);
  return 0;
}

int jig_preview(const struct jig_assembler *assembler, int count, const char *path, struct error *error) {
  int size = assembler->options.template.size, columns = sheet_columns(count);
  int rows = (count + columns - 1) / columns, step = size + MARGIN;
  struct image sheet = {0}, canvas = {0};
  struct jig_scratch scratch = {0};
  struct buffer png = {0};
  int result = image_alloc(&sheet, columns * step + MARGIN, rows * step + MARGIN, error);
  if (result == 0) draw_fill(&sheet, (struct rect){0, 0, sheet.width, sheet.height}, paper);
  for (int i = 0; result == 0 && i < count; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    int x = MARGIN + i % columns * step, y = MARGIN + i / columns * step;
    jig_plan(assembler, 0, i, tiles);
    result = jig_render(assembler, tiles, &scratch, &canvas, error);
    if (result == 0) draw_image(&sheet, x, y, &canvas);
    for (int region = 0; result == 0 && region < JIG_REGIONS; region++) {
      draw_tile(&sheet, assembler, &tiles[region], x, y);
    }
  }
  if (result == 0) result = image_encode_png(&sheet, &png, error);
  if (result == 0) result = file_write_beside(path, png.data, png.size, error);
  buffer_free(&png);
  jig_scratch_free(&scratch);
  image_free(&canvas);
  image_free(&sheet);
  return result;
}
