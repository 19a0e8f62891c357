/* The settings of ferrite-api, as ferrited hands them over: "key=value", unknown keys are other servers'. */
#ifndef FERRITE_API_SETTINGS_H
#define FERRITE_API_SETTINGS_H

#include "api/api.h"

void settings_default(struct settings *settings);

/* -EINVAL names what the value should be. Settings that only count at the start are left alone on RELOAD. */
int settings_set(struct settings *settings, const char *key, const char *value, bool reload, struct err *err);

#endif
