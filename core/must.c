#include "core/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "qmux-uring: BUG: %s:%d: %s: %s\n", file, line, function, condition);
    abort();
}
