/* The pictures below a folder, by listing folders alone: no file is looked at. */
#include "core/dataset/internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where our tools write: pictures of ours, not of the data set. */
static const char product_mark[] = "run.json";

/* What image/ can decode. */
static const char *const suffixes[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp",
                                       ".tif", ".tiff", ".gif", ".ppm",  ".pgm", ".tga", NULL};

static int add_folder(struct tree *tree, const char *path, size_t parent, bool linked, int depth, struct error *error) {
  void *folders = tree->folders;
  int status = array_reserve(&folders, &tree->folder_capacity, tree->folder_count + 1, sizeof(*tree->folders), error);
  tree->folders = folders;
  if (status != 0) return -1;
  tree->folders[tree->folder_count++] =
      (struct tree_folder){.path = path, .parent = parent, .linked = linked, .depth = depth};
  return 0;
}

static int add_file(struct tree *tree, const char *name, size_t folder, struct error *error) {
  void *files = tree->files;
  int status = array_reserve(&files, &tree->file_capacity, tree->file_count + 1, sizeof(*tree->files), error);
  tree->files = files;
  if (status != 0) return -1;
  const char *copy = arena_copy(&tree->arena, name, strlen(name));
  if (copy == NULL) return error_memory(error, strlen(name));
  tree->files[tree->file_count++] = (struct tree_file){copy, folder};
  return 0;
}

static int take_entry(struct tree *tree, int descriptor, const struct dirent *entry, size_t at, int depth_max,
                      struct error *error) {
  const char *name = entry->d_name;
  if (name[0] == '.' || !utf8_valid(name, strlen(name), NULL)) return 0;
  bool folder = entry->d_type == DT_DIR, linked = false;
  if (!folder && name_has_suffix(name, suffixes)) return add_file(tree, name, at, error);
  if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
    struct stat status;
    folder = linked = fstatat(descriptor, name, &status, 0) == 0 && S_ISDIR(status.st_mode);
  }
  const struct tree_folder *parent = &tree->folders[at];
  if (!folder || parent->depth == depth_max) return 0;
  const char *path = parent->path[0] == '\0' ? arena_copy(&tree->arena, name, strlen(name))
                                             : path_in(&tree->arena, parent->path, name, error);
  if (path == NULL) return error_memory(error, strlen(name));
  return add_folder(tree, path, at, linked, parent->depth + 1, error);
}

/* Whether a folder behind a link is one that was read already: links may lead in circles. */
static bool seen_before(const struct tree *tree, size_t at) {
  for (size_t i = 0; i < at; i++)
    if (tree->folders[i].device == tree->folders[at].device && tree->folders[i].inode == tree->folders[at].inode)
      return true;
  return false;
}

static int read_folder(struct tree *tree, const char *root, size_t at, int depth_max, struct error *error) {
  struct stat status;
  const char *path =
      tree->folders[at].path[0] == '\0' ? root : path_in(&tree->arena, root, tree->folders[at].path, error);
  if (path == NULL) return -1;
  DIR *stream = opendir(path);
  if (stream == NULL) return 0;
  int descriptor = dirfd(stream), result = 0;
  if (fstat(descriptor, &status) == 0) {
    tree->folders[at].device = status.st_dev;
    tree->folders[at].inode = status.st_ino;
  }
  bool passed_over = at > 0 && faccessat(descriptor, product_mark, F_OK, 0) == 0;
  if (tree->folders[at].linked && seen_before(tree, at)) passed_over = true;
  const struct dirent *entry;
  while (result == 0 && !passed_over && tree->entries_left-- > 0 && (entry = readdir(stream)) != NULL) {
    result = take_entry(tree, descriptor, entry, at, depth_max, error);
  }
  closedir(stream);
  return result;
}

int tree_read(struct tree *tree, const char *root, int depth_max, int64_t entries_max, struct error *error) {
  *tree = (struct tree){.entries_left = entries_max};
  int result = add_folder(tree, "", 0, false, 0, error);
  for (size_t at = 0; result == 0 && tree->entries_left > 0 && at < tree->folder_count; at++)
    result = read_folder(tree, root, at, depth_max, error);
  if (result != 0) tree_free(tree);
  return result;
}

void tree_free(struct tree *tree) {
  free(tree->folders);
  free(tree->files);
  arena_free(&tree->arena);
  *tree = (struct tree){0};
}
