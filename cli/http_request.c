#include "cli/http_request.h"

#include <string.h>
#include <strings.h>

/* A piece of the head that is being read. */
struct part {
    const char *at;
    size_t length;
};

static bool part_is(struct part part, const char *text)
{
    return part.length == strlen(text) && memcmp(part.at, text, part.length) == 0;
}

static bool part_is_caseless(struct part part, const char *text)
{
    return part.length == strlen(text) && strncasecmp(part.at, text, part.length) == 0;
}

/* Cuts what stands before `end` off the front of `rest`. */
static bool part_cut(struct part *rest, char end, struct part *part)
{
    const char *found = memchr(rest->at, end, rest->length);

    if (!found)
        return false;
    *part = (struct part){rest->at, (size_t)(found - rest->at)};
    rest->length -= part->length + 1;
    rest->at = found + 1;
    return true;
}

static bool is_token_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_token(struct part part)
{
    for (size_t i = 0; i < part.length; i++)
        if (!is_token_byte(part.at[i]))
            return false;
    return part.length;
}

static int read_target(struct part target, struct http_request *request)
{
    const char *query = memchr(target.at, '?', target.length);
    size_t length = query ? (size_t)(query - target.at) : target.length;

    for (size_t i = 0; i < target.length; i++)
        if (target.at[i] <= ' ' || target.at[i] >= 0x7f)
            return -400;
    if (!length || *target.at != '/')
        return -400;
    if (length >= sizeof(request->path))
        return -414;
    memcpy(request->path, target.at, length);
    request->path[length] = 0;
    return 0;
}

static int read_request_line(struct part line, struct http_request *request)
{
    struct part method, target;

    if (!part_cut(&line, ' ', &method) || !is_token(method) || !part_cut(&line, ' ', &target))
        return -400;
    if (line.length != 8 || memcmp(line.at, "HTTP/", 5) != 0)
        return -400;
    if (!part_is(line, "HTTP/1.1") && !part_is(line, "HTTP/1.0"))
        return -505;
    request->close = part_is(line, "HTTP/1.0");
    request->head = part_is(method, "HEAD");
    if (!request->head && !part_is(method, "GET"))
        return -405;
    return read_target(target, request);
}

static struct part part_trim(struct part part)
{
    while (part.length && (*part.at == ' ' || *part.at == '\t')) {
        part.at++;
        part.length--;
    }
    while (part.length && (part.at[part.length - 1] == ' ' || part.at[part.length - 1] == '\t'))
        part.length--;
    return part;
}

static int read_field(struct part line, struct http_request *request)
{
    struct part name, value;

    if (!part_cut(&line, ':', &name) || !is_token(name))
        return -400;
    value = part_trim(line);
    for (size_t i = 0; i < value.length; i++)
        if ((unsigned char)value.at[i] < ' ' && value.at[i] != '\t')
            return -400;
    if (part_is_caseless(name, "transfer-encoding") ||
        (part_is_caseless(name, "content-length") && !part_is(value, "0")))
        return -413;
    if (part_is_caseless(name, "connection") && part_is_caseless(value, "close"))
        request->close = true;
    return 0;
}

/* Cuts a line that ends with CR LF; a lone CR or LF is an error. */
static int part_cut_line(struct part *rest, struct part *line)
{
    if (!part_cut(rest, '\n', line))
        return 0;
    if (!line->length || line->at[line->length - 1] != '\r')
        return -400;
    line->length--;
    return memchr(line->at, '\r', line->length) ? -400 : 1;
}

static int read_lines(struct part rest, struct http_request *request)
{
    const char *start = rest.at;
    struct part line;
    bool first = true;
    int rc;

    while ((rc = part_cut_line(&rest, &line)) > 0) {
        if (!first && !line.length)
            return (int)(rest.at - start);
        rc = first ? read_request_line(line, request) : read_field(line, request);
        if (rc)
            return rc;
        first = false;
    }
    return rc;
}

int http_request_read(const char *data, size_t length, struct http_request *request)
{
    size_t taken = length < HTTP_REQUEST_MAX ? length : HTTP_REQUEST_MAX;
    int rc;

    *request = (struct http_request){0};
    if (!length)
        return 0;
    rc = read_lines((struct part){data, taken}, request);
    return rc == 0 && length >= HTTP_REQUEST_MAX ? -431 : rc;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {200, "OK"                             },
        {400, "Bad Request"                    },
        {404, "Not Found"                      },
        {405, "Method Not Allowed"             },
        {413, "Content Too Large"              },
        {414, "URI Too Long"                   },
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"            },
        {505, "HTTP Version Not Supported"     },
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Error";
}
