#include "cli/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

struct reader {
    struct json_document *document;
    char *at;
    int depth;
};

static struct json *reader_node(struct reader *reader)
{
    struct json_document *document = reader->document;
    struct json *node;

    if (document->count >= document->max)
        return NULL;
    node = &document->nodes[document->count++];
    *node = (struct json){.text = ""};
    return node;
}

static void skip_blanks(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

/* ---- texts, unescaped where they stand ---- */

static int hex_value(const char *digits)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        const char *hex = "0123456789abcdef", *found;

        found = digits[i] ? strchr(hex, digits[i] | 0x20) : NULL;
        if (!found)
            return -1;
        value = value << 4 | (int)(found - hex);
    }
    return value;
}

static char *put_utf8(char *to, int value)
{
    if (value < 0x80) {
        *to++ = (char)value;
    } else if (value < 0x800) {
        *to++ = (char)(0xc0 | value >> 6);
        *to++ = (char)(0x80 | (value & 0x3f));
    } else {
        *to++ = (char)(0xe0 | value >> 12);
        *to++ = (char)(0x80 | (value >> 6 & 0x3f));
        *to++ = (char)(0x80 | (value & 0x3f));
    }
    return to;
}

/* Behind a backslash; never longer than what it stands for.  NULL: not an escape. */
static char *read_escape(struct reader *reader, char *to)
{
    static const char from[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char escape = *reader->at;
    const char *found = escape ? strchr(from, escape) : NULL;
    int value;

    if (found) {
        *to = means[found - from];
        reader->at++;
        return to + 1;
    }
    value = escape == 'u' ? hex_value(reader->at + 1) : -1;
    if (value <= 0)
        return NULL;
    reader->at += 5;
    return put_utf8(to, value);
}

/* Behind the opening quote.  NULL: it is broken. */
static const char *read_text(struct reader *reader)
{
    char *start = reader->at, *to = start;

    while (*reader->at != '"') {
        if ((unsigned char)*reader->at < ' ')
            return NULL;
        if (*reader->at == '\\') {
            reader->at++;
            to = read_escape(reader, to);
            if (!to)
                return NULL;
        } else {
            *to++ = *reader->at++;
        }
    }
    reader->at++;
    *to = 0;
    return start;
}

/* ---- values ---- */

static int read_value(struct reader *reader, struct json *node);

static int read_member(struct reader *reader, struct json *parent, struct json **last)
{
    struct json *node = reader_node(reader);

    if (!node)
        return -EINVAL;
    skip_blanks(reader);
    if (parent->type == JSON_OBJECT) {
        if (*reader->at++ != '"' || !(node->name = read_text(reader)))
            return -EINVAL;
        skip_blanks(reader);
        if (*reader->at++ != ':')
            return -EINVAL;
    }
    *(*last ? &(*last)->next : &parent->first) = node;
    *last = node;
    return read_value(reader, node);
}

static int read_members(struct reader *reader, struct json *parent, char end)
{
    struct json *last = NULL;
    int rc = ++reader->depth > JSON_DEPTH_MAX ? -EINVAL : 0;

    reader->at++;
    skip_blanks(reader);
    if (!rc && *reader->at == end) {
        reader->at++;
        reader->depth--;
        return 0;
    }
    while (!rc) {
        char byte;

        rc = read_member(reader, parent, &last);
        if (rc)
            break;
        skip_blanks(reader);
        byte = *reader->at;
        if (byte)
            reader->at++;
        if (byte == end)
            break;
        rc = byte == ',' ? 0 : -EINVAL;
    }
    reader->depth--;
    return rc;
}

/* The byte behind a number is kept for the reader: only text ends with a NUL of its own, so the
 * number's is its value. */
static int read_number(struct reader *reader, struct json *node)
{
    size_t length = strspn(reader->at, "0123456789+-.eE");

    if (!length || (*reader->at != '-' && (*reader->at < '0' || *reader->at > '9')))
        return -EINVAL;
    node->type = JSON_NUMBER;
    node->text = reader->at;
    reader->at += length;
    return 0;
}

static int read_word(struct reader *reader, struct json *node)
{
    static const struct {
        const char *word;
        enum json_type type;
    } words[] = {
        {"null",  JSON_NULL },
        {"false", JSON_FALSE},
        {"true",  JSON_TRUE },
    };

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strncmp(reader->at, words[i].word, strlen(words[i].word)) == 0) {
            node->type = words[i].type;
            reader->at += strlen(words[i].word);
            return 0;
        }
    return read_number(reader, node);
}

static int read_value(struct reader *reader, struct json *node)
{
    skip_blanks(reader);
    switch (*reader->at) {
    case '{':
        node->type = JSON_OBJECT;
        return read_members(reader, node, '}');
    case '[':
        node->type = JSON_ARRAY;
        return read_members(reader, node, ']');
    case '"':
        node->type = JSON_TEXT;
        reader->at++;
        node->text = read_text(reader);
        return node->text ? 0 : -EINVAL;
    default:
        return read_word(reader, node);
    }
}

/* Each value but the first stands behind one of these. */
static uint32_t count_values(const char *text)
{
    uint32_t count = 1;

    for (; *text; text++)
        count += *text == ',' || *text == '[' || *text == '{';
    return count;
}

int json_read(struct json_document *document, char *text)
{
    struct reader reader = {.document = document, .at = text};
    int rc;

    *document = (struct json_document){.max = count_values(text)};
    document->nodes = mem_raw(document->max * sizeof(*document->nodes));
    if (!document->nodes)
        return -ENOMEM;
    rc = read_value(&reader, reader_node(&reader));
    if (!rc) { /* after an error the place may be behind the end */
        skip_blanks(&reader);
        rc = *reader.at ? -EINVAL : 0;
    }
    if (rc)
        json_free(document);
    return rc;
}

void json_free(struct json_document *document)
{
    mem_free(document->nodes);
    *document = (struct json_document){0};
}

/* ---- looking in ---- */

const struct json *json_get(const struct json *object, const char *name)
{
    static const struct json nothing = {.text = ""};

    if (object && object->type == JSON_OBJECT)
        for (const struct json *member = object->first; member; member = member->next)
            if (strcmp(member->name, name) == 0)
                return member;
    return &nothing;
}

const char *json_text(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, name);

    return value->type == JSON_TEXT ? value->text : "";
}

uint64_t json_number(const struct json *object, const char *name)
{
    const struct json *value = json_get(object, name);

    return value->type == JSON_NUMBER ? strtoull(value->text, NULL, 10) : 0;
}
