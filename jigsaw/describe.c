/* KEY.json: what docs/FORMATS.md lists. */
#include "jigsaw/generate.h"

int jig_describe_sample(const struct jig_record *record, const struct dataset_category *category, const char *file_name,
                        int set, struct buffer *text, struct error *error) {
  const int32_t *source = record->source, *inner = record->inner;
  const float *box = record->box;
  text->size = 0;
  if (buffer_printf(text, error, "{\"label\":%d,\"category\":", record->label)) return -1;
  if (buffer_json_string(text, category ? category->name : "background", error)) return -1;
  if (category && buffer_printf(text, error, ",\"category_id\":%lld,\"annotation_id\":%lld", (long long)category->id,
                                (long long)record->annotation_id)) {
    return -1;
  }
  if (set > 0 && buffer_printf(text, error, ",\"set\":%d", set)) return -1;
  if (buffer_printf(text, error, ",\"group\":\"%c\",\"image_id\":%lld,\"file_name\":", jig_group_letters[record->group],
                    (long long)record->image_id) ||
      buffer_json_string(text, file_name, error) ||
      buffer_printf(text, error, ",\"source\":[%d,%d,%d,%d],\"rect\":[%d,%d,%d,%d],\"orientation\":%d", source[0],
                    source[1], source[2], source[3], inner[0], inner[1], inner[2], inner[3], record->orientation)) {
    return -1;
  }
  if (category && buffer_printf(text, error, ",\"bbox\":[%.9g,%.9g,%.9g,%.9g]", box[0], box[1], box[2], box[3])) {
    return -1;
  }
  return buffer_append(text, "}", 1, error);
}
