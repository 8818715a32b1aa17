#include "tests/unit/test.h"

#include <string.h>

static struct test_case *first, **last = &first;
static bool failed;

void test_register(struct test_case *test)
{
    *last = test;
    last = &test->next;
}

void test_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: false: %s\n", file, line, what);
    failed = true;
}

int main(int argc, char **argv)
{
    int run = 0, bad = 0;

    for (struct test_case *test = first; test; test = test->next) {
        if (argc > 1 && !strstr(test->name, argv[1]))
            continue;
        failed = false;
        test->run();
        run++;
        bad += failed;
        printf("%s %s\n", failed ? "FAIL" : "ok  ", test->name);
    }
    printf("%d claims, %d false\n", run, bad);
    return bad || !run;
}
