/* Files and includes of core/config.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "core/option.h"
#include "core/text.h"

/* The file's bytes, at most one more than is allowed, or NULL with *error. */
static char *file_read(int fd, size_t *length, int *error)
{
    char *text = mem_raw(CONFIG_FILE_MAX + 1);
    ssize_t got = 1;

    *length = 0;
    *error = ENOMEM;
    while (text && got > 0 && *length <= CONFIG_FILE_MAX) {
        got = read(fd, text + *length, CONFIG_FILE_MAX + 1 - *length);
        if (got > 0)
            *length += (size_t)got;
    }
    if (got < 0) {
        *error = errno;
        mem_free(text);
        return NULL;
    }
    return text;
}

static char *file_load(const char *path, bool included, size_t *length, int *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | (included ? O_NONBLOCK : 0));
    struct stat status;
    char *text = NULL;

    if (fd < 0) {
        *error = errno;
        return NULL;
    }
    if (fstat(fd, &status))
        *error = errno;
    else if (included && !S_ISREG(status.st_mode))
        *error = EINVAL; /* a device or a pipe may never end */
    else
        text = file_read(fd, length, error);
    close(fd);
    return text;
}

void config_read_file(struct config *config, struct config_place place, const char *path,
                      uint32_t depth)
{
    char *name = mem_text(path), *text;
    size_t length;
    int error;

    if (!name) {
        config->out_of_memory = true;
        return;
    }
    text = file_load(path, depth > 0, &length, &error);
    if (text) {
        config_parse_text(config, place, name, text, length, depth);
        mem_free(text);
        return;
    }
    mem_free(name);
    if (error == ENOMEM)
        config->out_of_memory = true;
    else
        config_error(config, place, "cannot read %s: %s", path,
                     error == EINVAL ? "not a regular file" : strerror(error));
}

static void include_file(struct config *config, struct config_place place, const char *path,
                         uint32_t depth)
{
    if (depth >= CONFIG_DEPTH_MAX)
        config_error(config, place, "include: more than %d files deep", CONFIG_DEPTH_MAX);
    else if (config->file_count >= CONFIG_FILES_MAX)
        config_error(config, place, "include: more than %d files", CONFIG_FILES_MAX);
    else
        config_read_file(config, place, path, depth + 1);
}

static int names_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void names_free(struct text_list *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
}

/* Adds the paths in `folder` whose names match: 0, or -errno. */
static int names_match(struct text_list *names, const char *pattern_path, const char *pattern)
{
    char *folder = text_beside(pattern_path, "."), **slot;
    DIR *directory = folder ? opendir(folder) : NULL;
    struct dirent *item;
    int rc = folder ? 0 : -ENOMEM;

    if (folder && !directory && errno != ENOENT)
        rc = -errno;
    mem_free(folder);
    while (directory && !rc && (item = readdir(directory))) {
        if (fnmatch(pattern, item->d_name, FNM_PERIOD) != 0)
            continue;
        slot = option_grow((void **)&names->items, &names->count, sizeof *slot);
        if (!slot || !(*slot = text_beside(pattern_path, item->d_name)))
            rc = -ENOMEM;
    }
    if (directory)
        closedir(directory);
    return rc;
}

static void include_matching(struct config *config, struct config_place place, const char *path,
                             uint32_t depth)
{
    const char *slash = strrchr(path, '/'), *wild = strpbrk(path, "*?[");
    struct text_list names = {0};
    int rc;

    if (slash && wild < slash) {
        config_error(config, place, "include: a pattern stands in the last part of a path only");
        return;
    }
    rc = names_match(&names, path, slash ? slash + 1 : path);
    if (rc == -ENOMEM)
        config->out_of_memory = true;
    else if (rc)
        config_error(config, place, "include: cannot read the folder of %s: %s", path,
                     strerror(-rc));
    if (!rc && names.count)
        qsort(names.items, names.count, sizeof *names.items, names_compare);
    for (uint32_t i = 0; !rc && i < names.count; i++)
        include_file(config, place, names.items[i], depth);
    names_free(&names);
}

void config_include(struct config *config, struct config_place place, const char *value,
                    uint32_t depth)
{
    char *copy = mem_text(value), *rest = copy, *item;

    while (copy && !config->out_of_memory && (item = strsep(&rest, ","))) {
        char *path = text_beside(place.file, text_trim(item));

        if (path && strpbrk(path, "*?["))
            include_matching(config, place, path, depth);
        else if (path)
            include_file(config, place, path, depth);
        else
            config->out_of_memory = true;
        mem_free(path);
    }
    if (!copy)
        config->out_of_memory = true;
    mem_free(copy);
}
