#include "cli/grid.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static const struct grid_column columns[] = {
    {.title = "NAME", .text = true},
    {.title = "OPEN"},
    {.title = "FAILED",      .rank = 1            },
    {.title = "BYTES",      .rank = 2},
};

static void add_row(struct grid *grid, const char *name, unsigned number)
{
    grid_add(grid, "%s", name);
    for (unsigned i = 1; i < ARRAY_COUNT(columns); i++)
        grid_add(grid, "%u", number * i);
}

/* The table of two rows, at that width. */
static bool grid_is(const char *first, const char *second, uint32_t width, const char *expected)
{
    struct writer out = {0};
    struct grid grid;
    bool same;

    grid_init(&grid, columns, ARRAY_COUNT(columns));
    add_row(&grid, first, 7);
    add_row(&grid, second, 12345);
    grid_write(&grid, &out, width);
    same = !out.failed && strcmp(out.text, expected) == 0;
    if (!same)
        fprintf(stderr, "%s", out.text);
    grid_release(&grid);
    writer_release(&out);
    return same;
}

TEST(columns_are_as_wide_as_what_stands_in_them)
{
    check(grid_is("a", "longer than its title", 0,
                  "NAME                   OPEN FAILED BYTES\n"
                  "a                         7     14    21\n"
                  "longer than its title 12345  24690 37035\n"));
}

TEST(a_narrow_terminal_cuts_texts_and_leaves_out_what_matters_least)
{
    check(grid_is("a", "longer than its title", 29,
                  "NAME        OPEN FAILED BYTES\n"
                  "a              7     14    21\n"
                  "longer th~ 12345  24690 37035\n"));
    check(grid_is("a", "longer than its title", 28,
                  "NAME             OPEN FAILED\n"
                  "a                   7     14\n"
                  "longer than it~ 12345  24690\n"));
    check(grid_is("a", "longer than its title", 1,
                  "NAME        OPEN\n"
                  "a              7\n"
                  "longer th~ 12345\n"));
}

TEST(what_peers_call_themselves_moves_no_cursor)
{
    check(grid_is("\033[2J", "", 0,
                  "NAME  OPEN FAILED BYTES\n"
                  "?[2J     7     14    21\n"
                  "-    12345  24690 37035\n"));
}

TEST(a_table_without_rows_is_nothing)
{
    struct writer out = {0};
    struct grid grid;

    grid_init(&grid, columns, ARRAY_COUNT(columns));
    grid_write(&grid, &out, 80);
    check(!out.length && !out.failed);
    grid_release(&grid);
    writer_release(&out);
}

TEST(a_table_survives_any_failed_allocation)
{
    for (uint64_t n = 1;; n++) {
        struct writer out = {0};
        struct grid grid;
        bool met;

        mem_fail_at(n);
        grid_init(&grid, columns, ARRAY_COUNT(columns));
        for (unsigned i = 0; i < 100; i++)
            add_row(&grid, "name", i);
        grid_write(&grid, &out, 80);
        met = mem_failed();
        mem_fail_at(0);
        check(out.failed == met);
        grid_release(&grid);
        writer_release(&out);
        if (!met)
            break;
    }
}
