#include "cli/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { GRID_FIRST = 64 };

void grid_init(struct grid *grid, const struct grid_column *columns, uint32_t column_count)
{
    must(column_count && column_count <= GRID_COLUMNS_MAX);
    *grid = (struct grid){.columns = columns, .column_count = column_count};
}

void grid_release(struct grid *grid)
{
    mem_free(grid->cells);
    *grid = (struct grid){0};
}

/* ---- cells ---- */

static bool grid_grow(struct grid *grid)
{
    uint32_t max = grid->cell_max ? grid->cell_max * 2 : GRID_FIRST;
    void *cells;

    if (grid->failed || grid->cell_count < grid->cell_max)
        return !grid->failed;
    cells = mem_resize(grid->cells, max * sizeof *grid->cells);
    if (!cells) {
        grid->failed = true;
        return false;
    }
    grid->cells = cells;
    grid->cell_max = max;
    return true;
}

/* What peers call themselves may be in it: nothing of that may move a terminal's cursor. */
void grid_add(struct grid *grid, const char *format, ...)
{
    va_list arguments;
    char *cell;

    if (!grid_grow(grid))
        return;
    cell = grid->cells[grid->cell_count++];
    va_start(arguments, format);
    if (vsnprintf(cell, GRID_CELL_SIZE, format, arguments) >= GRID_CELL_SIZE)
        cell[GRID_CELL_SIZE - 2] = '~';
    va_end(arguments);
    for (char *at = cell; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
            *at = '?';
    if (!*cell)
        strcpy(cell, "-");
}

/* ---- widths; 0: the column is left out ---- */

struct grid_layout {
    uint32_t widths[GRID_COLUMNS_MAX];
    uint32_t total; /* with a blank between two */
};

static void layout_add_up(struct grid_layout *layout, uint32_t count)
{
    layout->total = 0;
    for (uint32_t i = 0; i < count; i++)
        layout->total += layout->widths[i] ? layout->widths[i] + 1 : 0;
    layout->total -= layout->total > 0;
}

static uint32_t column_width(const struct grid *grid, uint32_t column)
{
    size_t width = strlen(grid->columns[column].title);

    for (uint32_t i = column; i < grid->cell_count; i += grid->column_count) {
        size_t length = strlen(grid->cells[i]);

        if (length > width)
            width = length;
    }
    return (uint32_t)width;
}

static void layout_measure(struct grid_layout *layout, const struct grid *grid)
{
    for (uint32_t i = 0; i < grid->column_count; i++)
        layout->widths[i] = column_width(grid, i);
    layout_add_up(layout, grid->column_count);
}

/* The width of the table if its texts were cut as far as they may be. */
static uint32_t layout_least(const struct grid_layout *layout, const struct grid *grid)
{
    uint32_t least = layout->total;

    for (uint32_t i = 0; i < grid->column_count; i++)
        if (grid->columns[i].text && layout->widths[i] > GRID_CUT_MIN)
            least -= layout->widths[i] - GRID_CUT_MIN;
    return least;
}

/* False: there is none that may go. */
static bool layout_leave_out(struct grid_layout *layout, const struct grid *grid)
{
    uint32_t worst = 0;

    for (uint32_t i = 0; i < grid->column_count; i++)
        if (layout->widths[i] && grid->columns[i].rank > worst)
            worst = grid->columns[i].rank;
    for (uint32_t i = 0; worst && i < grid->column_count; i++)
        if (grid->columns[i].rank == worst)
            layout->widths[i] = 0;
    layout_add_up(layout, grid->column_count);
    return worst;
}

/* The widest text gives one place; false: all have given what they may. */
static bool layout_cut(struct grid_layout *layout, const struct grid *grid)
{
    uint32_t *widest = NULL;

    for (uint32_t i = 0; i < grid->column_count; i++)
        if (grid->columns[i].text && layout->widths[i] > (widest ? *widest : GRID_CUT_MIN))
            widest = &layout->widths[i];
    if (!widest)
        return false;
    *widest -= 1;
    layout->total--;
    return true;
}

static void layout_fit(struct grid_layout *layout, const struct grid *grid, uint32_t width)
{
    while (layout_least(layout, grid) > width && layout_leave_out(layout, grid))
        ;
    while (layout->total > width && layout_cut(layout, grid))
        ;
}

/* ---- lines ---- */

static void write_cell(struct writer *out, const struct grid_column *column, const char *cell,
                       uint32_t width)
{
    if (strlen(cell) > width)
        writer_add(out, "%.*s~", (int)width - 1, cell);
    else if (column->text)
        writer_add(out, "%-*s", (int)width, cell);
    else
        writer_add(out, "%*s", (int)width, cell);
}

static void trim_line(struct writer *out)
{
    while (!out->failed && out->length && out->text[out->length - 1] == ' ')
        out->length--;
    writer_bytes(out, "\n", 1);
}

/* cells: NULL for the titles. */
static void write_row(const struct grid *grid, struct writer *out, const struct grid_layout *layout,
                      char (*cells)[GRID_CELL_SIZE])
{
    const char *blank = "";

    for (uint32_t i = 0; i < grid->column_count; i++) {
        if (!layout->widths[i])
            continue;
        writer_add(out, "%s", blank);
        write_cell(out, &grid->columns[i], cells ? cells[i] : grid->columns[i].title,
                   layout->widths[i]);
        blank = " ";
    }
    trim_line(out);
}

void grid_write(const struct grid *grid, struct writer *out, uint32_t width)
{
    struct grid_layout layout = {0};

    if (grid->failed)
        out->failed = true;
    if (grid->failed || !grid->cell_count)
        return;
    layout_measure(&layout, grid);
    if (width)
        layout_fit(&layout, grid, width);
    write_row(grid, out, &layout, NULL);
    for (uint32_t i = 0; i + grid->column_count <= grid->cell_count; i += grid->column_count)
        write_row(grid, out, &layout, &grid->cells[i]);
}
