#include "core/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_SIZE = 256 << 10 };

/* Opening never waits for somebody to write into a FIFO; the caller refuses what is no regular file. */
static int open_for_reading(const char *path, struct error *error) {
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) error_system(error, "%s: cannot open", path);
  return fd;
}

int file_map_open(struct file_map *map, const char *path, struct error *error) {
  *map = (struct file_map){0};
  int fd = open_for_reading(path, error);
  if (fd < 0) return -1;
  struct stat status;
  int result = 0;
  if (fstat(fd, &status)) {
    result = error_system(error, "%s: cannot stat", path);
  } else if (!S_ISREG(status.st_mode)) {
    result = error_set(error, "%s: not a regular file", path);
  } else if (status.st_size == 0) {
    map->data = (const uint8_t *)"";
  } else {
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      result = error_system(error, "%s: cannot map", path);
    } else {
      *map = (struct file_map){.data = data, .size = (size_t)status.st_size};
    }
  }
  close(fd);
  return result;
}

void file_map_close(struct file_map *map) {
  if (map->size > 0) munmap((void *)(uintptr_t)map->data, map->size);
  *map = (struct file_map){0};
}

int file_read(struct buffer *buffer, const char *path, struct error *error) {
  buffer->size = 0;
  int fd = open_for_reading(path, error);
  if (fd < 0) return -1;
  struct stat status;
  int result = -1;
  if (fstat(fd, &status)) {
    error_system(error, "%s: cannot stat", path);
    goto done;
  }
  if (!S_ISREG(status.st_mode)) {
    error_set(error, "%s: not a regular file", path);
    goto done;
  }
  if (buffer_reserve(buffer, (size_t)status.st_size + 1, error)) goto done;
  for (;;) {
    if (buffer->size == buffer->capacity && buffer_reserve(buffer, buffer->size + 1, error)) goto done;
    ssize_t got = read(fd, buffer->data + buffer->size, buffer->capacity - buffer->size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error_system(error, "%s: cannot read", path);
      goto done;
    }
    if (got == 0) break;
    buffer->size += (size_t)got;
  }
  result = 0;
done:
  close(fd);
  return result;
}

static char *concatenate(const char *a, const char *b) {
  char *text = malloc(strlen(a) + strlen(b) + 1);
  if (text) strcat(strcpy(text, a), b);
  return text;
}

static void writer_close(struct file_writer *writer) {
  if (writer->fd >= 0) close(writer->fd);
  if (writer->hash) XXH3_freeState(writer->hash);
  free(writer->pending);
  free(writer->path);
  free(writer->temporary);
  *writer = (struct file_writer){.fd = -1};
}

static int writer_open(struct file_writer *writer, const char *path, struct error *error) {
  *writer = (struct file_writer){.fd = -1};
  writer->path = strdup(path);
  writer->pending = malloc(PENDING_SIZE);
  writer->hash = XXH3_createState();
  if (!writer->path || !writer->pending || !writer->hash) {
    writer_close(writer);
    return error_memory(error, PENDING_SIZE);
  }
  XXH3_128bits_reset(writer->hash);
  return 0;
}

/* Opens PATH + suffix as the temporary; false, with errno, when it cannot be. */
static bool open_temporary(struct file_writer *writer, const char *suffix, int flags) {
  free(writer->temporary);
  writer->temporary = concatenate(writer->path, suffix);
  if (!writer->temporary) {
    errno = ENOMEM;
    return false;
  }
  writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  return writer->fd >= 0;
}

static int create_failed(struct file_writer *writer, struct error *error) {
  error_system(error, "%s: cannot create", writer->temporary ? writer->temporary : writer->path);
  writer_close(writer);
  return -1;
}

int file_create(struct file_writer *writer, const char *path, struct error *error) {
  if (writer_open(writer, path, error)) return -1;
  return open_temporary(writer, ".tmp", O_TRUNC) ? 0 : create_failed(writer, error);
}

int file_create_beside(struct file_writer *writer, const char *path, struct error *error) {
  if (writer_open(writer, path, error)) return -1;
  for (int i = 0; i < 1000; i++) {
    char suffix[32];
    snprintf(suffix, sizeof suffix, ".%d.tmp", i);
    if (open_temporary(writer, suffix, O_EXCL)) return 0;
    if (errno != EEXIST) break;
  }
  return create_failed(writer, error);
}

int file_create_nowhere(struct file_writer *writer, struct error *error) {
  return writer_open(writer, "", error);
}

static int write_fully(const struct file_writer *writer, const uint8_t *bytes, size_t size, struct error *error) {
  if (writer->fd < 0) return 0;
  while (size > 0) {
    ssize_t put = write(writer->fd, bytes, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return error_system(error, "%s: cannot write", writer->path);
    bytes += put;
    size -= (size_t)put;
  }
  return 0;
}

static int flush_pending(struct file_writer *writer, struct error *error) {
  size_t size = writer->pending_size;
  writer->pending_size = 0;
  return write_fully(writer, writer->pending, size, error);
}

int file_write(struct file_writer *writer, const void *bytes, size_t size, struct error *error) {
  XXH3_128bits_update(writer->hash, bytes, size);
  writer->size += (int64_t)size;
  if (size > PENDING_SIZE - writer->pending_size) {
    if (flush_pending(writer, error)) return -1;
    if (size >= PENDING_SIZE) return write_fully(writer, bytes, size, error);
  }
  if (size > 0) memcpy(writer->pending + writer->pending_size, bytes, size);
  writer->pending_size += size;
  return 0;
}

int file_printf(struct file_writer *writer, struct error *error, const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (length < 0) return error_memory(error, strlen(format));
  int result = file_write(writer, text, (size_t)length, error);
  free(text);
  return result;
}

/* The folder that holds `path`, in a buffer of the caller's. */
static const char *folder_of(const char *path, char *folder, size_t size) {
  const char *slash = strrchr(path, '/');
  if (!slash) return ".";
  snprintf(folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  return folder;
}

int file_commit(struct file_writer *writer, struct error *error) {
  char folder[4096];
  int result = flush_pending(writer, error);
  if (result == 0 && fsync(writer->fd)) result = error_system(error, "%s: cannot sync", writer->path);
  if (result == 0) {
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd)) result = error_system(error, "%s: cannot close", writer->path);
  }
  if (result == 0 && rename(writer->temporary, writer->path)) {
    result = error_system(error, "%s: cannot rename %s to it", writer->path, writer->temporary);
  }
  if (result != 0) {
    file_abandon(writer);
    return -1;
  }
  result = directory_sync(folder_of(writer->path, folder, sizeof folder), error);
  writer_close(writer);
  return result;
}

void file_abandon(struct file_writer *writer) {
  if (!writer->path) return;
  if (writer->temporary) unlink(writer->temporary);
  writer_close(writer);
}

XXH128_hash_t file_hash(const struct file_writer *writer) {
  return XXH3_128bits_digest(writer->hash);
}

int file_mark_set(struct file_mark *mark, const struct file_writer *writer, struct error *error) {
  if (!mark->hash) mark->hash = XXH3_createState();
  if (!mark->hash) return error_memory(error, 0);
  XXH3_copyState(mark->hash, writer->hash);
  mark->size = writer->size;
  return 0;
}

int file_rewind(struct file_writer *writer, const struct file_mark *mark, struct error *error) {
  int64_t written = writer->size - (int64_t)writer->pending_size;
  if (mark->size >= written) {
    writer->pending_size = (size_t)(mark->size - written);
  } else {
    writer->pending_size = 0;
    if (ftruncate(writer->fd, mark->size) || lseek(writer->fd, mark->size, SEEK_SET) < 0) {
      return error_system(error, "%s: cannot go back", writer->path);
    }
  }
  writer->size = mark->size;
  XXH3_copyState(writer->hash, mark->hash);
  return 0;
}

void file_mark_free(struct file_mark *mark) {
  XXH3_freeState(mark->hash);
  *mark = (struct file_mark){0};
}

int file_digest(const char *path, XXH128_hash_t *digest, struct error *error) {
  struct file_map map;
  if (file_map_open(&map, path, error)) return -1;
  *digest = XXH3_128bits(map.data, map.size);
  file_map_close(&map);
  return 0;
}

static int write_whole(struct file_writer *writer, const void *bytes, size_t size, struct error *error) {
  if (file_write(writer, bytes, size, error)) {
    file_abandon(writer);
    return -1;
  }
  return file_commit(writer, error);
}

int file_write_all(const char *path, const void *bytes, size_t size, struct error *error) {
  struct file_writer writer;
  return file_create(&writer, path, error) ? -1 : write_whole(&writer, bytes, size, error);
}

int file_write_beside(const char *path, const void *bytes, size_t size, struct error *error) {
  struct file_writer writer;
  return file_create_beside(&writer, path, error) ? -1 : write_whole(&writer, bytes, size, error);
}

int file_write_json(const char *path, const cJSON *json, struct error *error) {
  char *text = cJSON_Print(json);
  char *line = text ? concatenate(text, "\n") : NULL;
  int result = line ? file_write_all(path, line, strlen(line), error) : error_memory(error, 0);
  free(line);
  cJSON_free(text);
  return result;
}

int json_add(cJSON *container, const char *name, cJSON *item, struct error *error) {
  bool added = item && (name ? cJSON_AddItemToObject(container, name, item) : cJSON_AddItemToArray(container, item));
  if (added) return 0;
  cJSON_Delete(item);
  return error_memory(error, 0);
}

int file_read_json(const char *path, cJSON **json, struct error *error) {
  struct buffer text = {0};
  *json = NULL;
  int result = file_read(&text, path, error);
  if (result == 0) {
    const char *end = NULL;
    *json = cJSON_ParseWithLengthOpts((const char *)text.data, text.size, &end, false);
    if (!*json) {
      size_t offset = end ? (size_t)(end - (const char *)text.data) : 0;
      result = error_set(error, "%s: not valid JSON at byte %zu", path, offset);
    }
  }
  buffer_free(&text);
  return result;
}

bool file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(path);
}

int file_remove_tree(const char *path, struct error *error) {
  if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return 0;
  return error_system(error, "%s: cannot remove", path);
}

int directory_create(const char *path, struct error *error) {
  char *partial = strdup(path);
  if (!partial) return error_memory(error, strlen(path));
  int result = 0;
  for (char *slash = partial + 1; result == 0 && *partial; slash++) {
    if (*slash != '/' && *slash != '\0') continue;
    char kept = *slash;
    *slash = '\0';
    struct stat status;
    if (mkdir(partial, 0777) && (errno != EEXIST || stat(partial, &status) || !S_ISDIR(status.st_mode))) {
      if (errno == EEXIST) errno = ENOTDIR;
      result = error_system(error, "%s: cannot create the folder", partial);
    }
    if (kept == '\0') break;
    *slash = kept;
  }
  free(partial);
  return result;
}

int directory_sync(const char *path, struct error *error) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_system(error, "%s: cannot open", path);
  int result = fsync(fd) ? error_system(error, "%s: cannot sync", path) : 0;
  close(fd);
  return result;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

int directory_list(const char *path, struct arena *arena, char ***names, size_t *count, struct error *error) {
  DIR *directory = opendir(path);
  if (!directory) return error_system(error, "%s: cannot list", path);
  void *items = NULL;
  size_t capacity = 0, used = 0;
  int result = 0;
  for (struct dirent *entry; result == 0 && (errno = 0, entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    result = array_reserve(&items, &capacity, used + 1, sizeof(char *), error);
    if (result == 0) {
      char *name = arena_copy(arena, entry->d_name, strlen(entry->d_name));
      ((char **)items)[used++] = name;
      if (!name) result = error_memory(error, strlen(entry->d_name));
    }
  }
  if (result == 0 && errno) result = error_system(error, "%s: cannot list", path);
  closedir(directory);
  if (result == 0) {
    if (used > 0) qsort(items, used, sizeof(char *), compare_names);
    *names = arena_alloc(arena, used * sizeof(char *) + 1);
    *count = used;
    if (*names && used > 0) memcpy(*names, items, used * sizeof(char *));
    if (!*names) result = error_memory(error, used * sizeof(char *));
  }
  free(items);
  return result;
}

char *path_join(struct arena *arena, const char *folder, const char *name) {
  size_t length = strlen(folder), name_length = strlen(name);
  bool slash = length > 0 && folder[length - 1] != '/';
  char *path = arena_alloc(arena, length + slash + name_length + 1);
  if (path) sprintf(path, "%s%s%s", folder, slash ? "/" : "", name);
  return path;
}

int path_format(char path[PATH_SIZE], struct error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(path, PATH_SIZE, format, arguments);
  va_end(arguments);
  if (length < 0 || length >= PATH_SIZE) return error_set(error, "%s...: the path is too long", path);
  return 0;
}

void hash_hex(XXH128_hash_t hash, char hex[33]) {
  snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}
