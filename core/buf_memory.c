#include "core/buf_memory.h"

#include <sys/mman.h>

#include "core/buf.h"
#include "core/mem.h"

static uint8_t *memory_map(uint32_t size)
{
    /* cppcheck-suppress invalidFunctionArg ; -1 is what mmap(2) asks for */
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED)
        return NULL;
    return data;
}

#ifdef POOL_GUARD

uint8_t *buf_memory_new(uint32_t size)
{
    return memory_map(size);
}

void buf_memory_free(uint8_t *data, uint32_t size)
{
    munmap(data, size);
}

bool buf_memory_show(uint8_t *data, uint32_t size)
{
    return mprotect(data, size, PROT_READ | PROT_WRITE) == 0;
}

bool buf_memory_hide(uint8_t *data, uint32_t size)
{
    return mprotect(data, size, PROT_NONE) == 0;
}

#else

uint8_t *buf_memory_new(uint32_t size)
{
    return size <= POOL_SMALL_SIZE ? mem_raw(size) : memory_map(size);
}

void buf_memory_free(uint8_t *data, uint32_t size)
{
    if (size <= POOL_SMALL_SIZE)
        mem_free(data);
    else
        munmap(data, size);
}

#endif
