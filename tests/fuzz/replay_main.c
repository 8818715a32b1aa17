/* tests/fuzz/replay_main.c - runs a fuzzer's entry over every file of the folders and files named,
 * and over every truncation of each, without libFuzzer: what was once found stays found.
 *
 * Each input lies in memory of its exact size, so that the sanitizers see a read past its end. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TRUNCATION_STEPS_MAX = 4096 }; /* of one file: longer ones are cut in larger steps */

static unsigned long files, inputs;

static void replay_prefix(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    if (!exact)
        abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    inputs++;
}

static void replay_bytes(const uint8_t *data, size_t size)
{
    size_t step = size / TRUNCATION_STEPS_MAX + 1;

    for (size_t length = 0; length < size; length += step)
        replay_prefix(data, length);
    replay_prefix(data, size);
}

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size + 1);
    int rc = -1;

    if (file && data && fread(data, 1, size, file) == size) {
        replay_bytes(data, size);
        files++;
        rc = 0;
    } else {
        perror(path);
    }
    if (file)
        fclose(file);
    free(data);
    return rc;
}

static int replay_path(const char *path);

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    int rc = 0;

    if (!folder) {
        perror(path);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inner[4096];

        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= sizeof inner ||
            replay_path(inner))
            rc = -1;
    }
    closedir(folder);
    return rc;
}

static int replay_path(const char *path)
{
    struct stat about;

    if (stat(path, &about)) {
        perror(path);
        return -1;
    }
    return S_ISDIR(about.st_mode) ? replay_folder(path) : replay_file(path, (size_t)about.st_size);
}

int main(int argc, char **argv)
{
    int rc = 0;

    for (int i = 1; i < argc; i++)
        if (replay_path(argv[i]))
            rc = 1;
    printf("%lu files, %lu inputs\n", files, inputs);
    return rc || !files;
}
