/* The class names of a YOLO data set: a list, one name a line, or the `names` of a data.yaml. */
#include "core/dataset/internal.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

enum { YAML_SIZE_MAX = 4 << 20 };

static int add_name(struct dataset *dataset, struct text name, const char *source, struct error *error) {
  if (name.size == 0) return error_set(error, "%s: an empty class name", source);
  const char *copy = build_name(dataset, name, source, error);
  return copy == NULL ? -1 : build_category(dataset, dataset->category_count, copy, error);
}

int yolo_names_parse(struct dataset *dataset, struct text file, const char *name, struct error *error) {
  struct text rest = text_trim(text_without_bom(file)), line;
  if (rest.size == 0) return error_set(error, "%s: no class names: write one a line", name);
  for (int number = 1; text_next_line(&rest, &line); number++) {
    char source[512];
    snprintf(source, sizeof(source), "%s:%d", name, number);
    if (add_name(dataset, line, source, error) != 0) return -1;
  }
  return 0;
}

/* ---- data.yaml ---- */

static struct text node_text(const yaml_node_t *node) {
  if (node == NULL || node->type != YAML_SCALAR_NODE) return (struct text){"", 0};
  return (struct text){(const char *)node->data.scalar.value, node->data.scalar.length};
}

static yaml_node_t *find_names(yaml_document_t *document) {
  yaml_node_t *root = yaml_document_get_root_node(document);
  if (root == NULL || root->type != YAML_MAPPING_NODE) return NULL;
  for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
    if (!text_equal(node_text(yaml_document_get_node(document, pair->key)), TEXT("names"))) continue;
    return yaml_document_get_node(document, pair->value);
  }
  return NULL;
}

static int node_fail(const char *name, const yaml_node_t *node, struct error *error) {
  return error_set(error, "%s:%zu: \"names\" must be a list of names or a map from 0, 1, ... to names", name,
                   node == NULL ? (size_t)1 : node->start_mark.line + 1);
}

/* The names by class: scalars of a list, or of a map whose keys are 0 .. count - 1 in any order. */
static int collect_names(yaml_document_t *document, const yaml_node_t *names, yaml_node_t **nodes, size_t count,
                         const char *name, struct error *error) {
  for (size_t i = 0; i < count; i++) {
    int value = 0;
    int64_t at = (int64_t)i;
    if (names->type == YAML_SEQUENCE_NODE) {
      value = names->data.sequence.items.start[i];
    } else {
      const yaml_node_pair_t *pair = &names->data.mapping.pairs.start[i];
      double key;
      value = pair->value;
      if (!text_number(node_text(yaml_document_get_node(document, pair->key)), &key)) {
        return node_fail(name, names, error);
      }
      at = key >= 0 && key < (double)count ? (int64_t)key : -1;
      if (at < 0 || (double)at != key || nodes[at] != NULL) {
        return error_set(error, "%s:%zu: \"names\" must have each of the keys 0 .. %zu once", name,
                         names->start_mark.line + 1, count - 1);
      }
    }
    nodes[at] = yaml_document_get_node(document, value);
    if (nodes[at] == NULL || nodes[at]->type != YAML_SCALAR_NODE) return node_fail(name, names, error);
  }
  return 0;
}

static int read_names(struct dataset *dataset, yaml_document_t *document, const char *name, struct error *error) {
  const yaml_node_t *names = find_names(document);
  if (names == NULL || names->type == YAML_SCALAR_NODE) return node_fail(name, names, error);
  size_t count = names->type == YAML_SEQUENCE_NODE
                     ? (size_t)(names->data.sequence.items.top - names->data.sequence.items.start)
                     : (size_t)(names->data.mapping.pairs.top - names->data.mapping.pairs.start);
  if (count == 0) return error_set(error, "%s:%zu: \"names\" is empty", name, names->start_mark.line + 1);
  yaml_node_t **nodes = calloc(count, sizeof(yaml_node_t *));
  if (nodes == NULL) return error_memory(error, count * sizeof(yaml_node_t *));
  int status = collect_names(document, names, nodes, count, name, error);
  for (size_t i = 0; i < count && status == 0; i++) {
    char source[512];
    snprintf(source, sizeof(source), "%s:%zu", name, nodes[i]->start_mark.line + 1);
    status = add_name(dataset, text_trim(node_text(nodes[i])), source, error);
  }
  free(nodes);
  return status;
}

int yolo_yaml_parse(struct dataset *dataset, struct text file, const char *name, struct error *error) {
  if (file.size > YAML_SIZE_MAX) return error_set(error, "%s: %zu bytes are too many for YAML", name, file.size);
  yaml_parser_t parser;
  yaml_document_t document;
  if (!yaml_parser_initialize(&parser)) return error_memory(error, sizeof(parser));
  yaml_parser_set_input_string(&parser, (const unsigned char *)file.data, file.size);
  int status;
  if (yaml_parser_load(&parser, &document)) {
    status = read_names(dataset, &document, name, error);
    yaml_document_delete(&document);
  } else {
    status = error_set(error, "%s:%zu: %s", name, parser.problem_mark.line + 1,
                       parser.problem == NULL ? "YAML cannot be read" : parser.problem);
  }
  yaml_parser_delete(&parser);
  return status;
}

/* ---- finding the file ---- */

/* The file in `folder` that lists the classes; NULL when there is none (the error stays empty) or on failure. */
static const char *find_file(struct arena *arena, const char *folder, struct error *error) {
  static const char *const before[] = {"classes.txt", "obj.names"};
  static const char *const suffixes[] = {".names", NULL};
  static const char *const after[] = {"data.yaml", "data.yml", "dataset.yaml"};
  struct name_list list;
  if (!folder_exists(folder)) return NULL;
  for (size_t i = 0; i < COUNT_OF(before); i++) {
    const char *path = path_in(arena, folder, before[i], error);
    if (path == NULL || file_exists(path)) return path;
  }
  if (folder_list(folder, false, suffixes, arena, &list, error) != 0) return NULL;
  const char *only = list.count == 1 ? list.names[0] : NULL;
  size_t count = list.count;
  name_list_free(&list);
  if (count > 1) {
    error_set(error, "%s: %zu files *.names: which one lists the classes? Copy it to classes.txt", folder, count);
    return NULL;
  }
  if (only != NULL) return path_in(arena, folder, only, error);
  for (size_t i = 0; i < COUNT_OF(after); i++) {
    const char *path = path_in(arena, folder, after[i], error);
    if (path == NULL || file_exists(path)) return path;
  }
  return NULL;
}

/* The class file of a data set: in `folder`, else with the labels or just above them, else above `folder`. */
static const char *search(struct arena *arena, const char *folder, const char *labels, struct error *error) {
  const char *parent = path_in(arena, folder, "..", error), *labels_parent = path_in(arena, labels, "..", error);
  const char *grandparent = parent == NULL ? NULL : path_in(arena, parent, "..", error);
  if (grandparent == NULL || labels_parent == NULL) return NULL;
  const char *folders[] = {folder, labels, labels_parent, parent, grandparent};
  const char *path = NULL;
  for (size_t i = 0; i < COUNT_OF(folders) && path == NULL && error->message[0] == '\0'; i++)
    path = find_file(arena, folders[i], error);
  return path;
}

int yolo_names_load(struct dataset *dataset, const char *folder, const char *labels, XXH3_state_t *hash,
                    struct error *error) {
  struct arena arena = {0};
  struct buffer file = {0};
  struct error found = {0};
  const char *path = search(&arena, folder, labels, &found);
  int status = -1;
  if (path == NULL) {
    error_set(error, "%s",
              found.message[0] != '\0' ? found.message
                                       : "no class names: put classes.txt (one name a line) or data.yaml there");
    if (found.message[0] == '\0') error_context(error, "%s and the two folders above it", folder);
    goto done;
  }
  if (file_read(&file, path, error) != 0) goto done;
  XXH3_128bits_update(hash, file.data, file.size);
  bool yaml = strcmp(name_base(path) + name_stem(name_base(path)), ".yaml") == 0 ||
              strcmp(name_base(path) + name_stem(name_base(path)), ".yml") == 0;
  struct text text = {(const char *)file.data, file.size};
  status = yaml ? yolo_yaml_parse(dataset, text, path, error) : yolo_names_parse(dataset, text, path, error);
done:
  buffer_free(&file);
  arena_free(&arena);
  return status;
}
