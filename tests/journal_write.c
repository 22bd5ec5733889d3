/* journal_write FOLDER ITERATION TITLE: takes up the journal in FOLDER after ITERATION, adds what standard input holds
 * (lines of "iteration seconds name=value name=value ..."), and draws it. For tests/python/test_journal.py. */
#include "pretrain/journal.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS_MAX = 64 };

static int write_line(struct journal *journal, char *line, struct error *error) {
  struct journal_number numbers[NUMBERS_MAX];
  size_t count = 0;
  char *rest = NULL;
  long long iteration = strtoll(strtok_r(line, " \n", &rest), NULL, 10);
  double seconds = strtod(strtok_r(NULL, " \n", &rest), NULL);
  for (char *word; count < NUMBERS_MAX && (word = strtok_r(NULL, " \n", &rest));) {
    char *equals = strrchr(word, '=');
    *equals = '\0';
    numbers[count++] = (struct journal_number){word, strtod(equals + 1, NULL)};
  }
  return journal_write(journal, iteration, seconds, numbers, count, error);
}

int main(int argc, char **argv) {
  struct error error = {0};
  struct journal *journal = NULL;
  char *line = NULL;
  size_t capacity = 0;
  int result = argc == 4 ? 0 : error_set(&error, "usage: journal_write FOLDER ITERATION TITLE");
  if (result == 0) result = journal_open(&journal, argv[1], strtoll(argv[2], NULL, 10), &error);
  while (result == 0 && getline(&line, &capacity, stdin) > 0) {
    result = write_line(journal, line, &error);
  }
  journal_close(journal);
  if (result == 0) result = journal_draw(argv[1], argv[3], &error);
  free(line);
  if (result) fprintf(stderr, "journal_write: %s\n", error.message);
  return result ? 1 : 0;
}
