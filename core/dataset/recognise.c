/* What a file is that is no annotation file of ours, and what makes one of it. Only asked when reading has failed, so a
 * few words that a format always has are evidence enough. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dataset/internal.h"

enum { HEAD = 256 << 10 };

/* ---- by its first bytes ---- */

struct magic {
  struct text start;
  const char *what;
};

#define BYTES(literal)                                                                                                 \
  { literal, sizeof(literal) - 1 }
#define UNPACK "unpack it, and give what is in it"

static const struct magic magics[] = {
    {BYTES("\x1F\x8B"), "compressed with gzip: unpack it (gunzip FILE)"},
    {BYTES("PK\x03\x04"), "a zip archive: " UNPACK},
    {BYTES("BZh"), "compressed with bzip2: unpack it (bunzip2 FILE)"},
    {BYTES("\xFD"
           "7zXZ"),
     "compressed with xz: unpack it (unxz FILE)"},
    {BYTES("\x28\xB5\x2F\xFD"), "compressed with zstd: unpack it (unzstd FILE)"},
    {BYTES("7z\xBC\xAF"), "a 7-Zip archive: " UNPACK},
    {BYTES("Rar!"), "a RAR archive: " UNPACK},
    {BYTES("\xFF\xFE\0\0"), "UTF-32 text: save it as UTF-8"},
    {BYTES("version https://git-lfs"), "a Git LFS pointer, which only says where the file is: run \"git lfs pull\" in "
                                       "its repository"},
    {BYTES("\xFF\xD8\xFF"), "a picture (JPEG): annotations are JSON, XML or text beside it"},
    {BYTES("\x89PNG"), "a picture (PNG): annotations are JSON, XML or text beside it"},
    {BYTES("%PDF"), "a PDF document"},
    {BYTES("PAR1"),
     "a Parquet table: convert it with the library that made it (Hugging Face's datasets has to_json), then "
     "to COCO"},
    {BYTES("\x89HDF"), "an HDF5 file (also MATLAB 7.3): convert it to COCO with a few lines of Python (h5py)"},
    {BYTES("MATLAB 5.0"), "a MATLAB file: convert it to COCO with a few lines of Python (scipy.io.loadmat)"},
    {BYTES("SQLite format 3"), "a SQLite database"},
    {BYTES("\x80\x02"), "a Python pickle: load it in Python and save it as COCO JSON"},
    {BYTES("\x80\x03"), "a Python pickle: load it in Python and save it as COCO JSON"},
    {BYTES("\x80\x04"), "a Python pickle: load it in Python and save it as COCO JSON"},
    {BYTES("\x80\x05"), "a Python pickle: load it in Python and save it as COCO JSON"},
};

/* ---- by words in it ---- */

struct sign {
  char start;           /* the first character that is no white space; 0: any */
  const char *words[3]; /* all are there */
  const char *what;
};

#define DATUMARO(format) "Datumaro converts it (datum convert -if " format " -f coco_instances)"
#define EXPORT "export it as COCO in "

static const char voc_document[] = "a PASCAL VOC document: give the folder that it lies in";

/* The more special first. */
static const struct sign signs[] = {
    {'<', {"<annotations", "<image "}, "CVAT's XML: in CVAT, export it as \"COCO 1.0\"; or " DATUMARO("cvat")},
    {'<', {"<annotations", "<track "}, "CVAT's XML of a video: in CVAT, export it as \"COCO 1.0\" with its pictures"},
    {'<', {"<annotation", "<object"}, voc_document},
    {'<', {"<dataset", "<images"}, "dlib's XML: give it as COCO (a few lines of Python)"},
    {'<', {"<Error>"}, "an error message of a download: download the file again"},
    {0,
     {"\"gtboxes\""},
     "CrowdHuman's odgt, JSON by lines: MMDetection's tools/dataset_converters/crowdhuman2coco.py makes COCO "
     "of it"},
    {0, {"\"_via_"}, "a project of VGG Image Annotator (VIA): " EXPORT "VIA (Annotation, Export Annotations)"},
    {0,
     {"\"shape_attributes\""},
     "annotations of VGG Image Annotator (VIA): " EXPORT "VIA (Annotation, Export Annotations)"},
    {0,
     {"\"shapes\"", "\"imagePath\""},
     "a labelme file, one for each picture: labelme2coco (pip install labelme2coco) makes "
     "COCO of a folder of them"},
    {'{',
     {"\"segments_info\""},
     "panoptic COCO: give instances_*.json; or make it with panopticapi's "
     "panoptic2detection_coco_format.py"},
    {0, {"\"rectanglelabels\""}, "a JSON export of Label Studio: " EXPORT "Label Studio"},
    {0, {"\"original_width\"", "\"from_name\""}, "a JSON export of Label Studio: " EXPORT "Label Studio"},
    {0,
     {"\"box2d\""},
     "BDD100K's (Scalabel's) labels: bdd100k's toolkit makes COCO of them (python -m "
     "bdd100k.label.to_coco -m det)"},
    {0,
     {"\"coordinates\"", "\"annotations\"", "\"label\""},
     "Create ML's JSON: globox (pip install globox) makes COCO of it"},
    {0, {"\"classTitle\""}, "Supervisely's JSON: " EXPORT "Supervisely"},
    {0, {"\"dm_format_version\""}, "Datumaro's JSON: " DATUMARO("datumaro")},
    {'{', {"\"items\"", "\"categories\"", "\"labels\""}, "Datumaro's JSON: " DATUMARO("datumaro")},
    {'{',
     {"\"annotations\"", "\"bounding_box\""},
     "V7's Darwin JSON: darwin-py makes COCO of it (darwin convert coco)"},
    {'[', {"\"sample_data_token\""}, "nuImages' tables: MMDetection3D's nuimage_converter.py makes COCO of them"},
    {'[',
     {"\"annotations\"", "\"bbox_mode\""},
     "Detectron2's list of records: its convert_to_coco_json makes COCO of it"},
    {'[', {"\"ann\"", "\"bboxes\""}, "MMDetection's own list of records: give it as COCO (a few lines of Python)"},
    {'{',
     {"\"imgs\"", "\"anns\""},
     "COCO-Text, or an index of pycocotools: COCO has lists \"images\", \"annotations\" and "
     "\"categories\" (a few lines of Python)"},
    {'{', {"\"imgs\"", "\"objects\""}, "TT100K's JSON: give it as COCO (a few lines of Python)"},
    {'{',
     {"\"FeatureCollection\""},
     "GeoJSON, as xView's: give it as COCO, with boxes in pixels (a few lines of Python)"},
    {0, {"\"source-ref\""}, "a SageMaker Ground Truth manifest: give it as COCO (a few lines of Python)"},
    {0, {"\"data_row\""}, "an export of Labelbox: its labelbox package makes COCO of it"},
    {'[',
     {"\"images\"", "\"annotations\"", "\"image_id\""},
     "a list with COCO inside: give what is between its outer brackets, for several each as a file of its own"},
    {'[',
     {"\"image_id\"", "\"score\""},
     "detections of a model (COCO results), not annotations: give the instances_*.json "
     "that they were made for"},
    {'[',
     {"\"image_id\"", "\"bbox\""},
     "a bare list of annotations: COCO is {\"images\": [...], \"annotations\": [this list], "
     "\"categories\": [...]}"},
    {0, {"\"imgHeight\"", "\"objects\""}, "Cityscapes' polygons: " DATUMARO("cityscapes")},
    {'{',
     {"\"objects\"", "\"polygon\""},
     "polygons by picture, as Mapillary Vistas': give them as COCO (a few lines of "
     "Python)"},
    {0, {"ImageID,", "XMin"}, "Open Images' CSV: globox (pip install globox) or FiftyOne makes COCO of it"},
    {0,
     {"filename,width,height,class,"},
     "a CSV table of boxes, as for TensorFlow: give it as COCO (a few lines of Python), or "
     "export COCO where it came from"},
    {0, {"imagesource:"}, "DOTA's oriented boxes: DOTA_devkit's DOTA2COCO.py makes COCO of them"},
    {0, {"tf.Example"}, "TensorFlow records: " DATUMARO("tf_detection_api")},
    {0, {"item {", "id:", "name:"}, "TensorFlow's label map: give the annotations themselves, as COCO"},
};

static const char captions[] = "COCO's captions, which have no boxes: give instances_*.json";
static const char json_lines[] = "JSON by lines, one picture each: give it as one COCO file (a few lines of Python)";
static const char table[] = "a table (CSV): give it as COCO (a few lines of Python), or export COCO where it came from";
static const char empty[] = "empty";
static const char records[] = "TensorFlow records: " DATUMARO("tf_detection_api");

static const char web_page[] = "a web page, as a login or an error leaves it in place of a download: download it again";

static bool begins(struct text text, const char *word) {
  return text.size >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static bool has(struct text text, const char *word) {
  return memmem(text.data, text.size, word, strlen(word)) != NULL;
}

static const char *by_words(struct text text) {
  for (size_t i = 0; i < COUNT_OF(signs); i++) {
    const struct sign *sign = &signs[i];
    if (sign->start != 0 && text.data[0] != sign->start) continue;
    bool all = true;
    for (size_t w = 0; w < COUNT_OF(sign->words) && sign->words[w] != NULL; w++)
      all = all && has(text, sign->words[w]);
    if (all) return sign->what;
  }
  if (has(text, "\"caption\"") && !has(text, "\"bbox\"")) return captions;
  return NULL;
}

/* ---- by its lines ---- */

/* How many words or, with commas, fields a line has, and how many of them are numbers. */
struct shape {
  size_t count, numbers, leading; /* leading: numbers before anything else */
  bool commas;
};

static struct shape line_shape(struct text line) {
  struct shape shape = {.commas = memchr(line.data, ',', line.size) != NULL};
  char copy[512];
  size_t size = line.size < sizeof(copy) ? line.size : sizeof(copy);
  for (size_t i = 0; i < size; i++)
    copy[i] = line.data[i] == ',' ? ' ' : line.data[i];
  struct text rest = {copy, size}, word;
  while (text_next_word(&rest, &word)) {
    double value;
    bool number = text_number(word, &value);
    shape.leading += number && shape.leading == shape.count;
    shape.numbers += number;
    shape.count++;
  }
  return shape;
}

/* Text labels of other tools, by their first line. */
static const char *by_lines(struct text text) {
  struct text rest = text, line = {NULL, 0};
  while (text_next_line(&rest, &line) && line.size == 0) {
  }
  if (line.size == 0) return NULL;
  struct shape shape = line_shape(line);
  if (shape.commas) {
    if (!text_has_commas_between(line)) return NULL; /* decimal commas */
    if (shape.count == 8 && shape.numbers == 8) {
      return "VisDrone's labels: the VisDrone.yaml of Ultralytics has the code that makes YOLO labels of them";
    }
    if ((shape.count == 9 || shape.count == 10) && shape.numbers == shape.count) {
      return "labels of the MOT Challenge: MMDetection's tools/dataset_converters/mot2coco.py makes COCO of them";
    }
    return NULL;
  }
  if ((shape.count == 15 || shape.count == 16) && shape.leading == 0 && shape.numbers == shape.count - 1) {
    return "KITTI's labels: " DATUMARO("kitti");
  }
  if ((shape.count == 9 || shape.count == 10) && shape.leading == 8 && shape.numbers == shape.count - 1) {
    return "DOTA's oriented boxes: DOTA_devkit's DOTA2COCO.py makes COCO of them";
  }
  return NULL;
}

/* ---- one file ---- */

static const char *const lines_suffixes[] = {".jsonl", ".ndjson", ".odgt", ".manifest", NULL};
static const char *const table_suffixes[] = {".csv", ".tsv", NULL};
static const char *const record_suffixes[] = {".tfrecord", ".tfrecords", ".record", NULL};

const char *recognise(struct text head, const char *name) {
  for (size_t i = 0; i < COUNT_OF(magics); i++) {
    struct text start = magics[i].start;
    if (head.size >= start.size && memcmp(head.data, start.data, start.size) == 0) return magics[i].what;
  }
  if (name_has_suffix(name, record_suffixes) || strstr(name_base(name), ".tfrecord-") != NULL) return records;
  struct text text = text_trim(text_without_bom(head));
  if (text.size == 0) return empty;
  if (begins(text, "<!doctype html") || begins(text, "<html")) return web_page;
  const char *found = by_words(text);
  if (found == NULL && text.data[0] != '{' && text.data[0] != '[') found = by_lines(text);
  if (found == NULL && name_has_suffix(name, lines_suffixes)) found = json_lines;
  if (found == NULL && name_has_suffix(name, table_suffixes)) found = table;
  return found;
}

/* The first bytes of a regular file as UTF-8: 1, or 0 for anything else, or -1. */
static int read_head(const char *path, struct buffer *head, struct error *error) {
  struct stat status;
  head->size = 0;
  if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  if (buffer_reserve(head, HEAD, error) != 0) return -1;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return error_system(error, "%s: cannot be opened", path);
  ssize_t got;
  while (head->size < HEAD && (got = read(file, head->data + head->size, HEAD - head->size)) > 0)
    head->size += (size_t)got;
  close(file);
  struct text bytes = {(const char *)head->data, head->size / 2 * 2};
  struct buffer utf8 = {0};
  struct error ignored = {0};
  if (text_is_utf16(bytes) && text_from_utf16(bytes, path, &utf8, &ignored) == 0) {
    buffer_free(head);
    *head = utf8;
  } else {
    buffer_free(&utf8);
  }
  return 1;
}

int recognise_coco(const char *folder, const char *name, struct error *error) {
  struct arena arena = {0};
  struct buffer head = {0};
  const char *path = path_in(&arena, folder, name, error);
  int status = path == NULL ? -1 : read_head(path, &head, error);
  if (status > 0) {
    struct text text = text_trim(text_without_bom((struct text){(const char *)head.data, head.size}));
    status = text.size > 0 && text.data[0] == '{' && recognise(text, name) == NULL &&
             (has(text, "\"images\"") || has(text, "\"annotations\"") || has(text, "\"categories\""));
  }
  buffer_free(&head);
  arena_free(&arena);
  return status;
}

/* ---- after a failure ---- */

/* Says what `path` is, when that is known. `among`: it is one of many, which may be empty or VOC's. */
static bool explain_file(const char *path, bool among, struct error *error) {
  struct buffer head = {0};
  struct error ignored = {0};
  const char *what = NULL;
  if (read_head(path, &head, &ignored) > 0) what = recognise((struct text){(const char *)head.data, head.size}, path);
  buffer_free(&head);
  if (what == NULL || (among && (what == empty || what == voc_document))) return false;
  error_set(error, "%s is %s", path, what);
  return true;
}

bool name_is_note(const char *name) {
  static const char *const notes[] = {"readme", "license", "licence", "requirements", "notes"};
  const char *base = name_base(name);
  for (size_t i = 0; i < COUNT_OF(notes); i++)
    if (strncasecmp(base, notes[i], strlen(notes[i])) == 0) return true;
  return false;
}

void recognise_explain(const char *path, enum dataset_format format, struct error *error) {
  static const char *const voc[] = {".xml", NULL}, *const yolo[] = {".txt", NULL}, *const coco[] = {".json", NULL};
  static const char *const all[] = {".geojson",   ".manifest", ".pbtxt",   ".pkl",   ".json",   ".xml", ".txt",
                                    ".csv",       ".tsv",      ".odgt",    ".jsonl", ".ndjson", ".zip", ".tfrecord",
                                    ".tfrecords", ".record",   ".parquet", ".mat",   ".gz",     NULL};
  enum { LOOKED_AT = 20 };
  struct arena arena = {0};
  struct name_list list = {0};
  struct error ignored = {0};
  if (!folder_exists(path)) {
    explain_file(path, false, error);
    return;
  }
  const char *const *suffixes = format == DATASET_VOC    ? voc
                                : format == DATASET_YOLO ? yolo
                                : format == DATASET_COCO ? coco
                                                         : all;
  if (folder_list(path, true, suffixes, &arena, &list, &ignored) == 0) {
    for (size_t i = 0; i < list.count && i < LOOKED_AT; i++) {
      const char *file = name_is_note(list.names[i]) ? NULL : path_in(&arena, path, list.names[i], &ignored);
      if (file != NULL && explain_file(file, true, error)) break;
    }
  }
  name_list_free(&list);
  arena_free(&arena);
}
