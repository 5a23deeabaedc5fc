/*
** Counts the file operations of a process, and lets the Nth one fail or be its last.
**
** Preloaded into a host (LD_PRELOAD) with QUEUEKEEPER_FAULTS=FILE, where FILE holds a struct control that the test
** has mapped, too, and FILE.log takes what was done.
**
** Promise: nothing is watched before the process calls faults_begin(). Operations count only while `armed` is not 0,
** only on what lies below `directory`, and only if their kind is in `kinds`. The one with number `at`, and with
** `lasting` all after it, do not happen: the process is killed (`what` is -1), or the call returns the error `what`.
** With `torn`, half of a write happens first. Everything that changes something while armed is logged in the order in
** which it was done, with the bytes that were written, so that a test can tell what would be left after a loss of
** power at any moment. With `opens`, opening is logged, too, with the path to which the kernel was led by whatever
** links there were. With `lazy`, syncing returns at once. An empty `directory` is the whole machine.
**
** How: trap.c hands over every such system call, so nothing depends on who makes it. The handler runs inside a signal
** handler: it uses system calls alone, no memory but its stack, and a lock that only threads contend for.
*/
#define _GNU_SOURCE

#include "paths.h"
#include "trap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_PIECES 64

/* The kinds of operations, bits of `kinds`; support/faults has the same. */
enum kind {
    CREATE = 1 << 0, WRITE = 1 << 1, SYNC = 1 << 2, TRUNCATE = 1 << 3, RENAME = 1 << 4, LINK = 1 << 5,
    UNLINK = 1 << 6, MKDIR = 1 << 7, RMDIR = 1 << 8, PERMIT = 1 << 9, ALLOCATE = 1 << 10, OTHER = 1 << 11,
    OPEN = 1 << 12, READ = 1 << 13, MAP = 1 << 14, LOOK = 1 << 15, LIST = 1 << 16
};
#define CHANGES ((1 << 12) - 1)

struct control {
    uint32_t armed, kinds, lasting, lazy, torn, opens, lock;
    int32_t what;
    uint32_t kind; /* of the operation that was struck first, and its path */
    uint64_t at, seen, struck;
    char directory[LONGEST], path[LONGEST];
};

struct record {
    uint32_t size, kind;
    int64_t result;
    uint64_t inode, offset, path_length, other_length, data_length;
};

/* Where a call has what it is about. */
enum shape { BY_FD, BY_PATH, BY_AT, BY_FROM_TO, BY_FROM_TO_AT, BY_MAP };

static const struct call {
    int number;
    enum kind kind;
    enum shape shape;
} calls[] = {
    {SYS_open, OPEN, BY_PATH}, {SYS_openat, OPEN, BY_AT}, {SYS_openat2, OPEN, BY_AT}, {SYS_creat, CREATE, BY_PATH},
    {SYS_write, WRITE, BY_FD}, {SYS_pwrite64, WRITE, BY_FD}, {SYS_writev, WRITE, BY_FD},
    {SYS_pwritev, WRITE, BY_FD}, {SYS_pwritev2, WRITE, BY_FD},
    {SYS_copy_file_range, OTHER, BY_FD}, {SYS_sendfile, OTHER, BY_FD}, {SYS_splice, OTHER, BY_FD},
    {SYS_fsync, SYNC, BY_FD}, {SYS_fdatasync, SYNC, BY_FD}, {SYS_sync_file_range, OTHER, BY_FD},
    {SYS_syncfs, OTHER, BY_FD}, {SYS_ioctl, OTHER, BY_FD},
    {SYS_ftruncate, TRUNCATE, BY_FD}, {SYS_truncate, OTHER, BY_PATH}, {SYS_fallocate, ALLOCATE, BY_FD},
    {SYS_rename, RENAME, BY_FROM_TO}, {SYS_renameat, RENAME, BY_FROM_TO_AT}, {SYS_renameat2, RENAME, BY_FROM_TO_AT},
    {SYS_link, LINK, BY_FROM_TO}, {SYS_linkat, LINK, BY_FROM_TO_AT},
    {SYS_symlink, OTHER, BY_FROM_TO}, {SYS_symlinkat, OTHER, BY_FROM_TO_AT},
    {SYS_unlink, UNLINK, BY_PATH}, {SYS_unlinkat, UNLINK, BY_AT}, {SYS_rmdir, RMDIR, BY_PATH},
    {SYS_mkdir, MKDIR, BY_PATH}, {SYS_mkdirat, MKDIR, BY_AT}, {SYS_mknod, OTHER, BY_PATH}, {SYS_mknodat, OTHER, BY_AT},
    {SYS_chmod, PERMIT, BY_PATH}, {SYS_fchmod, PERMIT, BY_FD}, {SYS_fchmodat, PERMIT, BY_AT},
    {SYS_chown, PERMIT, BY_PATH}, {SYS_fchown, PERMIT, BY_FD}, {SYS_fchownat, PERMIT, BY_AT},
    {SYS_utimensat, PERMIT, BY_AT}, {SYS_setxattr, OTHER, BY_PATH}, {SYS_fsetxattr, OTHER, BY_FD},
    {SYS_read, READ, BY_FD}, {SYS_pread64, READ, BY_FD}, {SYS_readv, READ, BY_FD}, {SYS_preadv, READ, BY_FD},
    {SYS_preadv2, READ, BY_FD}, {SYS_mmap, MAP, BY_MAP}, {SYS_getdents64, LIST, BY_FD},
    {SYS_stat, LOOK, BY_PATH}, {SYS_lstat, LOOK, BY_PATH}, {SYS_fstat, LOOK, BY_FD}, {SYS_newfstatat, LOOK, BY_AT},
    {SYS_statx, LOOK, BY_AT}, {SYS_access, LOOK, BY_PATH}, {SYS_faccessat, LOOK, BY_AT},
    {SYS_readlink, LOOK, BY_PATH}, {SYS_readlinkat, LOOK, BY_AT}, {SYS_statfs, LOOK, BY_PATH},
    /* Newer than some headers; the numbers are the same on every machine. */
    {439 /* faccessat2 */, LOOK, BY_AT}, {452 /* fchmodat2 */, PERMIT, BY_AT},
};
#define CALLS (sizeof calls / sizeof calls[0])

static struct control *control;
static int log_file = -1;

static long real(long number, const long *with)
{
    return trap_real(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

static int is_below(const char *path)
{
    size_t length = strlen(control->directory);
    /* Pipes and sockets have no path. */
    return path[0] == '/' && strncmp(path, control->directory, length) == 0 && (path[length] == 0 || path[length] == '/');
}

/* What the call is about: one path or two. */
static void find_paths(const struct call *call, const long *with, char *path, char *other)
{
    other[0] = 0;
    switch (call->shape) {
    case BY_FD: path_of_fd(with[0], path); break;
    case BY_MAP: path_of_fd((with[3] & MAP_ANONYMOUS) ? -1 : (long)(int)with[4], path); break;
    case BY_PATH: path_at(AT_FDCWD, (const char *)with[0], path); break;
    case BY_AT: path_at((int)with[0], (const char *)with[1], path); break;
    case BY_FROM_TO:
        path_at(AT_FDCWD, (const char *)with[0], path);
        path_at(AT_FDCWD, (const char *)with[1], other);
        break;
    case BY_FROM_TO_AT:
        path_at((int)with[0], (const char *)with[1], path);
        path_at((int)with[2], (const char *)with[3], other);
        break;
    }
}

static uint32_t kind_of(const struct call *call, const long *with)
{
    long flags;
    if (call->number == SYS_unlinkat && (with[2] & AT_REMOVEDIR))
        return RMDIR;
    if (call->kind != OPEN)
        return call->kind;
    flags = call->number == SYS_open ? with[1] : call->number == SYS_openat ? with[2] : *(const int64_t *)with[2];
    return flags & (O_CREAT | O_TRUNC) ? CREATE : OPEN;
}

/* The pieces of memory that a write takes its bytes from, `length` of them at most. */
static int pieces_of(int number, const long *with, int64_t length, struct iovec *pieces)
{
    const struct iovec *given = (const struct iovec *)with[1];
    int count = 0;
    if (number == SYS_write || number == SYS_pwrite64) {
        pieces[0].iov_base = (void *)with[1];
        pieces[0].iov_len = (size_t)length;
        return 1;
    }
    while (length > 0 && count < with[2] && count < MOST_PIECES) {
        pieces[count] = given[count];
        if ((int64_t)pieces[count].iov_len > length)
            pieces[count].iov_len = (size_t)length;
        length -= (int64_t)pieces[count].iov_len;
        count++;
    }
    return count;
}

/* Where a write will begin. */
static uint64_t offset_of(int number, const long *with)
{
    struct stat found;
    if (number == SYS_pwrite64 || number == SYS_pwritev || number == SYS_pwritev2)
        return (uint64_t)with[3];
    if (trap_real(SYS_fcntl, with[0], F_GETFL, 0, 0, 0, 0) & O_APPEND) {
        if (trap_real(SYS_fstat, with[0], (long)&found, 0, 0, 0, 0) == 0)
            return (uint64_t)found.st_size;
    }
    return (uint64_t)trap_real(SYS_lseek, with[0], 0, SEEK_CUR, 0, 0, 0);
}

static void note(struct record *record, int number, const long *with, const char *path, const char *other)
{
    struct iovec pieces[MOST_PIECES + 3];
    struct stat found;
    long fd = record->kind == CREATE ? record->result : with[0];
    int count = 0;
    memset(&found, 0, sizeof found);
    if (record->kind & (CREATE | WRITE | SYNC | TRUNCATE | ALLOCATE))
        (void)trap_real(SYS_fstat, fd, (long)&found, 0, 0, 0, 0);
    record->inode = found.st_ino;
    if (record->kind == TRUNCATE)
        record->offset = (uint64_t)with[1];
    else if (record->kind & (ALLOCATE | CREATE))
        record->offset = (uint64_t)found.st_size;
    record->path_length = strlen(path);
    record->other_length = strlen(other);
    record->data_length = record->kind == WRITE ? (uint64_t)record->result : 0;
    record->size = (uint32_t)(sizeof *record + record->path_length + record->other_length + record->data_length);
    if (record->kind == WRITE)
        count = pieces_of(number, with, record->result, pieces + 3);
    pieces[0].iov_base = record;
    pieces[0].iov_len = sizeof *record;
    pieces[1].iov_base = (void *)path;
    pieces[1].iov_len = record->path_length;
    pieces[2].iov_base = (void *)other;
    pieces[2].iov_len = record->other_length;
    (void)trap_real(SYS_writev, log_file, (long)pieces, count + 3, 0, 0, 0);
}

/* The first half of a write; what the kernel says. */
static long half(int number, const long *with)
{
    long shorter[6];
    memcpy(shorter, with, sizeof shorter);
    shorter[2] /= 2;
    if ((number != SYS_write && number != SYS_pwrite64) || shorter[2] == 0)
        return 0;
    return real(number, shorter);
}

/* Counts one operation, and does it or not. */
static long operate(uint32_t kind, int number, const long *with, const char *path, char *other)
{
    struct record record;
    uint32_t logged = control->opens ? CHANGES | OPEN : CHANGES;
    int strikes = 0;
    memset(&record, 0, sizeof record);
    record.kind = kind;
    if (kind & control->kinds) {
        control->seen++;
        strikes = control->what != 0 && (control->seen == control->at || (control->lasting && control->seen > control->at));
    }
    if (kind == WRITE)
        record.offset = offset_of(number, with);
    if (strikes) {
        if (control->struck++ == 0) {
            control->kind = kind;
            strcpy(control->path, path);
        }
        record.result = control->torn && kind == WRITE && control->struck == 1 ? half(number, with) : 0;
        if (control->what < 0)
            (void)trap_real(SYS_kill, trap_real(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
        if (record.result <= 0)
            return -control->what;
    } else {
        record.result = kind == SYNC && control->lazy ? 0 : real(number, with);
    }
    if ((kind & (OPEN | CREATE)) && (logged & OPEN))
        path_of_fd(record.result, other);
    if ((kind & logged) && record.result >= 0)
        note(&record, number, with, path, other);
    return record.result;
}

static long handle(int number, const long *with)
{
    char path[LONGEST], other[LONGEST];
    const struct call *call = calls;
    uint32_t kind;
    long result;
    if (!control->armed && !control->lazy)
        return real(number, with);
    while (call->number != number)
        call++;
    kind = kind_of(call, with);
    if (!control->armed && kind != SYNC)
        return real(number, with);
    find_paths(call, with, path, other);
    if (!is_below(path) && !is_below(other))
        return real(number, with);
    if (!control->armed)
        return 0;
    while (__atomic_exchange_n(&control->lock, 1, __ATOMIC_ACQUIRE))
        (void)trap_real(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    result = operate(kind, number, with, path, other);
    __atomic_store_n(&control->lock, 0, __ATOMIC_RELEASE);
    return result;
}

static void give_up(const char *reason)
{
    (void)!write(2, reason, strlen(reason));
    _exit(99);
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("QUEUEKEEPER_FAULTS");
    char log_name[LONGEST];
    int file;
    if (name == NULL || strlen(name) + 5 > sizeof log_name)
        return;
    strcpy(log_name, name);
    strcat(log_name, ".log");
    file = open(name, O_RDWR | O_CLOEXEC);
    log_file = open(log_name, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0 || log_file < 0)
        give_up("faults: the control file or its log is not there\n");
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (control == MAP_FAILED)
        give_up("faults: the control file cannot be mapped\n");
}

/* From here on this process is watched, which makes each of these calls slower: not before it is armed. */
void faults_begin(void)
{
    int numbers[CALLS];
    size_t place;
    static int begun;
    if (control == NULL || begun++)
        return;
    for (place = 0; place < CALLS; place++)
        numbers[place] = calls[place].number;
    if (trap_calls(numbers, CALLS, handle) != 0)
        give_up("faults: this kernel lets no seccomp filter be set\n");
}
