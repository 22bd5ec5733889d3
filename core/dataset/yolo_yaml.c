/* What describes a YOLO data set: Ultralytics' data.yaml, and darknet's obj.data. */
#include <stdlib.h>

#include <yaml.h>

#include "core/dataset/yolo.h"

enum { YAML_SIZE_MAX = 4 << 20, CLASSES_MAX = 10000, KEYPOINTS_MAX = 1000 };

const char *yolo_split(const char *name) {
  return strcmp(name, "valid") == 0 || strcmp(name, "validation") == 0 ? "val" : name;
}

static int add_entry(struct yolo_data *data, struct arena *arena, const char *split, struct text path,
                     struct error *error) {
  void *items = data->entries;
  int status = array_reserve(&items, &data->entry_capacity, data->entry_count + 1, sizeof(*data->entries), error);
  data->entries = items;
  if (status != 0) return -1;
  const char *copy = arena_copy(arena, path.data, path.size);
  if (copy == NULL) return error_memory(error, path.size);
  data->entries[data->entry_count++] = (struct yolo_entry){split, copy};
  return 0;
}

/* "train", "val" or "test", or NULL. */
static const char *split_of_key(struct text key) {
  static const char *const splits[] = {"train", "val", "valid", "validation", "test"};
  for (size_t i = 0; i < COUNT_OF(splits); i++)
    if (text_equal(key, text_of(splits[i]))) return yolo_split(splits[i]);
  return NULL;
}

/* ---- data.yaml ---- */

struct yaml {
  yaml_document_t document;
  struct dataset *dataset;
  struct arena *arena;
  struct yolo_data *data;
  const char *name;
  struct error *error;
};

static yaml_node_t *node_of(struct yaml *yaml, int index) {
  return yaml_document_get_node(&yaml->document, index);
}

static struct text node_text(const yaml_node_t *node) {
  if (node == NULL || node->type != YAML_SCALAR_NODE) return (struct text){"", 0};
  return text_trim((struct text){(const char *)node->data.scalar.value, node->data.scalar.length});
}

static size_t node_line(const yaml_node_t *node) {
  return node == NULL ? 1 : node->start_mark.line + 1;
}

static yaml_node_t *find_key(struct yaml *yaml, struct text key) {
  yaml_node_t *root = yaml_document_get_root_node(&yaml->document);
  if (root == NULL || root->type != YAML_MAPPING_NODE) return NULL;
  for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
    if (text_equal(node_text(node_of(yaml, pair->key)), key)) return node_of(yaml, pair->value);
  }
  return NULL;
}

static int node_fail(const struct yaml *yaml, const yaml_node_t *node, const char *expected) {
  return error_set(yaml->error, "%s:%zu: %s", yaml->name, node_line(node), expected);
}

static const char names_expected[] = "\"names\" must be a list of names or a map from 0, 1, ... to names";

/* The names by class: scalars of a list, or of a map whose keys are 0 .. count - 1 in any order. */
static int collect_names(struct yaml *yaml, const yaml_node_t *names, yaml_node_t **nodes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int value = 0;
    int64_t at = (int64_t)i;
    if (names->type == YAML_SEQUENCE_NODE) {
      value = names->data.sequence.items.start[i];
    } else {
      const yaml_node_pair_t *pair = &names->data.mapping.pairs.start[i];
      double key;
      value = pair->value;
      if (!text_number(node_text(node_of(yaml, pair->key)), &key)) return node_fail(yaml, names, names_expected);
      at = key >= 0 && key < (double)count ? (int64_t)key : -1;
      if (at < 0 || (double)at != key || nodes[at] != NULL) {
        return error_set(yaml->error, "%s:%zu: \"names\" must have each of the keys 0 .. %zu once", yaml->name,
                         node_line(names), count - 1);
      }
    }
    nodes[at] = node_of(yaml, value);
    if (nodes[at] == NULL || nodes[at]->type != YAML_SCALAR_NODE) return node_fail(yaml, names, names_expected);
  }
  return 0;
}

static int add_name(struct yaml *yaml, struct text name, size_t line) {
  char source[512];
  snprintf(source, sizeof(source), "%s:%zu", yaml->name, line);
  if (name.size == 0) return error_set(yaml->error, "%s: an empty class name", source);
  const char *copy = build_name(yaml->dataset, name, source, yaml->error);
  return copy == NULL ? -1 : build_category(yaml->dataset, yaml->dataset->category_count, copy, yaml->error);
}

static int read_names(struct yaml *yaml, const yaml_node_t *names) {
  if (names->type == YAML_SCALAR_NODE) return node_fail(yaml, names, names_expected);
  size_t count = names->type == YAML_SEQUENCE_NODE
                     ? (size_t)(names->data.sequence.items.top - names->data.sequence.items.start)
                     : (size_t)(names->data.mapping.pairs.top - names->data.mapping.pairs.start);
  if (count == 0) return node_fail(yaml, names, "\"names\" is empty");
  yaml_node_t **nodes = calloc(count, sizeof(yaml_node_t *));
  if (nodes == NULL) return error_memory(yaml->error, count * sizeof(yaml_node_t *));
  int status = collect_names(yaml, names, nodes, count);
  for (size_t i = 0; i < count && status == 0; i++)
    status = add_name(yaml, node_text(nodes[i]), node_line(nodes[i]));
  free(nodes);
  return status;
}

/* "nc" alone: classes that have only numbers. */
static int number_classes(struct yaml *yaml, const yaml_node_t *node) {
  double count;
  if (!text_number(node_text(node), &count) || !(count >= 1 && count <= CLASSES_MAX && count == (int)count)) {
    return node_fail(yaml, node, "\"nc\" must be the number of classes");
  }
  for (int i = 0; i < (int)count; i++) {
    char name[32];
    snprintf(name, sizeof(name), "class %d", i);
    if (add_name(yaml, text_of(name), node_line(node)) != 0) return -1;
  }
  return 0;
}

/* One path or a list of them; an empty value (null) says that there is no such split. */
static int read_split(struct yaml *yaml, const char *split, const yaml_node_t *node) {
  if (node == NULL) return 0;
  if (node->type == YAML_MAPPING_NODE)
    return node_fail(yaml, node, "a split must be a folder, a list file, or a list of them");
  size_t count =
      node->type == YAML_SCALAR_NODE ? 1 : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
  for (size_t i = 0; i < count; i++) {
    const yaml_node_t *item = node->type == YAML_SCALAR_NODE ? node : node_of(yaml, node->data.sequence.items.start[i]);
    struct text path = node_text(item);
    if (path.size == 0 || text_equal(path, TEXT("null")) || text_equal(path, TEXT("~"))) continue;
    if (!utf8_valid(path.data, path.size, NULL)) return node_fail(yaml, item, "a path that is not UTF-8 without NUL");
    if (add_entry(yaml->data, yaml->arena, split, path, yaml->error) != 0) return -1;
  }
  return 0;
}

static int read_keypoints(struct yaml *yaml, const yaml_node_t *node) {
  double values[2] = {0};
  bool valid = node->type == YAML_SEQUENCE_NODE && node->data.sequence.items.top - node->data.sequence.items.start == 2;
  for (int i = 0; i < 2 && valid; i++)
    valid = text_number(node_text(node_of(yaml, node->data.sequence.items.start[i])), &values[i]);
  valid = valid && values[0] >= 1 && values[0] <= KEYPOINTS_MAX && values[0] == (int)values[0];
  if (!valid || (values[1] != 2 && values[1] != 3)) {
    return node_fail(yaml, node, "\"kpt_shape\" must be [number of keypoints, 2 or 3]");
  }
  yaml->data->keypoints = (int)values[0];
  yaml->data->dimensions = (int)values[1];
  return 0;
}

static int read_document(struct yaml *yaml) {
  yaml_node_t *root = yaml_document_get_root_node(&yaml->document);
  const yaml_node_t *names = find_key(yaml, TEXT("names")), *number = find_key(yaml, TEXT("nc"));
  const yaml_node_t *keypoints = find_key(yaml, TEXT("kpt_shape"));
  struct text path = node_text(find_key(yaml, TEXT("path")));
  if (names != NULL && read_names(yaml, names) != 0) return -1;
  if (names == NULL && number != NULL && number_classes(yaml, number) != 0) return -1;
  if (keypoints != NULL && read_keypoints(yaml, keypoints) != 0) return -1;
  if (path.size > 0 && utf8_valid(path.data, path.size, NULL)) {
    yaml->data->path = arena_copy(yaml->arena, path.data, path.size);
    if (yaml->data->path == NULL) return error_memory(yaml->error, path.size);
  }
  if (root == NULL || root->type != YAML_MAPPING_NODE) return 0;
  for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
    const char *split = split_of_key(node_text(node_of(yaml, pair->key)));
    if (split != NULL && read_split(yaml, split, node_of(yaml, pair->value)) != 0) return -1;
  }
  return 0;
}

/* What most people who meet this problem have done. */
static const char *yaml_hint(const char *problem) {
  if (strstr(problem, "hexdecimal") != NULL || strstr(problem, "escape") != NULL)
    return ": in double quotes \\ begins an escape; write / or single quotes";
  return strstr(problem, "cannot start any token") != NULL ? ": a tab? YAML is indented with blanks" : "";
}

int yolo_yaml_parse(struct dataset *dataset, struct text file, const char *name, struct arena *arena,
                    struct yolo_data *data, struct error *error) {
  if (file.size > YAML_SIZE_MAX) return error_set(error, "%s: %zu bytes are too many for YAML", name, file.size);
  yaml_parser_t parser;
  struct yaml yaml = {.dataset = dataset, .arena = arena, .data = data, .name = name, .error = error};
  if (!yaml_parser_initialize(&parser)) return error_memory(error, sizeof(parser));
  yaml_parser_set_input_string(&parser, (const unsigned char *)file.data, file.size);
  int status;
  if (yaml_parser_load(&parser, &yaml.document)) {
    status = read_document(&yaml);
    yaml_document_delete(&yaml.document);
  } else {
    const char *problem = parser.problem == NULL ? "YAML cannot be read" : parser.problem;
    status = error_set(error, "%s:%zu: %s%s", name, parser.problem_mark.line + 1, problem, yaml_hint(problem));
  }
  yaml_parser_delete(&parser);
  return status;
}

/* ---- obj.data ---- */

int yolo_darknet_parse(struct text file, const char *name, struct arena *arena, struct yolo_data *data,
                       struct error *error) {
  struct text rest = text_without_bom(file), line;
  for (int number = 1; text_next_line(&rest, &line); number++) {
    if (line.size == 0 || line.data[0] == '#') continue;
    const char *sign = memchr(line.data, '=', line.size);
    if (sign == NULL) return error_set(error, "%s:%d: expected KEY = VALUE", name, number);
    struct text key = text_trim((struct text){line.data, (size_t)(sign - line.data)});
    struct text value = text_trim((struct text){sign + 1, line.size - (size_t)(sign - line.data) - 1});
    const char *split = split_of_key(key);
    if (value.size == 0 || (split == NULL && !text_equal(key, TEXT("names")))) continue;
    if (!utf8_valid(value.data, value.size, NULL)) {
      return error_set(error, "%s:%d: \"%s\" is not UTF-8", name, number, text_show(value).string);
    }
    if (split != NULL) {
      if (add_entry(data, arena, split, value, error) != 0) return -1;
    } else if ((data->names = arena_copy(arena, value.data, value.size)) == NULL) {
      return error_memory(error, value.size);
    }
  }
  return 0;
}
