#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static bool utf8(const char *text)
{
    return text_is_utf8(text, strlen(text));
}

TEST(only_the_shortest_form_of_a_character_is_utf8)
{
    check(utf8("plain") && utf8("\xc3\xa9") && utf8("\xe2\x82\xac") && utf8("\xf0\x9f\x8c\x8d"));
    check(!utf8("\xc0\x80") && !utf8("\xc1\xbf"));             /* two bytes for one */
    check(!utf8("\xe0\x80\xaf") && !utf8("\xf0\x80\x80\x80")); /* three, four */
    check(!utf8("\xed\xa0\x80"));                              /* a surrogate */
    check(!utf8("\xf4\x90\x80\x80") && !utf8("\xff"));         /* beyond the last */
    check(!utf8("\xe2\x82") && !utf8("\xc3") && !utf8("\x80") && !utf8("\xe2\x28\xa1"));
}

TEST(control_bytes_are_found_and_tabs_are_none)
{
    check(text_has_control("a\0b", 3) && text_has_control("\x7f", 1) &&
          text_has_control("\x1b[", 2));
    check(!text_has_control("a\tb \xc3\xa9", 6));
}

static bool expands(const char *value, const char *expected)
{
    char out[64], error[200];

    return text_expand(value, out, sizeof out, error, sizeof error) == 0 &&
           strcmp(out, expected) == 0;
}

static bool refuses(const char *value, const char *words)
{
    char out[64], error[200] = "";

    return text_expand(value, out, sizeof out, error, sizeof error) != 0 && strstr(error, words);
}

TEST(the_environment_stands_for_its_names)
{
    setenv("QMUX_TEST_WORD", "word", 1);
    setenv("QMUX_TEST_EMPTY", "", 1);
    unsetenv("QMUX_TEST_UNSET");
    check(expands("a ${QMUX_TEST_WORD} b ${QMUX_TEST_WORD}", "a word b word"));
    check(expands("${QMUX_TEST_UNSET:-x y}", "x y") && expands("${QMUX_TEST_UNSET:-}", ""));
    check(expands("${QMUX_TEST_WORD:-x}", "word") && expands("${QMUX_TEST_EMPTY:-x}", "x"));
    check(expands("${QMUX_TEST_EMPTY}", "") && expands("$HOME $ {", "$HOME $ {"));
}

TEST(what_the_environment_lacks_or_hides_is_refused)
{
    setenv("QMUX_TEST_CONTROL", "a\nb", 1);
    setenv("QMUX_TEST_BYTES", "\xff", 1);
    setenv("QMUX_TEST_LONG", "0123456789012345678901234567890123456789", 1);
    check(refuses("${QMUX_TEST_UNSET}", "has no QMUX_TEST_UNSET"));
    check(refuses("${QMUX_TEST_CONTROL}", "not text") && refuses("${QMUX_TEST_BYTES}", "not text"));
    check(refuses("${QMUX_TEST_LONG}${QMUX_TEST_LONG}", "longer"));
    check(refuses("${", "without") && refuses("${A", "without") &&
          refuses("${}", "not a variable"));
    check(refuses("${A B}", "not a variable") && refuses("${1}", "not a variable"));
}

static bool beside(const char *file, const char *path, const char *expected)
{
    char *text = text_beside(file, path);
    bool equal = text && strcmp(text, expected) == 0;

    mem_free(text);
    return equal;
}

TEST(paths_are_relative_to_the_file_that_names_them)
{
    check(beside("a.ini", "x", "x") && beside("/etc/q/a.ini", "x", "/etc/q/x"));
    check(beside("d/a.ini", "../x", "d/../x") && beside("d/a.ini", "/x", "/x"));
}
