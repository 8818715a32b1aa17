#include "core/config.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static char printed[16384];

/* What is wrong with a text, or "". */
static const char *errors_of_bytes(const char *text, size_t length)
{
    struct config config;
    FILE *out = fmemopen(printed, sizeof printed, "w");

    config_parse(&config, "t.ini", text, length);
    config_print_errors(&config, out);
    fclose(out);
    config_free(&config);
    return printed;
}

static const char *errors_of(const char *text)
{
    memset(printed, 0, sizeof printed);
    return errors_of_bytes(text, strlen(text));
}

static bool gives(const char *text, const char *errors)
{
    if (strcmp(errors_of(text), errors) == 0)
        return true;
    fprintf(stderr, "expected: %sgot:      %s", errors, printed);
    return false;
}

/* The value of `key` in the first section, as read from a text without errors. */
static bool has(const char *text, const char *key, const char *value)
{
    struct config config;
    const struct config_entry *entry;
    bool equal;

    config_parse(&config, "t.ini", text, strlen(text));
    entry = config.first ? config_find(config.first, key) : NULL;
    equal = config_good(&config) && entry && strcmp(entry->value, value) == 0;
    config_free(&config);
    return equal;
}

TEST(entries_keep_the_place_they_stand_at)
{
    struct config config;
    const char *text = "\n; note\n[one]\na = 1\n\n[two x]\r\nb=2\r\n";
    const struct config_section *two;

    config_parse(&config, "t.ini", text, strlen(text));
    two = config_section(&config, "two", "x");
    check(config_good(&config) && config.section_count == 2 && two);
    check(two->place.line == 6 && two->first->place.line == 7);
    check(strcmp(two->first->value, "2") == 0 && strcmp(two->place.file, "t.ini") == 0);
    config_free(&config);
}

TEST(comments_start_a_line_or_follow_a_blank)
{
    check(has("[s]\na = 1 ; note", "a", "1") && has("[s] ; note\na = 1\t; note", "a", "1"));
    check(has("[s]\na = 1;2#3 #4", "a", "1;2#3 #4") && has("[s]\n# x\n ; y\na = 1", "a", "1"));
    check(has("[s]\n  a   =   b c  \n", "a", "b c") && has("\xef\xbb\xbf[s]\na = 1", "a", "1"));
    check(has("[s]\na = x = y : z", "a", "x = y : z"));
    check(gives("[s]\na = ; note\n", "t.ini:2: a: empty value\n"));
}

TEST(what_is_no_line_of_ini_is_an_error)
{
    check(gives("a = 1\n", "t.ini:1: an option before the first [section]\n"));
    check(gives("[s]\nword\n", "t.ini:2: expected `key = value`\n"));
    check(gives("[s]\na: 1\n", "t.ini:2: expected `key = value`\n"));
    check(gives("[s]\n= 1\n", "t.ini:2: expected `key = value`\n"));
    check(
        gives("[s]\nA = 1\n", "t.ini:2: expected `key = value`, where the key is of a-z 0-9 _\n"));
    check(gives("[s\n", "t.ini:1: expected [section] or [section name]\n"));
    check(gives("[s] x\n", "t.ini:1: expected [section] or [section name]\n"));
    check(gives("[s];\n", "t.ini:1: expected [section] or [section name]\n"));
    check(gives("[]\n", "t.ini:1: a section's name is 1 to 64 of A-Z a-z 0-9 _ . -\n"));
    check(gives("[s a b]\n", "t.ini:1: a section's name is 1 to 64 of A-Z a-z 0-9 _ . -\n"));
    check(gives("[s]\na =\n", "t.ini:2: a: empty value\n"));
}

TEST(entries_of_a_broken_section_raise_no_further_errors)
{
    check(gives("[s\na = 1\nb = 2\n", "t.ini:1: expected [section] or [section name]\n"));
}

TEST(two_sections_of_one_kind_and_name_are_an_error)
{
    check(gives("[s]\n[s x]\n[s y]\n", ""));
    check(gives("[s]\n[t]\n[s]\n", "t.ini:3: section given twice: [s], first at t.ini:1\n"));
    check(gives("[s x]\n[s x]\n", "t.ini:2: section given twice: [s x], first at t.ini:1\n"));
}

TEST(bytes_that_are_not_text_are_errors_even_in_comments)
{
    check(gives("[s]\n; \xff\n", "t.ini:2: bytes that are not UTF-8 text\n"));
    check(gives("[s]\n; \x01\n", "t.ini:2: control bytes in the line\n"));
    check(gives("[s]\na = b\rc\n", "t.ini:2: control bytes in the line\n"));
    memset(printed, 0, sizeof printed);
    errors_of_bytes("[s]\na = b\0c\n", 12);
    check(strcmp(printed, "t.ini:2: control bytes in the line\n") == 0);
    check(has("[s]\na = \xc3\xa9\tx", "a", "\xc3\xa9\tx"));
}

/* "[s]\n" and a line of `length` bytes. */
static const char *text_with_line(size_t length)
{
    static char text[CONFIG_LINE_MAX + 8];

    memset(text, 'x', sizeof text);
    memcpy(text, "[s]\na=", 6);
    text[length + 4] = 0;
    return text;
}

TEST(a_line_may_be_as_long_as_promised_and_no_longer)
{
    const char *text = text_with_line(config_line_max());
    char expected[80];

    check(gives(text, ""));
    check(has(text, "a", text + 6));
    snprintf(expected, sizeof expected, "t.ini:2: a line longer than %u bytes\n",
             config_line_max());
    check(gives(text_with_line(config_line_max() + 1), expected));
}

TEST(errors_come_in_the_order_of_lines_and_end_at_a_hundred)
{
    char text[401];
    size_t lines = 0;

    check(
        gives("x\n[s]\ny\n", "t.ini:1: expected `key = value`\nt.ini:3: expected `key = value`\n"));
    for (size_t i = 0; i < 200; i++)
        snprintf(&text[2 * i], 3, "x\n");
    errors_of(text);
    for (const char *at = printed; (at = strchr(at, '\n')); at++)
        lines++;
    check(lines == CONFIG_ERRORS_MAX + 1 && strstr(printed, "too many errors"));
}

TEST(values_take_the_environment_after_comments_are_cut)
{
    setenv("QMUX_TEST_VALUE", "a ;b", 1);
    unsetenv("QMUX_TEST_UNSET");
    check(has("[s]\na = <${QMUX_TEST_VALUE}> ; c", "a", "<a ;b>"));
    check(has("[s]\na = ${QMUX_TEST_UNSET:-7}", "a", "7"));
    check(gives("[s]\na = ${QMUX_TEST_UNSET}\n",
                "t.ini:2: a: the environment has no QMUX_TEST_UNSET\n"));
    check(gives("[s]\na = ${QMUX_TEST_UNSET:-}\n", "t.ini:2: a: empty value\n"));
}

/* ---- files ---- */

static char folder[64];
static char path[256];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");

    fputs(text, file);
    fclose(file);
}

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/qmux-config-XXXXXX");
    if (!mkdtemp(folder))
        abort();
}

static int remove_item(const char *name, const struct stat *status, int kind, struct FTW *at)
{
    return remove(name);
}

static void folder_remove(void)
{
    if (nftw(folder, remove_item, 8, FTW_DEPTH | FTW_PHYS))
        abort();
}

/* Errors of the file `name`, with the folder's path cut from them where it leads. */
static const char *errors_of_file(const char *name)
{
    struct config config;
    FILE *out = fmemopen(printed, sizeof printed, "w");

    memset(printed, 0, sizeof printed);
    config_read(&config, in_folder(name));
    config_print_errors(&config, out);
    fclose(out);
    config_free(&config);
    return printed;
}

TEST(includes_are_read_beside_the_file_and_in_sorted_order)
{
    struct config config;
    const struct config_section *section;

    folder_make();
    check(mkdir(in_folder("conf.d"), 0700) == 0);
    write_file("conf.d/b.ini", "[second]\n");
    write_file("conf.d/a.ini", "[first]\nx = 1\n");
    write_file("conf.d/c.txt", "[never]\n");
    write_file("conf.d/.hidden.ini", "[never]\n");
    write_file("main.ini", "[server]\ninclude = conf.d/*.ini\ny = 2\n[last]\n");
    config_read(&config, in_folder("main.ini"));
    check(config_good(&config) && config.section_count == 4);
    section = config.first;
    check(config_find(section, "y")->place.line == 3);
    check(strcmp((section = section->next)->kind, "first") == 0);
    check(strstr(section->first->place.file, "conf.d/a.ini"));
    check(strcmp((section = section->next)->kind, "second") == 0);
    check(strcmp(section->next->kind, "last") == 0);
    config_free(&config);
    folder_remove();
}

TEST(a_missing_include_is_an_error_and_a_pattern_without_match_is_none)
{
    folder_make();
    write_file("none.ini", "[server]\ninclude = nothing/*.ini, *.none\n");
    check(strcmp(errors_of_file("none.ini"), "") == 0);
    write_file("miss.ini", "[server]\n\ninclude = miss.txt\n");
    check(strstr(errors_of_file("miss.ini"), "miss.ini:3: cannot read "));
    write_file("deep.ini", "[server]\ninclude = */a.ini\n");
    check(strstr(errors_of_file("deep.ini"), "deep.ini:2: include: a pattern stands in the last"));
    write_file("device.ini", "[server]\ninclude = /dev/zero\n");
    check(
        strstr(errors_of_file("device.ini"), "device.ini:2: cannot read /dev/zero: not a regular"));
    check(strstr(errors_of_file("absent.ini"), "absent.ini:0: cannot read "));
    folder_remove();
}

TEST(includes_that_lead_back_end)
{
    folder_make();
    write_file("self.ini", "[server]\ninclude = self.ini\n");
    check(strstr(errors_of_file("self.ini"), "self.ini:1: section given twice: [server]"));
    folder_remove();
}

TEST(includes_inside_includes_have_a_depth)
{
    char name[16], text[64];

    folder_make();
    for (int i = 0; i <= CONFIG_DEPTH_MAX + 1; i++) {
        snprintf(name, sizeof name, "%d.ini", i);
        snprintf(text, sizeof text, "[s%d]\ninclude = %d.ini\n", i, i + 1);
        write_file(name, text);
    }
    check(strstr(errors_of_file("0.ini"), "/8.ini:2: include: more than 8 files deep"));
    folder_remove();
}

TEST(errors_of_included_files_name_them)
{
    folder_make();
    write_file("part.ini", "[b]\nx\n");
    write_file("main.ini", "[a]\ninclude = part.ini\ny\n");
    errors_of_file("main.ini");
    check(strstr(printed, "/part.ini:2: expected") > strstr(printed, "/main.ini:3: expected"));
    folder_remove();
}

TEST(reading_survives_any_failed_allocation)
{
    folder_make();
    write_file("part.ini", "[b]\nx = 1\n");
    write_file("main.ini", "[a]\ninclude = p*.ini, part.ini\nc\n");
    for (uint64_t n = 1;; n++) {
        struct config config;
        bool failed;

        mem_count(true);
        mem_fail_at(n);
        config_read(&config, in_folder("main.ini"));
        failed = mem_failed();
        mem_fail_at(0);
        check(config.out_of_memory == failed);
        config_free(&config);
        check(mem_live() == 0);
        mem_count(false);
        if (!failed)
            break;
    }
    folder_remove();
}
