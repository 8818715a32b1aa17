/* tests/unit/test.h - the unit test runner: one program per module, a test's name is a claim.
 *
 *     TEST(a_full_table_refuses_and_never_grows)
 *     {
 *         check(table_add(&table) == -ENOSPC);
 *     }
 *
 * A failed check prints where and what, fails the test and returns from it.  Programs link
 * test_main.c and run all their tests, or those whose names contain argv[1]. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <stdbool.h>
#include <stdio.h>

typedef void test_fn(void);
struct test_case {
    const char *name;
    test_fn *run;
    struct test_case *next;
};
void test_register(struct test_case *test);
void test_fail(const char *file, int line, const char *what);

#define TEST(title)                                                                                \
    static void title(void);                                                                       \
    static struct test_case title##_case = {#title, title, NULL};                                  \
    __attribute__((constructor)) static void title##_register(void)                                \
    {                                                                                              \
        test_register(&title##_case);                                                              \
    }                                                                                              \
    static void title(void)

#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, #condition);                                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#endif
