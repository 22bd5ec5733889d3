/* Files of other tools are called by their names; and in a folder the right COCO file, and its pictures, are found. */
#include "core/dataset/internal.h"

#include "tests/test_support.h"

#include "tests/coco_support.h"
#include "tests/dataset_support.h"

static void test_formats(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *what; /* NULL: it must not be taken for anything */
  } cases[] = {
      {"f.json", "", "empty"},
      {"f.json", "\xEF\xBB\xBF \n", "empty"},
      {"f.json", "\x1F\x8B\x08", "gzip: unpack"},
      {"f.json", "PK\x03\x04", "a zip archive"},
      {"f.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"},
      {"f.json", "<!DOCTYPE html><html><body>Log in</body></html>", "a web page"},
      {"f.json", "\n<HTML><head></head></HTML>", "a web page"},
      {"f.json", "\xFF\xD8\xFF\xE0", "a picture (JPEG)"},
      {"f.pkl", "\x80\x04\x95", "a Python pickle"},
      {"f.json", "{\"version\": \"5\", \"flags\": {}, \"shapes\": [], \"imagePath\": \"a.jpg\"}", "labelme2coco"},
      {"f.json", "{\"_via_settings\": {}, \"_via_img_metadata\": {}}", "VGG Image Annotator"},
      {"f.json", "{\"a.jpg12\": {\"regions\": [{\"shape_attributes\": {\"name\": \"rect\"}}]}}", "VGG Image Annotator"},
      {"f.csv", "filename,file_size,\"region_shape_attributes\"\na.jpg,1,\"{\"\"name\"\":1}\"\n", "a table (CSV)"},
      {"f.json", "[{\"name\": \"a.jpg\", \"labels\": [{\"category\": \"car\", \"box2d\": {\"x1\": 1}}]}]", "bdd100k"},
      {"f.odgt", "{\"ID\": \"p0\", \"gtboxes\": []}\n{\"ID\": \"p1\", \"gtboxes\": []}\n", "crowdhuman2coco.py"},
      {"f.json", "[{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": 0.9}]",
       "detections of a model"},
      {"f.json", "[" WITH(ANNOTATIONS(ANNOTATION("[1,2,3,4]"))) "]", "a list with COCO inside"},
      {"f.json", "[{\"image_id\": 1, \"bbox\": [1, 2, 3, 4], \"category_id\": 1}]", "a bare list of annotations"},
      {"f.json", "{\"images\": [], \"annotations\": [{\"segments_info\": []}], \"categories\": []}", "panoptic"},
      {"f.json", "{\"images\": [], \"annotations\": [{\"caption\": \"A cat.\"}]}", "captions"},
      {"f.json", "[{\"id\": 1, \"annotations\": [{\"result\": [{\"value\": {\"rectanglelabels\": [\"a\"]}}]}]}]",
       "Label Studio"},
      {"f.json", "[{\"image\": \"a.jpg\", \"annotations\": [{\"label\": \"a\", \"coordinates\": {\"x\": 1}}]}]",
       "Create ML"},
      {"f.json", "{\"objects\": [{\"classTitle\": \"cat\", \"points\": {\"exterior\": []}}]}", "Supervisely"},
      {"f.jsonl", "{\"file_name\": \"a.jpg\", \"objects\": {\"bbox\": [[1, 2, 3, 4]]}}\n", "JSON by lines"},
      {"f.xml",
       "<?xml version=\"1.0\"?>\n<annotations><version>1.1</version><image id=\"0\" name=\"a\"/></annotations>",
       "CVAT's XML"},
      {"f.xml", "<annotations><track id=\"0\"/></annotations>", "CVAT's XML of a video"},
      {"f.xml", "<annotation><filename>a.jpg</filename><object><name>x</name></object></annotation>",
       "PASCAL VOC document: give the folder"},
      {"f.csv", "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n", "Open Images"},
      {"f.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n", "a CSV table of boxes"},
      {"f.csv", "a,b\n", "a table (CSV)"},
      {"f.txt", "imagesource:GoogleEarth\ngsd:0.1\n1 2 3 4 5 6 7 8 plane 0\n", "DOTA"},
      {"f.txt", "1 2 3 4 5 6 7 8 plane 0\n", "DOTA"},
      {"f.txt", "1 2 3 4 5 6 7 8 large-vehicle\n", "DOTA"},
      {"f.txt", "\n\nCar 0.00 0 -1.57 16.0 24.0 56.0 72.0 1.5 1.6 3.6 1 2 3 0\n", "KITTI"},
      {"f.txt", "684,8,273,116,0,0,0,0\n", "VisDrone"},
      {"f.txt", "684,8,273,116,0,0,0,0,\n", "VisDrone"},
      {"a.txt", "0 0,5 0,5 0,1 0,1\n", NULL},
      {"gt.txt", "1,1,912,484,97,109,0,7,1\n", "MOT Challenge"},
      {"train.tfrecord", "\x10\x01", "TensorFlow records"},
      {"train.tfrecord-00000-of-00010", "\x10\x01", "TensorFlow records"},
      {"label_map.pbtxt", "item {\n  id: 1\n  name: 'cat'\n}\n", "label map"},
      /* ours */
      {"f.json", WITH(ANNOTATIONS(ANNOTATION("[1,2,3,4]"))), NULL},
      {"f.json", "{\"images\": [], \"annotations\": [{\"bbox\": [1], \"caption\": \"x\", \"score\": 1}]}", NULL},
      {"f.json", "{\"images\"", NULL},
      {"f.txt", "0 0.5 0.5 0.1 0.1\n", NULL},
      {"f.txt", "0 0.5 0.5 0.1 0.1 0.9\n", NULL},
      {"f.txt", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n", NULL},
      {"f.txt", "0 0.5 0.5 0.1 0.1 1 2 3 4 5 6 7 8 9 10\n", NULL},
      {"classes.txt", "cat\ndog\n", NULL},
      {"train.txt", "images/a.jpg\nimages/b.jpg\n", NULL},
      {"f.yaml", "names: [cat, dog]\ntrain: images\n", NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *what = recognise(text_of(cases[i].text), cases[i].name);
    bool right = cases[i].what == NULL ? what == NULL : what != NULL && strstr(what, cases[i].what) != NULL;
    if (!right) fail_msg("%s\n  is %s, not %s", cases[i].text, what == NULL ? "unknown" : what, cases[i].what);
  }
}

/* ---- failures are explained ---- */

static void test_explained(void **state) {
  (void)state;
  char root[64], path[128];
  static const char labelme[] = "{\"shapes\": [], \"imagePath\": \"a.jpg\"}";
  test_scratch(root);
  make_folder(root, "labelme");
  make_file(root, "labelme/a.json", labelme);
  make_file(root, "labelme/README.txt", "Labels.\n");
  snprintf(path, sizeof(path), "%s/labelme", root);
  assert_load_fails(path, NULL, NULL, "labelme/a.json is a labelme file");
  snprintf(path, sizeof(path), "%s/labelme/a.json", root);
  assert_load_fails(path, root, NULL, "labelme/a.json is a labelme file");
  make_folder(root, "kitti");
  make_file(root, "kitti/a.txt", "Car 0.00 0 -1.57 16.0 24.0 56.0 72.0 1.5 1.6 3.6 1 2 3 0\n");
  make_file(root, "kitti/classes.txt", "Car\n");
  snprintf(path, sizeof(path), "%s/kitti", root);
  assert_load_fails(path, root, NULL, "kitti/a.txt is KITTI's labels");
  make_folder(root, "cvat");
  make_file(root, "cvat/annotations.xml", "<annotations><image id=\"0\" name=\"a\"/></annotations>");
  snprintf(path, sizeof(path), "%s/cvat", root);
  assert_load_fails(path, root, NULL, "cvat/annotations.xml is CVAT's XML");
  make_folder(root, "table");
  make_file(root, "table/train.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\n");
  snprintf(path, sizeof(path), "%s/table", root);
  assert_load_fails(path, root, NULL, "table/train.csv is Open Images' CSV");
  snprintf(path, sizeof(path), "%s/table/train.csv", root);
  assert_load_fails(path, root, NULL, "table/train.csv is Open Images' CSV");
  /* The fault of a file of ours stays what is said. */
  make_file(root, "broken.json", "{" IMAGES "," CATEGORIES ",\n\"annotations\":[{\"bbox\":[1,]}]}");
  snprintf(path, sizeof(path), "%s/broken.json", root);
  assert_load_fails(path, root, NULL, "broken.json:2: a comma before");
  make_file(root, "panoptic.json",
            "{" IMAGES "," CATEGORIES ",\"annotations\":[{\"image_id\":1,\"segments_info\":[]}]}");
  snprintf(path, sizeof(path), "%s/panoptic.json", root);
  assert_load_fails(path, root, NULL, "panoptic.json is panoptic COCO");
  test_scratch_remove(root);
}

/* ---- COCO in folders ---- */

static const char coco[] = "{\"info\":{}," IMAGES "," CATEGORIES "," ANNOTATIONS(ANNOTATION("[1,2,3,4]")) "}";

static void check_found(const char *root, const char *split, const char *expected) {
  struct arena arena = {0};
  struct error error = {0};
  const char *file;
  if (coco_find(&arena, root, split, &file, &error) != 0) {
    if (strstr(error.message, expected) == NULL) fail_msg("%s\n  expected to hold  %s", error.message, expected);
  } else if (expected == NULL ? file != NULL : file == NULL || strstr(file, expected) == NULL) {
    fail_msg("found %s, not %s", file == NULL ? "nothing" : file, expected);
  }
  arena_free(&arena);
}

static void test_find(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  check_found(root, NULL, NULL);
  make_file(root, "notes.json", "{\"a\": 1}");
  make_file(root, "labelme.json", "{\"shapes\": [], \"imagePath\": \"a.jpg\"}");
  check_found(root, NULL, NULL);
  make_file(root, "my.json", coco);
  check_found(root, NULL, "/my.json");
  make_folder(root, "annotations");
  make_file(root, "annotations/lvis_v1_train.json", coco);
  check_found(root, "train", "/annotations/lvis_v1_train.json");
  check_found(root, "rain", NULL);
  check_found(root, NULL, "several COCO files (annotations/lvis_v1_train.json, my.json): choose a split");
  make_file(root, "annotations/instances_train2017.json", coco);
  make_file(root, "annotations/captions_train2017.json",
            "{\"images\": [], \"annotations\": [{\"caption\": \"A cat.\"}]}");
  check_found(root, "train", "/instances_train2017.json");
  check_found(root, "train2017", "/instances_train2017.json");
  check_found(root, NULL, "/instances_train2017.json");
  make_folder(root, "old");
  make_file(root, "old/instances_train2017.json", coco);
  check_found(root, NULL, "/annotations/instances_train2017.json"); /* less deep */
  make_file(root, "annotations/instances_val2017.json", coco);
  check_found(root, NULL, "instances_train2017.json, annotations/instances_val2017.json): choose a split");
  check_found(root, "valid", "/instances_val2017.json");
  test_scratch_remove(root);
}

static void check_images(const char *root, const char *path, const char *split, const char *expected) {
  char full[256], folder[256];
  struct dataset dataset;
  struct error error = {0};
  snprintf(full, sizeof(full), "%s%s", root, path);
  snprintf(folder, sizeof(folder), "%s%s", root, expected);
  assert_ok(load_split(&dataset, full, NULL, split, &error), error);
  assert_int_equal(dataset.format, DATASET_COCO);
  char *found = realpath(dataset.images[0].folder, NULL), *wanted = realpath(folder, NULL);
  if (found == NULL || wanted == NULL || strcmp(found, wanted) != 0) fail_msg("pictures in %s, not %s", found, wanted);
  free(found);
  free(wanted);
  dataset_free(&dataset);
}

/* Roboflow's export: the file lies among its pictures, and notes beside. */
static void test_roboflow(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_file(root, "README.dataset.txt", "# cats\n");
  make_file(root, "README.roboflow.txt", "cats\n");
  static const char *const splits[] = {"train", "valid", "test"};
  for (int i = 0; i < 3; i++) {
    char name[64];
    make_folder(root, splits[i]);
    snprintf(name, sizeof(name), "%s/_annotations.coco.json", splits[i]);
    make_file(root, name, coco);
    snprintf(name, sizeof(name), "%s/a.jpg", splits[i]);
    make_file(root, name, "");
  }
  check_images(root, "/train/_annotations.coco.json", NULL, "/train");
  check_images(root, "/train", NULL, "/train");
  check_images(root, "", "test", "/test");
  check_images(root, "", "val", "/valid");
  check_images(root, "", "valid", "/valid");
  assert_load_fails(root, NULL, NULL, "test/_annotations.coco.json, train/_annotations.coco.json, valid/_annotations");
  assert_load_fails(root, NULL, "trai", "no annotations of a split \"trai\"");
  test_scratch_remove(root);
}

/* Of several likely folders, the one with the pictures. */
static void test_images(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_folder(root, "annotations");
  make_folder(root, "images");
  make_folder(root, "images/train");
  make_folder(root, "train");
  make_file(root, "annotations/instances_train.json", coco);
  check_images(root, "/annotations/instances_train.json", NULL, "/train"); /* nowhere: by the name */
  make_file(root, "a.jpg", "");
  check_images(root, "/annotations/instances_train.json", NULL, "/");
  make_file(root, "annotations/a.jpg", "");
  check_images(root, "/annotations/instances_train.json", NULL, "/annotations");
  make_file(root, "images/a.jpg", "");
  check_images(root, "/annotations/instances_train.json", NULL, "/images");
  make_file(root, "images/train/a.jpg", "");
  check_images(root, "/annotations/instances_train.json", NULL, "/images/train");
  make_file(root, "annotations/data", coco); /* no suffix, but COCO by its looks */
  check_images(root, "/annotations/data", NULL, "/images");
  test_scratch_remove(root);
}

/* Stray files do not decide what a folder is. */
static void test_stray(void **state) {
  (void)state;
  char root[64];
  struct dataset dataset;
  struct error error = {0};
  test_scratch(root);
  make_file(root, "data.yaml", "names: [cat]\n");
  make_file(root, "README.md.txt", "Cats.\n");
  make_file(root, "settings.json", "{\"a\": 1}");
  make_folder(root, "images");
  make_file(root, "images/a.jpg", "");
  make_folder(root, "labels");
  make_file(root, "labels/a.txt", "0 0.5 0.5 0.1 0.1\n");
  make_folder(root, "tools");
  make_file(root, "tools/build.xml", "<project/>");
  assert_ok(dataset_load(&dataset, root, NULL, NULL, &error), error);
  assert_int_equal(dataset.format, DATASET_YOLO);
  assert_int_equal(dataset.box_count, 1);
  dataset_free(&dataset);
  test_scratch_remove(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_formats),  cmocka_unit_test(test_explained), cmocka_unit_test(test_find),
      cmocka_unit_test(test_roboflow), cmocka_unit_test(test_images),    cmocka_unit_test(test_stray),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
