/* cli/grid.h - a table for people: its columns are as wide as what stands in them, and all of it
 * fits the width that there is: columns that matter less are left out, long texts are cut.
 * Owner: who embeds it; grid_release.  Out of memory once, it stays `failed` and takes no more.
 * Thread: one at a time. */
#ifndef CLI_GRID_H
#define CLI_GRID_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/writer.h"

enum { GRID_COLUMNS_MAX = 12, GRID_CELL_SIZE = 80, GRID_CUT_MIN = 10 };

struct grid_column {
    const char *title;
    bool text;     /* to the left, and cut where there is no room; else a number, to the right */
    uint32_t rank; /* 0: always there; of the others the highest goes first */
};

struct grid {
    /* Set by grid_init. */
    const struct grid_column *columns; /* borrowed */
    uint32_t column_count;
    /* Changes as cells are added. */
    char (*cells)[GRID_CELL_SIZE]; /* row by row */
    uint32_t cell_count, cell_max;
    bool failed;
};

void grid_init(struct grid *grid, const struct grid_column *columns, uint32_t column_count);
void grid_release(struct grid *grid);

/* The next cell. */
void grid_add(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* width: of the terminal; 0: whatever it takes.  Without rows nothing is written. */
void grid_write(const struct grid *grid, struct writer *out, uint32_t width);

#endif
