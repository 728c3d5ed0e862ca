/* Lists of maps on stdout: as a table, or one JSON object a line. */
#include "cli.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_fill(FILE *cell, const ferry_value *item, const char *key)
{
        const ferry_value *value = ferry_value_get(item, key);

        if (ferry_value_kind(value) == FERRY_VALUE_INT)
                fprintf(cell, "%lld", (long long)ferry_value_int(value, 0));
        else if (ferry_value_kind(value) == FERRY_VALUE_BOOL)
                fputs(ferry_value_bool(value, false) ? "yes" : "no", cell);
        else if (ferry_value_kind(value) == FERRY_VALUE_STRING)
                fputs(ferry_value_text(value, ""), cell);
        else if (ferry_value_count(value) == 0)
                putc('-', cell);
        for (size_t i = 0; i < ferry_value_count(value); i++)
                fprintf(cell, "%s%s", i > 0 ? "," : "", ferry_value_text(ferry_value_at(value, i), ""));
}

void table_fill_user(FILE *cell, const ferry_value *item, const char *key)
{
        const ferry_value *uid = ferry_value_get(item, key);
        const struct passwd *user = ferry_value_kind(uid) == FERRY_VALUE_INT ? getpwuid((uid_t)ferry_value_int(uid, 0)) : NULL;

        if (user)
                fputs(user->pw_name, cell);
        else
                table_fill(cell, item, key);
}

/* Escaped, also where no terminal is: a name with a newline would be a row of its own. NULL: there was no memory. */
static char *make_cell(const ferry_value *item, const char *key, table_fill_fn *fill)
{
        char *text = NULL, *escaped = NULL;
        size_t size = 0, escaped_size = 0;
        FILE *cell = open_memstream(&text, &size), *stream = NULL;

        if (cell)
                fill(cell, item, key);
        if (cell && close_text(cell))
                stream = open_memstream(&escaped, &escaped_size);
        if (stream)
                escape(stream, text, size, ESCAPE_LINE);
        free(text);
        if (stream && close_text(stream))
                return escaped;
        free(escaped);
        return NULL;
}

/* The cells of all items, row by row; false if there was no memory. */
static bool make_cells(char **cells, const ferry_value *list, const struct column *columns, size_t count,
                       table_fill_fn *fill)
{
        for (size_t row = 0; row < ferry_value_count(list); row++)
                for (size_t column = 0; column < count; column++)
                        if (!(cells[row * count + column] =
                                      make_cell(ferry_value_at(list, row), columns[column].key, fill)))
                                return false;
        return true;
}

/* In characters. */
static int cell_width(const char *cell)
{
        int width = 0;

        for (; *cell; cell++)
                width += (*cell & 0xc0) != 0x80;
        return width;
}

/* Row 0 has the headings. */
static const char *cell_at(char *const *cells, const struct column *columns, size_t count, size_t row, size_t column)
{
        return row == 0 ? columns[column].heading : cells[(row - 1) * count + column];
}

/* A column is as wide as its widest cell; the last one is not padded. */
static bool print_cells(char *const *cells, size_t rows, const struct column *columns, size_t count)
{
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);
        int *widths = calloc(count, sizeof *widths);
        bool is_made = stream && widths;

        for (size_t row = 0; is_made && row <= rows; row++)
                for (size_t column = 0; column < count; column++) {
                        int width = cell_width(cell_at(cells, columns, count, row, column));

                        if (width > widths[column])
                                widths[column] = width;
                }
        for (size_t row = 0; is_made && row <= rows; row++) {
                for (size_t column = 0; column < count - 1; column++) {
                        const char *cell = cell_at(cells, columns, count, row, column);

                        fprintf(stream, "%s%*s", cell, widths[column] + 2 - cell_width(cell), "");
                }
                fprintf(stream, "%s\n", cell_at(cells, columns, count, row, count - 1));
        }
        if (stream && !close_text(stream))
                is_made = false;
        if (is_made)
                output_bytes(text, size);
        free(widths);
        free(text);
        return is_made;
}

int table_print(const ferry_value *list, const struct column *columns, size_t count, table_fill_fn *fill)
{
        size_t rows = ferry_value_count(list);
        char **cells = rows > 0 ? calloc(rows * count, sizeof *cells) : NULL;
        bool is_printed = rows == 0 || (cells && make_cells(cells, list, columns, count, fill) &&
                                        print_cells(cells, rows, columns, count));

        for (size_t i = 0; cells && i < rows * count; i++)
                free(cells[i]);
        free(cells);
        if (is_printed)
                return EXIT_DONE;
        complain("no memory for the table");
        return EXIT_CONNECTION;
}

void table_print_json(const ferry_value *list, const struct cli_options *options)
{
        for (size_t i = 0; i < ferry_value_count(list); i++)
                if (!print_value(ferry_value_at(list, i), options, true))
                        return;
}
