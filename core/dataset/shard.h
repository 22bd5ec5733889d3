/* core/dataset - tar shards: one USTAR file holds the members of many samples, KEY.jpg and KEY.json side by side, as
 * Python's `webdataset` reads them. The same members in the same order give the same bytes. */
#ifndef JIGSAW_CORE_DATASET_SHARD_H
#define JIGSAW_CORE_DATASET_SHARD_H

#include "core/base/base.h"

struct archive;
struct archive_entry;

struct shard_writer {
  struct file_writer file;
  struct archive *archive;
  struct archive_entry *entry;
};

/* Writes to PATH.tmp until shard_commit; a crash leaves nothing that looks finished. */
int shard_create(struct shard_writer *shard, const char *path, struct error *error);

/* Appends a member. `*offset` is where its bytes begin in the file, so that a reader can map them. */
int shard_add(struct shard_writer *shard, const char *name, const void *bytes, size_t size, uint64_t *offset,
              struct error *error);

/* Between members: what was added since the mark is taken back. Marks are struct file_mark's, zeroed to begin. */
int shard_mark(const struct shard_writer *shard, struct file_mark *mark, struct error *error);
int shard_rewind(struct shard_writer *shard, const struct file_mark *mark, struct error *error);

/* Ends the archive, syncs and renames. `size` and `hash` (XXH3-128) are of the whole file. On failure, too, the writer
 * is closed and nothing remains. */
int shard_commit(struct shard_writer *shard, int64_t *size, XXH128_hash_t *hash, struct error *error);
void shard_abandon(struct shard_writer *shard);

/* Calls visit(context, name, bytes, size) for every regular member of the tar file in memory, in order; a member that
 * is not a regular file, sticks out of the file, or an archive without an end, is an error, and so is a failing visit.
 */
typedef int shard_visit(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error);
int shard_walk(const uint8_t *data, size_t size, shard_visit *visit, void *context, struct error *error);

#endif
