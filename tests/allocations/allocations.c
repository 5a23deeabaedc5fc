/*
** Refuses memory to the library under test, and to nobody else in its process.
**
** Preloaded into a host (LD_PRELOAD) with QUEUEKEEPER_FAULTS=FILE, where FILE holds a struct control that the test has
** mapped, too (the same as that of tests/faults).
**
** Promise: while `armed` is not 0, the allocations that the library asks for are counted, of all its threads. The one with
** number `at`, and with `lasting` all after it, are refused if `what` is not 0, but none of `kinds` bytes.
**
** How: an allocation is the library's if the address to which it returns lies in it. What the C library does for
** itself, or SQLite, returns elsewhere.
*/
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONGEST 4096

struct control {
    uint32_t armed, kinds, lasting, lazy, torn, opens, lock;
    int32_t what;
    uint32_t kind;
    uint64_t at, seen, struck;
    char directory[LONGEST], path[LONGEST];
};

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static struct control *control;
/* The part of the library that holds code; 0 until it was seen. */
static uintptr_t first, behind;

static int find(struct dl_phdr_info *module, size_t size, void *unused) {
    (void)size;
    (void)unused;
    if (strstr(module->dlpi_name, "libqueuekeeper") == NULL) {
        return 0;
    }
    for (int i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            first = module->dlpi_addr + part->p_vaddr;
            behind = first + part->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("QUEUEKEEPER_FAULTS");
    int file = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    void *place = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    control = place == MAP_FAILED ? NULL : place;
}

/* Whether this allocation is the library's, and to be refused. */
static int refused(const void *to, size_t size) {
    if (control == NULL || __atomic_load_n(&control->armed, __ATOMIC_SEQ_CST) == 0) {
        return 0;
    }
    if (first == 0) {
        dl_iterate_phdr(find, NULL);
    }
    uintptr_t address = (uintptr_t)to;
    if (address < first || address >= behind) {
        return 0;
    }
    uint64_t number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST);
    if (control->what == 0 || size == control->kinds || number < control->at) {
        return 0;
    }
    if (number > control->at && control->lasting == 0) {
        return 0;
    }
    __atomic_add_fetch(&control->struck, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return 1;
}

#define REFUSED(size) refused(__builtin_return_address(0), size)

void *malloc(size_t size) {
    return REFUSED(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return REFUSED(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return REFUSED(size) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return REFUSED(size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (REFUSED(size)) {
        return ENOMEM;
    }
    void *found = __libc_memalign(alignment, size);
    if (found == NULL) {
        return ENOMEM;
    }
    *result = found;
    return 0;
}
