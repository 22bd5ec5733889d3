/* Names of pictures, as annotation files write them and as they may be joined to a folder. */
#include "core/dataset/internal.h"

#include <string.h>

/* "C:/" or "c:\": the start of a Windows path. */
static bool is_drive(const char *name) {
  char letter = (char)(name[0] | 0x20);
  return letter >= 'a' && letter <= 'z' && name[1] == ':' && (name[2] == '/' || name[2] == '\\');
}

bool dataset_name_safe(const char *name) {
  if (is_drive(name) || name[0] == '/' || name[0] == '\\') return false;
  size_t size = 0;
  for (const char *part = name;; part += size + 1) { /* between slashes; backslashes are some system's slashes */
    size = strcspn(part, "/\\");
    if (size == 2 && part[0] == '.' && part[1] == '.') return false;
    if (part[size] == '\0') break;
  }
  const char *last = name_base(name);
  return last[0] != '\0' && strcmp(last, ".") != 0;
}

/* What follows "SCHEME://HOST/", or NULL when the name is no URL. */
static char *url_path(char *name) {
  char *scheme_end = strstr(name, "://");
  size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  if (scheme_end == NULL || scheme_end == name || size != (size_t)(scheme_end - name)) return NULL;
  char *path = strchr(scheme_end + 3, '/');
  return path == NULL ? scheme_end + 3 : path + 1;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%20" becomes a space; the name stays as it is where that would not make text. NULL when memory is out. */
static char *decode_percent(struct arena *arena, char *name) {
  char *decoded = arena_copy(arena, name, strlen(name)), *out = decoded;
  if (decoded == NULL) return NULL;
  for (const char *at = name; *at != '\0';) {
    int high = *at == '%' ? hex_digit(at[1]) : -1, low = high < 0 ? -1 : hex_digit(at[2]);
    *out++ = low < 0 ? *at : (char)(high * 16 + low);
    at += low < 0 ? 1 : 3;
  }
  *out = '\0';
  return utf8_valid(decoded, (size_t)(out - decoded), NULL) ? decoded : name;
}

/* The value in a query "a=1&d=set/p.jpg" that names a picture, with a NUL behind it; or NULL. */
static char *query_picture(char *query) {
  while (*query != '\0') {
    size_t size = strcspn(query, "&");
    char after = query[size];
    query[size] = '\0';
    char *value = strchr(query, '=');
    if (value != NULL && name_has_suffix(value, picture_suffixes)) return value + 1;
    query[size] = after;
    query += size + (after != '\0');
  }
  return NULL;
}

/* Drops a drive, empty parts, "." and, with the part before it, "..". */
static void keep_inside(char *name) {
  char *out = name, *part = name;
  while (*part != '\0') {
    size_t size = strcspn(part, "/");
    bool last = part[size] == '\0', drive = out == name && is_drive(part);
    if (size == 2 && part[0] == '.' && part[1] == '.') {
      while (out > name && *--out != '/') {
      }
    } else if (size > 0 && !drive && !(size == 1 && part[0] == '.')) {
      if (out > name) *out++ = '/';
      memmove(out, part, size);
      out += size;
    }
    part += size + !last;
  }
  *out = '\0';
}

const char *name_relative(struct arena *arena, const char *written) {
  char *name = arena_copy(arena, written, strlen(written));
  if (name == NULL) return NULL;
  char *path = url_path(name);
  bool url = path != NULL;
  if (url) name = path;
  size_t size = strcspn(name, "?");
  if (name[size] == '?') {
    name[size] = '\0';
    char *picture = name_has_suffix(name, picture_suffixes) ? NULL : query_picture(name + size + 1);
    if (picture != NULL) {
      name = picture;
      url = true;
    } else if (!url && !name_has_suffix(name, picture_suffixes)) {
      name[size] = '?'; /* part of the name */
    }
  }
  if (url) {
    name[strcspn(name, "#")] = '\0';
    if ((name = decode_percent(arena, name)) == NULL) return NULL;
  }
  for (char *at = name; (at = strchr(at, '\\')) != NULL;)
    *at = '/';
  keep_inside(name);
  return name;
}
