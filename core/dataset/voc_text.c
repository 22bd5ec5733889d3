/* The text of VOC documents: other encodings, and small faults that stop an XML parser. */
#include <errno.h>
#include <iconv.h>

#include "core/dataset/voc.h"

enum { DECLARATION_MAX = 256, NAME_MAX_SIZE = 32 };

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

bool voc_text_broken(struct text text) {
  return memmem(text.data, text.size, replacement, strlen(replacement)) != NULL;
}

/* ---- encodings ---- */

/* What encodings are called, in lower case without punctuation, and what iconv calls them; NULL: UTF-8. Wider sets
 * stand for those that are often named in their place. */
static const struct {
  const char *name, *iconv;
} encodings[] = {
    {"utf8", NULL},           {"ascii", NULL},          {"usascii", NULL},        {"utf16", NULL},
    {"unicode", NULL},        {"ucs2", NULL},           {"gb2312", "GB18030"},    {"gbk", "GB18030"},
    {"gb18030", "GB18030"},   {"euccn", "GB18030"},     {"cp936", "GB18030"},     {"big5", "BIG5-HKSCS"},
    {"cp950", "CP950"},       {"shiftjis", "CP932"},    {"sjis", "CP932"},        {"windows31j", "CP932"},
    {"cp932", "CP932"},       {"eucjp", "EUC-JP"},      {"euckr", "CP949"},       {"cp949", "CP949"},
    {"ksc56011987", "CP949"}, {"latin1", "ISO-8859-1"}, {"latin2", "ISO-8859-2"}, {"latin9", "ISO-8859-15"},
    {"ansi", "CP1252"},       {"koi8r", "KOI8-R"},      {"koi8u", "KOI8-U"},      {"cp866", "CP866"},
    {"tis620", "TIS-620"},    {"windows874", "CP874"},
};

/* "windows-1250" .. "cp1258" and "iso-8859-1" .. "-16". */
static bool numbered_encoding(const char *name, char iconv_name[NAME_MAX_SIZE]) {
  const char *windows = strncmp(name, "windows125", 10) == 0 ? name + 10
                        : strncmp(name, "cp125", 5) == 0     ? name + 5
                                                             : "";
  if (windows[0] >= '0' && windows[0] <= '8' && windows[1] == '\0') {
    snprintf(iconv_name, NAME_MAX_SIZE, "CP125%c", windows[0]);
    return true;
  }
  if (strncmp(name, "iso8859", 7) != 0) return false;
  size_t digits = strspn(name + 7, "0123456789");
  if (digits < 1 || digits > 2 || name[7 + digits] != '\0') return false;
  snprintf(iconv_name, NAME_MAX_SIZE, "ISO-8859-%.2s", name + 7);
  return true;
}

/* False when the encoding is not known; an empty name is UTF-8. */
static bool find_encoding(struct text declared, char iconv_name[NAME_MAX_SIZE]) {
  char name[NAME_MAX_SIZE];
  size_t size = 0;
  iconv_name[0] = '\0';
  for (size_t i = 0; i < declared.size; i++) {
    char c = declared.data[i];
    if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) continue;
    if (size + 1 == sizeof(name)) return false;
    name[size++] = c;
  }
  name[size] = '\0';
  for (size_t i = 0; i < COUNT_OF(encodings); i++) {
    if (strcmp(name, encodings[i].name) != 0) continue;
    if (encodings[i].iconv != NULL) snprintf(iconv_name, NAME_MAX_SIZE, "%s", encodings[i].iconv);
    return true;
  }
  return numbered_encoding(name, iconv_name);
}

/* What <?xml encoding="..."?> says; empty when it says nothing. */
static struct text declared_encoding(struct text document) {
  const struct text none = {"", 0};
  if (document.size < 5 || memcmp(document.data, "<?xml", 5) != 0) return none;
  size_t size = document.size < DECLARATION_MAX ? document.size : DECLARATION_MAX;
  const char *end = memmem(document.data, size, "?>", 2);
  const char *at = end == NULL ? NULL : memmem(document.data, (size_t)(end - document.data), "encoding", 8);
  if (at == NULL) return none;
  at += 8;
  while (at < end && *at != '"' && *at != '\'')
    at++;
  const char *close = at < end ? memchr(at + 1, *at, (size_t)(end - at) - 1) : NULL;
  return close == NULL ? none : (struct text){at + 1, (size_t)(close - at) - 1};
}

static bool is_ascii(struct text text) {
  unsigned char all = 0;
  for (size_t i = 0; i < text.size; i++)
    all |= (unsigned char)text.data[i];
  return all < 0x80;
}

static int convert(struct text from, const char *encoding, struct buffer *utf8, struct error *error) {
  iconv_t converter = iconv_open("UTF-8", encoding);
  if (converter == (iconv_t)-1) { /* NOLINT(performance-no-int-to-ptr): what iconv_open returns */
    return error_set(error, "%s cannot be converted here: save the document as UTF-8", encoding);
  }
  char *in = (char *)(uintptr_t)from.data; /* iconv only reads it */
  size_t left = from.size;
  int status = 0;
  utf8->size = 0;
  while (left > 0 && status == 0) {
    status = buffer_reserve(utf8, utf8->size + left * 2 + 16, error);
    if (status != 0) break;
    char *out = (char *)utf8->data + utf8->size;
    size_t room = utf8->capacity - utf8->size;
    size_t result = iconv(converter, &in, &left, &out, &room);
    utf8->size = utf8->capacity - room;
    if (result == (size_t)-1 && errno != E2BIG) {
      status = buffer_append(utf8, replacement, strlen(replacement), error);
      in++;
      left--;
    }
  }
  iconv_close(converter);
  return status;
}

int voc_text_decode(struct text file, struct buffer *utf8, struct text *document, long *lines, struct error *error) {
  bool wide = text_is_utf16(file);
  *document = text_without_bom(file);
  *lines = 0;
  if (wide) {
    if (text_from_utf16(file, "the document", utf8, error) != 0) return -1;
    *document = (struct text){(const char *)utf8->data, utf8->size};
  }
  const char *start = memchr(document->data, '<', document->size);
  for (; start != NULL && document->data < start; document->data++, document->size--)
    *lines += *document->data == '\n';
  struct text declared = declared_encoding(*document);
  char encoding[NAME_MAX_SIZE];
  if (wide || is_ascii(*document)) return 0;
  if (!find_encoding(declared, encoding)) {
    if (declared.size == 0 || utf8_valid(document->data, document->size, NULL)) return 0;
    return error_set(error, "the encoding \"%s\" is not known: save the document as UTF-8", text_show(declared).string);
  }
  if (encoding[0] == '\0') return 0;
  if (convert(*document, encoding, utf8, error) != 0) return -1;
  *document = (struct text){(const char *)utf8->data, utf8->size};
  return 0;
}

/* ---- mending ---- */

static bool begins(const char *at, const char *end, const char *word) {
  size_t size = strlen(word);
  return (size_t)(end - at) >= size && memcmp(at, word, size) == 0;
}

/* Whether an entity that every parser knows is there: "&lt;", "&#228;". */
static bool is_entity(const char *at, const char *end) {
  static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"};
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (begins(at, end, known[i])) return true;
  if (!begins(at, end, "&#")) return false;
  at += 2;
  bool hexadecimal = at < end && *at == 'x';
  at += hexadecimal;
  const char *digits = at;
  while (at < end &&
         ((*at >= '0' && *at <= '9') || (hexadecimal && ((*at >= 'a' && *at <= 'f') || (*at >= 'A' && *at <= 'F')))))
    at++;
  return at > digits && at < end && *at == ';';
}

/* Where a part ends in which "&" is plain text; NULL elsewhere. */
static const char *plain_end(const char *at, const char *end) {
  static const char *const parts[][2] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};
  for (size_t i = 0; i < COUNT_OF(parts); i++) {
    if (!begins(at, end, parts[i][0])) continue;
    const char *close = memmem(at, (size_t)(end - at), parts[i][1], strlen(parts[i][1]));
    return close == NULL ? end : close;
  }
  return NULL;
}

int voc_text_mend(struct text document, struct buffer *mended, struct error *error) {
  const char *at = document.data, *end = at + document.size, *plain = at;
  int status = 0;
  mended->size = 0;
  while (at < end && status == 0) {
    unsigned char c = (unsigned char)*at;
    const char *part = at >= plain && c == '<' ? plain_end(at, end) : NULL;
    if (part != NULL) plain = part;
    size_t valid = 0, size = 1;
    if (c >= 0x80) {
      size_t longest = end - at < 4 ? (size_t)(end - at) : 4;
      for (size = 2; size <= longest && !utf8_valid(at, size, &valid); size++) {
      }
    }
    if (c >= 0x80 && size > (size_t)(end - at < 4 ? end - at : 4)) {
      status = buffer_append(mended, replacement, strlen(replacement), error);
      size = 1;
    } else if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
      status = buffer_append(mended, " ", 1, error);
    } else if (c == '&' && at >= plain && !is_entity(at, end)) {
      status = buffer_append(mended, "&amp;", 5, error);
    } else {
      status = buffer_append(mended, at, size, error);
    }
    at += size;
  }
  return status;
}
