/* What each attempt at a run runs on: bits repeat on the same processor, device and number of threads, and only there.
 */
#include <string.h>
#include <sys/utsname.h>

#include "pretrain/trainer.h"

/* "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"; where the system does not say, the kind of machine. */
static void processor_name(char *name, size_t size) {
  char line[256];
  struct utsname system;
  snprintf(name, size, "%s", uname(&system) ? "unknown" : system.machine);
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon || colon[1] != ' ') continue;
    snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    break;
  }
  if (file) fclose(file);
}

static cJSON *describe(const struct trainer *t) {
  char processor[256];
  cJSON *facts = cJSON_CreateObject();
  processor_name(processor, sizeof processor);
  if (cJSON_AddStringToObject(facts, "device", t->device.description) &&
      cJSON_AddStringToObject(facts, "processor", processor) &&
      cJSON_AddNumberToObject(facts, "threads", t->device.threads) &&
      cJSON_AddNumberToObject(facts, "from_iteration", (double)t->iteration)) {
    return facts;
  }
  cJSON_Delete(facts);
  return NULL;
}

static const char *text_of_fact(const cJSON *facts, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(facts, name);
  return cJSON_IsString(item) ? item->valuestring : "unknown";
}

static void compare(const struct trainer *t, const cJSON *before, const cJSON *now) {
  static const char *const names[] = {"device", "processor"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const char *was = text_of_fact(before, names[i]), *is = text_of_fact(now, names[i]);
    if (!strcmp(was, is)) continue;
    fprintf(t->options.chatter, "the bits of the result may differ from an uninterrupted run's: the %s was %s, is %s\n",
            names[i], was, is);
  }
}

int trainer_attempt(struct trainer *t) {
  const cJSON *attempts = cJSON_GetObjectItemCaseSensitive(t->run.json, "attempts");
  const cJSON *before = cJSON_GetArrayItem(attempts, cJSON_GetArraySize(attempts) - 1);
  cJSON *now = describe(t);
  if (before && now && t->iteration > 0 && t->options.chatter) compare(t, before, now);
  return run_attempt(&t->run, now, t->error);
}
