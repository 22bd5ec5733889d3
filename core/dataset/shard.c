#include "core/dataset/shard.h"

#include <errno.h>

#include <archive.h>
#include <archive_entry.h>

static la_ssize_t write_block(struct archive *archive, void *context, const void *bytes, size_t size) {
  struct shard_writer *shard = context;
  struct error error;
  if (file_write(&shard->file, bytes, size, &error) == 0) return (la_ssize_t)size;
  archive_set_error(archive, EIO, "%s", error.message);
  return -1;
}

static int archive_failed(struct archive *archive, struct error *error) {
  const char *text = archive_error_string(archive);
  return error_set(error, "%s", text ? text : "tar archive: unknown failure");
}

static void shard_close(struct shard_writer *shard) {
  if (shard->archive) archive_write_free(shard->archive);
  if (shard->entry) archive_entry_free(shard->entry);
  shard->archive = NULL;
  shard->entry = NULL;
}

int shard_create(struct shard_writer *shard, const char *path, struct error *error) {
  *shard = (struct shard_writer){0};
  if (file_create(&shard->file, path, error)) return -1;
  shard->archive = archive_write_new();
  shard->entry = archive_entry_new();
  /* No blocking: every header and every member reaches file_write at once, so that file.size is the true offset. */
  if (!shard->archive || !shard->entry) {
    error_memory(error, 0);
  } else if (archive_write_set_format_ustar(shard->archive) || archive_write_set_bytes_per_block(shard->archive, 0) ||
             archive_write_open(shard->archive, shard, NULL, write_block, NULL)) {
    archive_failed(shard->archive, error);
  } else {
    return 0;
  }
  shard_abandon(shard);
  return -1;
}

int shard_add(struct shard_writer *shard, const char *name, const void *bytes, size_t size, uint64_t *offset,
              struct error *error) {
  struct archive_entry *entry = shard->entry;
  archive_entry_clear(entry);
  archive_entry_set_pathname(entry, name);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, (int64_t)size);
  archive_entry_set_mtime(entry, 0, 0);
  if (archive_write_header(shard->archive, entry)) return archive_failed(shard->archive, error);
  *offset = (uint64_t)shard->file.size;
  if (archive_write_data(shard->archive, bytes, size) != (la_ssize_t)size) return archive_failed(shard->archive, error);
  if (archive_write_finish_entry(shard->archive)) return archive_failed(shard->archive, error);
  return 0;
}

/* Between members libarchive holds nothing back, and a tar file says nothing of its own length. */
int shard_mark(const struct shard_writer *shard, struct file_mark *mark, struct error *error) {
  return file_mark_set(mark, &shard->file, error);
}

int shard_rewind(struct shard_writer *shard, const struct file_mark *mark, struct error *error) {
  return file_rewind(&shard->file, mark, error);
}

int shard_commit(struct shard_writer *shard, int64_t *size, XXH128_hash_t *hash, struct error *error) {
  if (archive_write_close(shard->archive)) {
    archive_failed(shard->archive, error);
    shard_abandon(shard);
    return -1;
  }
  *size = shard->file.size;
  *hash = file_hash(&shard->file);
  shard_close(shard);
  return file_commit(&shard->file, error);
}

void shard_abandon(struct shard_writer *shard) {
  shard_close(shard); /* writes the archive's end, or fails again, into a file that goes anyway */
  file_abandon(&shard->file);
}

/* The bytes of the current member: libarchive hands out runs of the mapped file; a regular member of a plain tar is one
 * run, and one that is not is refused. */
static int member_bytes(struct archive *archive, const char *name, int64_t size, const uint8_t **bytes,
                        struct error *error) {
  const void *run = "";
  size_t length = 0;
  la_int64_t at = 0;
  if (size == 0) {
    *bytes = (const uint8_t *)"";
    return 0;
  }
  int status = archive_read_data_block(archive, &run, &length, &at);
  if (status != ARCHIVE_OK || at != 0 || (int64_t)length != size) {
    return error_set(error, "member %s: its %lld bytes are not all there", name, (long long)size);
  }
  *bytes = run;
  return 0;
}

/* `*end` is one past the bytes of the last member that has any. */
static int walk_members(struct archive *archive, shard_visit *visit, void *context, const uint8_t **end,
                        struct error *error) {
  for (;;) {
    struct archive_entry *entry;
    int status = archive_read_next_header(archive, &entry);
    if (status == ARCHIVE_EOF) return 0;
    if (status != ARCHIVE_OK) return archive_failed(archive, error);
    const char *name = archive_entry_pathname(entry);
    if (!name) return error_set(error, "a member has no readable name");
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
      return error_set(error, "member %s is not a regular file", name);
    }
    const uint8_t *bytes = NULL;
    int64_t size = archive_entry_size(entry);
    if (member_bytes(archive, name, size, &bytes, error)) return -1;
    if (size > 0) *end = bytes + size;
    if (visit(context, name, bytes, (size_t)size, error)) return -1;
  }
}

int shard_walk(const uint8_t *data, size_t size, shard_visit *visit, void *context, struct error *error) {
  /* libarchive takes a file that stops after a member for complete; a whole tar ends with two blocks of zeros, which
   * are not zeros of its last member. */
  static const char unended[] = "not a whole tar file: the end mark is missing";
  const uint8_t *end = data;
  if (size < 1024 || size % 512 != 0) return error_set(error, "not a whole tar file: %zu bytes", size);
  for (size_t i = size - 1024; i < size; i++) {
    if (data[i] != 0) return error_set(error, "%s", unended);
  }
  struct archive *archive = archive_read_new();
  if (!archive) return error_memory(error, 0);
  int result;
  if (archive_read_support_format_tar(archive) || archive_read_open_memory(archive, data, size)) {
    result = archive_failed(archive, error);
  } else {
    result = walk_members(archive, visit, context, &end, error);
  }
  if (result == 0 && data + size - end < 1024) result = error_set(error, "%s", unended);
  archive_read_free(archive);
  return result;
}
