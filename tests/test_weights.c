/* Weights by name: what fits is loaded, the report says what did not, and files have the names of each layout. */
#include "nn/weights.h"

#include "tests/test_support.h"

#include "tests/weights_support.h"

static char scratch[64];

static const char *scratch_path(char path[PATH_SIZE], const char *name) {
  struct error error;
  assert_ok(path_format(path, &error, "%s/%s", scratch, name), error);
  return path;
}

static void save(const struct model *model, const char *path, const char *without) {
  static const struct safetensors_text notes[] = {{"arch", "resnet18"}};
  struct error error;
  assert_ok(
      weights_save(&model->params, path, "resnet18", WEIGHTS_TORCHVISION, without, notes, COUNT_OF(notes), &error),
      error);
}

static void test_round_trip(void **state) {
  struct rng *rng = *state;
  struct model a, b;
  struct weights_match match;
  struct error error;
  char path[PATH_SIZE];
  model_open(&a, rng, 7, true, false);
  model_open(&b, rng, 7, true, false);
  save(&a, scratch_path(path, "all.safetensors"), NULL);
  uint64_t version = b.params.version;
  assert_ok(weights_load(&b.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, a.params.count);
  assert_int_equal(match.missing_count + match.extra_count + match.shapes_count, 0);
  assert_same_values(&a, a.params.values, &b, b.params.values, false);
  assert_true(b.params.version > version);
  weights_match_free(&match);
  struct safetensors file;
  assert_ok(safetensors_open(&file, path, &error), error);
  assert_string_equal(safetensors_metadata(&file, "arch"), "resnet18");
  assert_int_equal(safetensors_find(&file, "bn1.num_batches_tracked")->dtype, SAFETENSORS_I64);
  assert_int_equal(safetensors_find(&file, "fc.bias")->dtype, SAFETENSORS_F32);
  safetensors_close(&file);
  model_close(&a);
  model_close(&b);
}

/* Other classes, no norm in the one, no classifier in the other. */
static void test_report(void **state) {
  struct rng *rng = *state;
  struct model a, b, plain, untouched;
  struct weights_match match;
  struct buffer text = {0};
  struct error error;
  char path[PATH_SIZE];
  model_open(&a, rng, 25, true, false);
  model_open(&b, NULL, 80, true, false);
  model_open(&untouched, NULL, 80, true, false);
  model_open(&plain, rng, 25, false, false);

  save(&a, scratch_path(path, "a.safetensors"), NULL);
  assert_ok(weights_load(&b.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 7);
  assert_int_equal(match.shapes_count, 2);
  assert_string_equal(match.shapes[0], "fc.weight: file [25, 5], model [80, 5]");
  assert_string_equal(match.shapes[1], "fc.bias: file [25], model [80]");
  assert_ok(weights_match_describe(&match, 1, true, &text, &error), error);
  assert_string_equal((const char *)text.data,
                      "7 tensors matched, 0 are missing, 0 are extra, 2 have another shape\n"
                      "of another shape:\n  fc.weight: file [25, 5], model [80, 5]\n  and 1 more\n");
  assert_true(same_values(&a, a.params.values, &b, b.params.values, "bn1.num_batches_tracked"));
  assert_true(same_values(&untouched, untouched.params.values, &b, b.params.values, "fc.weight"));
  weights_match_free(&match);

  assert_ok(weights_load(&plain.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 4);
  assert_int_equal(match.extra_count, 5);
  weights_match_free(&match);

  save(&plain, scratch_path(path, "plain.safetensors"), "fc.");
  assert_ok(weights_load(&a.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 2);
  assert_int_equal(match.missing_count, 6); /* bn1.num_batches_tracked does not count */
  assert_int_equal(match.extra_count, 0);
  text.size = 0;
  assert_ok(weights_match_describe(&match, 10, true, &text, &error), error);
  assert_non_null(strstr((const char *)text.data, "missing in the file:\n  bn1.weight\n  bn1.bias\n"));
  weights_match_free(&match);
  buffer_free(&text);
  model_close(&a);
  model_close(&b);
  model_close(&plain);
  model_close(&untouched);
}

/* Values of other types come in as float32; of a type without numbers they are told apart. */
static void test_types(void **state) {
  (void)state;
  static const struct {
    enum safetensors_dtype dtype;
    uint8_t two[8]; /* the value 2 */
  } cases[] = {{SAFETENSORS_F16, {0x00, 0x40}},
               {SAFETENSORS_BF16, {0x00, 0x40}},
               {SAFETENSORS_F32, {0, 0, 0, 0x40}},
               {SAFETENSORS_F64, {0, 0, 0, 0, 0, 0, 0, 0x40}},
               {SAFETENSORS_I64, {2}},
               {SAFETENSORS_U8, {2}}};
  const int64_t dims[] = {4};
  char path[PATH_SIZE];
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct safetensors_writer *writer;
    struct weights_match match;
    struct model model;
    struct error error;
    assert_ok(safetensors_create(&writer, scratch_path(path, "type.safetensors"), &error), error);
    assert_ok(safetensors_declare(writer, "bn1.weight", cases[i].dtype, 1, dims, &error), error);
    for (int j = 0; j < 4; j++) {
      assert_ok(safetensors_write(writer, cases[i].two, safetensors_dtype_size(cases[i].dtype), &error), error);
    }
    assert_ok(safetensors_commit(writer, NULL, &error), error);
    model_open(&model, NULL, 3, true, false);
    assert_ok(weights_load(&model.params, path, &match, &error), error);
    assert_int_equal(match.matched_count, 1);
    float *values = model_values(&model, nn_params_find(&model.params, "bn1.weight"), model.params.values);
    assert_true(values[0] == 2 && values[3] == 2);
    free(values);
    weights_match_free(&match);
    model_close(&model);
  }
}

static void test_unusable_type(void **state) {
  (void)state;
  static const char header[] = "{\"bn1.weight\":{\"dtype\":\"U16\",\"shape\":[4],\"data_offsets\":[0,8]}}";
  uint8_t file[8 + sizeof header - 1 + 8] = {sizeof header - 1};
  struct weights_match match;
  struct model model;
  struct error error;
  char path[PATH_SIZE];
  memcpy(file + 8, header, sizeof header - 1);
  assert_ok(file_write_all(scratch_path(path, "u16.safetensors"), file, sizeof file, &error), error);
  model_open(&model, NULL, 3, true, false);
  assert_ok(weights_load(&model.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 0);
  assert_string_equal(match.shapes[0], "bn1.weight: file [4] of a type that cannot be used, model [4]");
  weights_match_free(&match);
  model_close(&model);
}

static void test_damaged_file(void **state) {
  struct rng *rng = *state;
  struct model model;
  struct weights_match match;
  struct file_map map;
  struct error error;
  char path[PATH_SIZE];
  model_open(&model, rng, 3, true, false);
  save(&model, scratch_path(path, "good.safetensors"), NULL);
  assert_ok(file_map_open(&map, path, &error), error);
  for (int round = 0; round < 200; round++) {
    uint8_t *bytes = malloc(map.size);
    assert_non_null(bytes);
    memcpy(bytes, map.data, map.size);
    size_t size = rng_below(rng, 2) ? map.size : 1 + (size_t)rng_below(rng, map.size);
    for (uint64_t i = rng_below(rng, 4); i > 0; i--) {
      bytes[rng_below(rng, size < 900 ? size : 900)] = (uint8_t)rng_u32(rng);
    }
    FILE *out = fopen(scratch_path(path, "damaged.safetensors"), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    if (weights_load(&model.params, path, &match, &error) == 0) {
      weights_match_free(&match);
    } else {
      assert_non_null(strstr(error.message, "damaged.safetensors"));
    }
    free(bytes);
  }
  file_map_close(&map);
  assert_int_equal(weights_load(&model.params, scratch_path(path, "none"), &match, &error), -1);
  model_close(&model);
}

static void test_names(void **state) {
  (void)state;
  enum { TV = WEIGHTS_TORCHVISION, TIMM = WEIGHTS_TIMM, D2 = WEIGHTS_DETECTRON2, MM = WEIGHTS_MMDETECTION };
  static const struct {
    const char *name, *arch;
    int layout;
    bool group_norm;
    const char *expected; /* NULL: an error */
  } cases[] = {
      {"layer4.1.bn2.running_var", "resnet18", TV, false, "layer4.1.bn2.running_var"},
      {"classifier.0.weight", "vgg16", TV, false, "classifier.0.weight"},
      {"layer4.1.bn2.running_var", "resnet18", TIMM, false, "layer4.1.bn2.running_var"},
      {"fc.weight", "wide_resnet50_2", TIMM, false, "fc.weight"},
      {"features.10.weight", "vgg16_bn", TIMM, false, "features.10.weight"},
      {"classifier.0.weight", "vgg16", TIMM, false, NULL},
      {"conv1.weight", "resnet50", D2, false, "backbone.bottom_up.stem.conv1.weight"},
      {"bn1.running_mean", "resnet50", D2, false, "backbone.bottom_up.stem.conv1.norm.running_mean"},
      {"layer1.0.conv3.weight", "resnet50", D2, false, "backbone.bottom_up.res2.0.conv3.weight"},
      {"layer3.22.bn3.bias", "resnet101", D2, true, "backbone.bottom_up.res4.22.conv3.norm.bias"},
      {"layer3.35.bn3.bias", "resnet152", D2, false, "backbone.bottom_up.res4.35.conv3.norm.bias"},
      {"layer4.0.downsample.0.weight", "resnext50_32x4d", D2, false, "backbone.bottom_up.res5.0.shortcut.weight"},
      {"layer4.0.downsample.1.bias", "wide_resnet50_2", D2, false, "backbone.bottom_up.res5.0.shortcut.norm.bias"},
      {"fc.weight", "resnet50", D2, false, NULL},
      {"layer1.0.pool.weight", "resnet50", D2, false, NULL},
      {"features.0.weight", "vgg16", D2, false, NULL},
      {"conv1.weight", "resnet50", MM, false, "backbone.conv1.weight"},
      {"bn1.weight", "resnet50", MM, false, "backbone.bn1.weight"},
      {"bn1.weight", "resnet50", MM, true, "backbone.gn1.weight"},
      {"layer2.3.bn2.bias", "resnet50", MM, true, "backbone.layer2.3.gn2.bias"},
      {"layer2.0.downsample.1.bias", "resnet50", MM, true, "backbone.layer2.0.downsample.1.bias"},
      {"layer2.0.bn2.num_batches_tracked", "resnext101_64x4d", MM, false, "backbone.layer2.0.bn2.num_batches_tracked"},
      {"features.28.bias", "vgg16", MM, false, "backbone.features.28.bias"},
      {"conv1.weight", "wide_resnet50_2", MM, false, NULL},
      {"fc.bias", "resnet18", MM, false, NULL},
      {"conv1.weight", "darknet53", MM, false, NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char renamed[WEIGHTS_NAME_SIZE];
    struct error error = {0};
    int status = weights_rename(cases[i].name, cases[i].arch, (enum weights_layout)cases[i].layout, cases[i].group_norm,
                                renamed, sizeof renamed, &error);
    if (!cases[i].expected) {
      assert_int_equal(status, -1);
      continue;
    }
    assert_ok(status, error);
    assert_string_equal(renamed, cases[i].expected);
    assert_int_equal(weights_rename(cases[i].name, cases[i].arch, (enum weights_layout)cases[i].layout,
                                    cases[i].group_norm, renamed, strlen(cases[i].expected), &error),
                     -1);
  }
}

/* MMDetection's name of a norm shows in the file what it is, whatever roles the parameters were declared with. */
static void test_group_norm(void **state) {
  (void)state;
  static const char *const names[] = {"bn1.weight", "bn1.running_mean"};
  const int64_t dims[] = {4};
  const struct nn_initial initial = {NN_CONSTANT, 0};
  char path[PATH_SIZE];
  for (size_t count = 1; count <= 2; count++) {
    struct model model = {0};
    struct safetensors file;
    struct error error;
    assert_ok(nn_device_open(&model.device, "ref", 1, &error), error);
    nn_params_init(&model.params);
    for (size_t i = 0; i < count; i++) {
      assert_non_null(nn_params_declare(&model.params, names[i], NN_WEIGHT, 1, dims, initial, &error));
    }
    assert_ok(nn_params_allocate(&model.params, &model.device, false, &error), error);
    scratch_path(path, "norm.safetensors");
    assert_ok(weights_save(&model.params, path, "resnet50", WEIGHTS_MMDETECTION, NULL, NULL, 0, &error), error);
    assert_ok(safetensors_open(&file, path, &error), error);
    assert_int_equal(safetensors_find(&file, "backbone.gn1.weight") != NULL, count == 1);
    assert_int_equal(safetensors_find(&file, "backbone.bn1.weight") != NULL, count == 2);
    safetensors_close(&file);
    model_close(&model);
  }
}

/* ---- whose names ---- */

static const struct {
  const char *torchvision, *detectron2, *hugging_face;
} same_things[] = {
    {"conv1.weight", "stem.conv1.weight", "embedder.embedder.convolution.weight"},
    {"bn1.weight", "stem.conv1.norm.weight", "embedder.embedder.normalization.weight"},
    {"bn1.running_mean", "stem.conv1.norm.running_mean", "embedder.embedder.normalization.running_mean"},
    {"layer1.0.conv1.weight", "res2.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight"},
    {"layer1.0.bn3.bias", "res2.0.conv3.norm.bias", "encoder.stages.0.layers.0.layer.2.normalization.bias"},
    {"layer3.22.conv2.weight", "res4.22.conv2.weight", "encoder.stages.2.layers.22.layer.1.convolution.weight"},
    {"layer4.0.downsample.0.weight", "res5.0.shortcut.weight", "encoder.stages.3.layers.0.shortcut.convolution.weight"},
    {"layer4.0.downsample.1.bias", "res5.0.shortcut.norm.bias",
     "encoder.stages.3.layers.0.shortcut.normalization.bias"},
};

static const char *name_of(size_t i, int naming) {
  return naming == 0   ? same_things[i].torchvision
         : naming == 1 ? same_things[i].detectron2
                       : same_things[i].hugging_face;
}

/* A file of float32 vectors of two, with the values i and i + 1/2. */
static void write_file(const char *path, const char *const *names, size_t count) {
  const int64_t dims[] = {2};
  struct safetensors_writer *writer;
  struct error error;
  assert_ok(safetensors_create(&writer, path, &error), error);
  for (size_t i = 0; i < count; i++) {
    assert_ok(safetensors_declare(writer, names[i], SAFETENSORS_F32, 1, dims, &error), error);
  }
  for (size_t i = 0; i < count; i++) {
    const float values[] = {(float)i, (float)i + 0.5F};
    assert_ok(safetensors_write(writer, values, sizeof values, &error), error);
  }
  assert_ok(safetensors_commit(writer, NULL, &error), error);
}

/* Of the same names as the file, under torchvision's. */
static void open_named(struct model *model) {
  const struct nn_initial initial = {NN_CONSTANT, 0};
  const int64_t dims[] = {2};
  struct error error;
  *model = (struct model){0};
  assert_ok(nn_device_open(&model->device, "ref", 1, &error), error);
  nn_params_init(&model->params);
  for (size_t i = 0; i < COUNT_OF(same_things); i++) {
    const char *name = same_things[i].torchvision;
    assert_non_null(nn_params_declare(&model->params, name, NN_BIAS, 1, dims, initial, &error));
  }
  assert_ok(nn_params_allocate(&model->params, &model->device, false, &error), error);
}

static void test_namings(void **state) {
  (void)state;
  static const char *const prefixes[] = {
      "",        "module.",           "backbone.body.",           "backbone.bottom_up.",
      "resnet.", "module.encoder_q.", "state_dict.model.\x1b[2J."};
  static const char *const titles[] = {"torchvision", "detectron2", "Hugging Face"};
  char path[PATH_SIZE], names[COUNT_OF(same_things) + 2][WEIGHTS_NAME_SIZE];
  const char *list[COUNT_OF(names)];
  for (size_t p = 0; p < COUNT_OF(prefixes) * COUNT_OF(titles); p++) {
    const char *prefix = prefixes[p / COUNT_OF(titles)];
    int naming = (int)(p % COUNT_OF(titles));
    struct model model;
    struct weights_match match;
    struct buffer text = {0};
    struct error error = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
      bool known = i < COUNT_OF(same_things);
      snprintf(names[i], sizeof names[i], "%s%s", known ? prefix : "head.",
               known   ? name_of(i, naming)
               : i % 2 ? "a"
                       : "b");
      list[i] = names[i];
    }
    write_file(scratch_path(path, "named.safetensors"), list, COUNT_OF(names));
    open_named(&model);
    assert_ok(weights_load(&model.params, path, &match, &error), error);
    assert_int_equal(match.matched_count, COUNT_OF(same_things));
    assert_int_equal(match.extra_count, 2);
    assert_string_equal(match.naming, titles[naming]);
    assert_string_equal(match.prefix, prefix);
    assert_ok(weights_match_describe(&match, 3, false, &text, &error), error);
    assert_int_equal(strstr((const char *)text.data, "behind") != NULL, *prefix != 0);
    assert_int_equal(strstr((const char *)text.data, titles[naming]) != NULL, naming > 0);
    assert_null(memchr(text.data, '\n', text.size));
    assert_null(memchr(text.data, 0x1b, text.size));
    for (size_t i = 0; i < COUNT_OF(same_things); i++) {
      float *values = model_values(&model, model.params.items[i], model.params.values);
      assert_true(values[0] == (float)i && values[1] == (float)i + 0.5F);
      free(values);
    }
    buffer_free(&text);
    weights_match_free(&match);
    model_close(&model);
  }
}

/* A student and a teacher: which of them is the user's to say. A file without prefix is what it is, whatever else is in
 * it. */
static void test_two_sets(void **state) {
  (void)state;
  for (int plain = 0; plain < 2; plain++) {
    const char *prefixes[] = {"encoder_k.", plain ? "" : "encoder_q."};
    char path[PATH_SIZE], names[2 * COUNT_OF(same_things)][WEIGHTS_NAME_SIZE];
    const char *list[COUNT_OF(names)];
    struct model model;
    struct weights_match match;
    struct error error = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
      snprintf(names[i], sizeof names[i], "%s%s", prefixes[i % 2], same_things[i / 2].torchvision);
      list[i] = names[i];
    }
    write_file(scratch_path(path, "two.safetensors"), list, COUNT_OF(names));
    open_named(&model);
    int status = weights_load(&model.params, path, &match, &error);
    assert_int_equal(status, plain ? 0 : -1);
    if (status) assert_non_null(strstr(error.message, "encoder_q.\" fit as well as those under \"encoder_k."));
    if (!status) assert_string_equal(match.prefix, "");
    if (!status) weights_match_free(&match);
    model_close(&model);
  }
}

/* What stands before single names by chance, as "layer1.0." before "conv1.weight", is no prefix. */
static void test_chance(void **state) {
  (void)state;
  static const char *const names[] = {"layer9.conv1.weight", "a.b", "c.d", "e"};
  char path[PATH_SIZE];
  struct model model;
  struct weights_match match;
  struct error error = {0};
  open_named(&model);
  write_file(scratch_path(path, "chance.safetensors"), names, COUNT_OF(names));
  assert_ok(weights_load(&model.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 0);
  weights_match_free(&match);
  write_file(path, names, 1); /* but it is all there is */
  assert_ok(weights_load(&model.params, path, &match, &error), error);
  assert_int_equal(match.matched_count, 1);
  assert_string_equal(match.prefix, "layer9.");
  weights_match_free(&match);
  model_close(&model);
}

/* ---- what it is instead ---- */

static void test_foreign(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
    const char *said;
  } cases[] = {
      {"", 0, "is empty"},
      {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl", 46, "torch.load"},
      {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0x.npy", 35, "numpy.load"},
      {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0x.npy", 35, "torch.load"},
      {"PK\3\4", 4, "torch.load"},
      {"\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15, "torch.load"},
      {"\x80\4\x95.", 4, "pickle.load"},
      {"\x89HDF\r\n\x1a\n", 8, "HDF5"},
      {"\10\7\x12\7pytorch\x1a\1"
       "2:x",
       16, "ONNX"},
      {"anything\x57\xfb\x80\x8b\x24\x75\x47\xdb", 16, "TensorFlow"},
      {"\x1f\x8b\10\0\0\0\0\0\0", 9, "gzip"},
      {"version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull"},
      {" \n<!DOCTYPE html>", 17, "web page"},
      {"\xEF\xBB\xBF{\"weight_map\": {}}", 21, "JSON"},
      {"no weights", 10, "header of"},
      {"1", 1, "cut off"},
  };
  char path[PATH_SIZE];
  struct model model;
  struct weights_match match;
  open_named(&model);
  scratch_path(path, "it's.pth");
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct error error = {0};
    uint8_t *copy = malloc(cases[i].size > 0 ? cases[i].size : 1); /* of that very size, for the sanitizer */
    assert_non_null(copy);
    memcpy(copy, cases[i].bytes, cases[i].size);
    assert_ok(file_write_all(path, copy, cases[i].size, &error), error);
    weights_foreign(copy, cases[i].size, path, &error);
    free(copy);
    assert_int_equal(weights_load(&model.params, path, &match, &error), -1);
    if (!strstr(error.message, cases[i].said)) fail_msg("case %zu says: %s", i, error.message);
    assert_non_null(strstr(error.message, "it's.pth"));
    if (strstr(error.message, "python3")) assert_non_null(strstr(error.message, "/it'\\''s.safetensors'"));
  }
  model_close(&model);
}

/* An export that fails leaves nothing behind. */
static void test_failed_save(void **state) {
  struct rng *rng = *state;
  struct model model;
  struct error error;
  char path[PATH_SIZE];
  model_open(&model, rng, 3, true, false);
  scratch_path(path, "refused.safetensors");
  assert_int_equal(weights_save(&model.params, path, "resnet18", WEIGHTS_DETECTRON2, NULL, NULL, 0, &error), -1);
  assert_non_null(strstr(error.message, "fc.weight has no place in the layout 'detectron2'"));
  assert_false(file_exists(path));
  assert_false(file_exists(scratch_path(path, "refused.safetensors.tmp")));
  assert_ok(weights_save(&model.params, path, "resnet18", WEIGHTS_DETECTRON2, "fc.", NULL, 0, &error), error);
  model_close(&model);
}

int main(void) {
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(test_round_trip, &rng),
      cmocka_unit_test_prestate(test_report, &rng),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_unusable_type),
      cmocka_unit_test_prestate(test_damaged_file, &rng),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_group_norm),
      cmocka_unit_test_prestate(test_failed_save, &rng),
      cmocka_unit_test(test_namings),
      cmocka_unit_test(test_two_sets),
      cmocka_unit_test(test_chance),
      cmocka_unit_test(test_foreign),
  };
  test_scratch(scratch);
  int failed = cmocka_run_group_tests_name("weights", tests, NULL, NULL);
  test_scratch_remove(scratch);
  return failed;
}
