/* Any bytes as a configuration: taken, or refused with at least one line. */
#include <stdint.h>
#include <stdio.h>

#include "core/must.h"
#include "relay/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[256] = "";
    FILE *out = fmemopen(first, sizeof first, "w");
    struct settings *settings;

    if (!out)
        return 0;
    settings = settings_parse("fuzz.ini", (const char *)data, size, out);
    fclose(out);
    must(!settings == (*first != 0));
    settings_free(&settings);
    return 0;
}
